// SPDX-License-Identifier: GPL-2.0-only

package kernel

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit/x86"
)

// TestRoutines reads the kernel's code back with the decoder.
func TestRoutines(t *testing.T) {
	for name, want := range map[string]string{
		"bpf_tail_call_cnt_prepare":            "mov dword ptr gs:[0x36000], 0x0; ret; int3",
		"bpf_tail_call_cnt_prepare.33":         "mov dword ptr gs:[0x36000], 0x21; ret; int3",
		"bpf_tail_call_cnt_fetch_and_inc":      "mov eax, dword ptr gs:[0x36000]; inc dword ptr gs:[0x36000]; ret; int3",
		"bpf_tail_call_cnt_ptr":                "mov rax, qword ptr gs:[0x19a18]; add rax, 0x36000; ret; int3",
		"bpf_task_tail_call_cnt_prepare":       "mov rax, qword ptr gs:[0x35000]; mov dword ptr [rax+0xbd8], 0x0; ret; int3",
		"bpf_task_tail_call_cnt_ptr":           "mov rax, qword ptr gs:[0x35000]; add rax, 0xbd8; ret; int3",
		"bpf_prog_tail_call_cnt_prepare":       "add rax, qword ptr gs:[0x19a18]; mov dword ptr [rax], 0x0; ret; int3",
		"bpf_prog_tail_call_cnt_fetch_and_inc": "add rax, qword ptr gs:[0x19a18]; mov ecx, dword ptr [rax]; inc dword ptr [rax]; mov eax, ecx; ret; int3",
		"__x86_indirect_thunk_r11":             "call +1; int3; mov qword ptr [rsp], r11; ret; int3",
		"__x86_indirect_its_thunk_rcx":         "jmp rcx; int3",
		"its_return_thunk":                     "ret; int3",
		"srso_return_thunk":                    "call +1; int3; lea rsp, [rsp+0x8]; ret; int3",
	} {
		code, ok, err := thunk(name, perCPU)
		if !ok || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
			continue
		}
		var text []string
		for at := 0; at < len(code); {
			i, err := x86.Decode(code[at:], 0)
			if err != nil {
				t.Fatalf("%s+%#x: %v", name, at, err)
			}
			s := i.String()
			if i.Branch == x86.BranchCall {
				s = "call +1"
				if i.Target != i.Next()+1 {
					t.Errorf("%s+%#x: call of %#x", name, at, uint64(i.Target))
				}
			}
			text = append(text, s)
			at += int(i.Len)
		}
		if diff := cmp.Diff(want, strings.Join(text, "; ")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
