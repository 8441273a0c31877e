// SPDX-License-Identifier: GPL-2.0-only

package scenarios_test

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/rewrite"
	"github.com/tcsim/tcsim/scenarios"
)

// verdicts are programs with what the verifiers of kernels say of them: the text that a refusal holds,
// "" if it is accepted. Each was asked of the kernel, or follows from the function of its
// kernel/bpf/verifier.c that is named.
var verdicts = []struct {
	name string
	typ  bpf.ProgType
	maps string
	body string
	want map[string]string // by target
}{
	{
		name: "a static subprogram may return nothing (prepare_func_exit)",
		body: "call note\n r0 = 7\n exit\n note:\n r1 = 1\n exit",
		want: all(""),
	},
	{
		name: "what returned nothing must not be read",
		body: "call note\n exit\n note:\n r1 = 1\n exit",
		want: all("r0 is not initialised"),
	},
	{
		name: "the main function must return something",
		body: "exit",
		want: all("r0 is not initialised"),
	},
	{
		name: "a tail call returns nothing (RET_VOID)",
		maps: "{jmp: {type: prog_array, max_entries: 1}}",
		body: "r2 = jmp ll\n r3 = 0\n call bpf_tail_call\n exit",
		want: all("r0 is not initialised"),
	},
	{
		name: "no subprogram returns an address in the stack",
		body: "call sub\n r0 = 0\n exit\n sub:\n r0 = r10\n exit",
		want: all("address in the stack"),
	},
	{
		name: "nor one in its caller's stack",
		body: "r1 = r10\n call sub\n r0 = 0\n exit\n sub:\n r0 = r1\n exit",
		want: all("address in the stack"),
	},
	{
		name: "no tail call directly in a callback (check_helper_call, 6.18)",
		maps: "{jmp: {type: prog_array, max_entries: 1}}",
		body: `r6 = r1
			r1 = 3
			r2 = cb ll
			r3 = r10
			r4 = 0
			*(u64 *)(r10 - 8) = r6
			r3 += -8
			call bpf_loop
			r0 = 0
			exit
			cb:
			r1 = *(u64 *)(r2 + 0)
			r2 = jmp ll
			r3 = 0
			call bpf_tail_call
			r0 = 0
			exit`,
		want: map[string]string{"6.1": "", "6.12": "", "6.18": "within callback", "7.2": "within callback"},
	},
	{
		name: "nor in what a callback calls (check_max_stack_depth_subprog, 7.3)",
		maps: "{jmp: {type: prog_array, max_entries: 1}}",
		body: `r6 = r1
			r1 = r6
			call sub
			r1 = 3
			r2 = cb ll
			r3 = r10
			r4 = 0
			*(u64 *)(r10 - 8) = r6
			r3 += -8
			call bpf_loop
			r0 = 0
			exit
			cb:
			r1 = *(u64 *)(r2 + 0)
			call sub
			r0 = 0
			exit
			sub:
			r2 = jmp ll
			r3 = 0
			call bpf_tail_call
			r0 = 0
			exit`,
		want: map[string]string{"6.12": "", "7.2": "", "7.3": "within callback"},
	},
	{
		name: "private stacks count alone (check_max_stack_depth, 6.13)", typ: bpf.Kprobe,
		body: "*(u64 *)(r10 - 512) = 7\n call sub\n r0 = 0\n exit\n sub:\n *(u64 *)(r10 - 64) = 7\n r0 = 0\n exit",
		want: map[string]string{"6.12": "more than 512", "6.18": "", "7.2": ""},
	},
	{
		name: "not in programs that cannot have them",
		body: "*(u64 *)(r10 - 512) = 7\n call sub\n r0 = 0\n exit\n sub:\n *(u64 *)(r10 - 64) = 7\n r0 = 0\n exit",
		want: all("more than 512"),
	},
	{
		name: "mtu_len is a u32 (bpf_check_mtu)",
		body: "r6 = 0\n *(u32 *)(r10 - 4) = r6\n r2 = 1\n r3 = r10\n r3 += -4\n r4 = 0\n r5 = 0\n call 163\n exit",
		want: all(""),
	},
	{
		name: "every helper has the arguments that it has (bpf_ringbuf_discard_dynptr)",
		maps: "{}",
		body: "r1 = r10\n r1 += -16\n r2 = 0\n call 200\n r0 = 0\n exit",
		want: all("arg 1 is an unacquired reference"),
	},
}

// all is the same verdict on every kernel that captures were made of and that knows the program.
func all(want string) map[string]string {
	m := map[string]string{}
	for _, t := range []string{"6.1", "6.12", "6.18", "7.2"} {
		m[t] = want
	}
	return m
}

func TestVerdicts(t *testing.T) {
	for _, c := range verdicts {
		src := fmt.Sprintf("version: 1\nname: v\nmaps: %s\nprograms:\n  entry: |\n", cmp.Or(c.maps, "{}"))
		for _, l := range strings.Split(c.body, "\n") {
			src += "    " + strings.TrimSpace(l) + "\n"
		}
		sc, err := scenarios.Load("v.yaml", []byte(src+"runs:\n  - run: entry\n"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := scenarios.Build(sc)
		if err != nil {
			t.Fatal(err)
		}
		p := b.Programs[0]
		if c.typ != 0 {
			p.Type = c.typ
		}
		for name, want := range c.want {
			target, err := jit.TargetByName(name)
			if err != nil {
				t.Fatal(err)
			}
			_, err = rewrite.Program(&p, &target.Kernel)
			switch {
			case want == "" && err != nil:
				t.Errorf("%s: refused on %s: %v", c.name, name, err)
			case want != "" && err == nil:
				t.Errorf("%s: accepted on %s, expected %q", c.name, name, want)
			case want != "" && !strings.Contains(err.Error(), want):
				t.Errorf("%s: on %s expected %q, found %v", c.name, name, want, err)
			}
		}
	}
}

// TestTailCallResult is a subprogram whose result may be that of the program that it tail called: live
// code must stay (e3245f899049, 6.18 and later; before, the verifier forgot).
func TestTailCallResult(t *testing.T) {
	src := `version: 1
name: v
maps: {jmp: {type: prog_array, max_entries: 1}}
programs:
  entry: |
    call sub
    if r0 == 5 goto good
    r0 = 1
    exit
    good: r0 = 3
    exit
    sub:
    r2 = jmp ll
    r3 = 0
    call bpf_tail_call
    r0 = 4
    exit
runs: [{run: entry}]
`
	sc, err := scenarios.Load("v.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	b, err := scenarios.Build(sc)
	if err != nil {
		t.Fatal(err)
	}
	for name, keeps := range map[string]bool{"6.1": false, "6.12": false, "6.18": true, "7.2": true} {
		target, err := jit.TargetByName(name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := rewrite.Program(&b.Programs[0], &target.Kernel)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(listing(p.Insns), "r0 = 3"); got != keeps {
			t.Errorf("%s: the branch to good stays: %t, expected %t", name, got, keeps)
		}
	}
}
