// SPDX-License-Identifier: GPL-2.0-only

package kernel

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// TestRoutines reads the kernel's code back with the decoder.
func TestRoutines(t *testing.T) {
	routine := func(k image.RoutineKind) string {
		code, err := routineBytes(image.Routine{Kind: k, Limit: 33}, perCPU)
		if err != nil {
			t.Fatal(err)
		}
		return decoded(t, code)
	}
	for k, want := range map[image.RoutineKind]string{
		image.CPUReset:     "mov dword ptr gs:[0x36000], 0x0; ret; int3",
		image.CPUFill:      "mov dword ptr gs:[0x36000], 0x21; ret; int3",
		image.CPUFetch:     "mov eax, dword ptr gs:[0x36000]; inc dword ptr gs:[0x36000]; ret; int3",
		image.CPUAddr:      "mov rax, qword ptr gs:[0x19a18]; add rax, 0x36000; ret; int3",
		image.TaskReset:    "mov rax, qword ptr gs:[0x35000]; mov dword ptr [rax+0xbd8], 0x0; ret; int3",
		image.TaskAddr:     "mov rax, qword ptr gs:[0x35000]; add rax, 0xbd8; ret; int3",
		image.ProgramReset: "add rax, qword ptr gs:[0x19a18]; mov dword ptr [rax], 0x0; ret; int3",
		image.ProgramFetch: "add rax, qword ptr gs:[0x19a18]; mov ecx, dword ptr [rax]; inc dword ptr [rax]; mov eax, ecx; ret; int3",
	} {
		if diff := cmp.Diff(want, routine(k)); diff != "" {
			t.Errorf("%s: %s", image.Routine{Kind: k}, diff)
		}
	}
}

// TestThunks does it with thunks.
func TestThunks(t *testing.T) {
	for name, want := range map[string]string{
		"__x86_indirect_thunk_r11":     "call +1; int3; mov qword ptr [rsp], r11; ret; int3",
		"__x86_indirect_its_thunk_rcx": "jmp rcx; int3",
		"its_return_thunk":             "ret; int3",
		"srso_return_thunk":            "call +1; int3; lea rsp, [rsp+0x8]; ret; int3",
	} {
		code, ok, err := thunk(name, perCPU)
		if !ok || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
			continue
		}
		if diff := cmp.Diff(want, decoded(t, code)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// decoded is the text of code, with calls relative to what follows.
func decoded(t *testing.T, code []byte) string {
	t.Helper()
	var text []string
	for at := 0; at < len(code); {
		i, err := x86.Decode(code[at:], 0)
		if err != nil {
			t.Fatalf("%x+%#x: %v", code, at, err)
		}
		s := i.String()
		if i.Branch == x86.BranchCall {
			s = "call +1"
			if i.Target != i.Next()+1 {
				t.Errorf("%x+%#x: call of %#x", code, at, uint64(i.Target))
			}
		}
		text = append(text, s)
		at += int(i.Len)
	}
	return strings.Join(text, "; ")
}
