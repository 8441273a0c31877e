// SPDX-License-Identifier: GPL-2.0-only

package live_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/capture/live"
	"github.com/tcsim/tcsim/jit/image"
)

// leaf is a program or function that returns a number.
func leaf(n int32) []bpf.Insn { return []bpf.Insn{{Op: bpf.OpMov, Imm: n}, {Op: bpf.OpExit}} }

func call(distance int32) bpf.Insn {
	return bpf.Insn{Op: bpf.OpCall, Src: bpf.PseudoCall, Imm: distance}
}

func move(to, from uint8) bpf.Insn { return bpf.Insn{Op: bpf.OpMovReg, Dst: to, Src: from} }

// TestFoundAttached captures programs that run already while they are attached: to functions of others, one of which is
// replaced, and to the kernel's.
func TestFoundAttached(t *testing.T) {
	k := open(t)
	one := func(name string, insns []bpf.Insn, a *capture.Attach) capture.Prog {
		return capture.Prog{Name: name, Insns: insns, Attach: a, Funcs: []capture.Func{{Name: name}}}
	}
	of := func(kind string, fn int) *capture.Attach { return &capture.Attach{Kind: kind, Func: fn} }
	sc := capture.Scenario{Name: "attached", ProgType: bpf.XDP, Progs: []capture.Prog{
		{
			Name: "whole", Insns: slices.Concat([]bpf.Insn{move(6, 1), call(4), move(1, 6), call(4)}, leaf(0), leaf(1), leaf(2)),
			Funcs: []capture.Func{{Name: "whole"}, {Name: "traced", Start: 6}, {Name: "replaced", Start: 8}},
		},
		one("before", leaf(0), of("fentry", 1)), one("after", leaf(0), of("fexit", 1)), one("other", leaf(3), of(capture.KindReplace, 2)),
		one("kernel", leaf(0), &capture.Attach{Kind: "fentry", Kernel: "bpf_fentry_test1"}),
		{Name: "tracepoint", Type: bpf.Tracing, AttachType: 23, AttachTo: "sched_switch", Insns: leaf(0), Funcs: []capture.Func{{Name: "tracepoint"}}},
	}}
	l, err := k.Load(&sc)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := range sc.Progs {
		if why := sc.Progs[i].LoadError; strings.Contains(why, "security policy") {
			t.Skip(why)
		} else if why != "" {
			t.Fatalf("%s: %s", sc.Progs[i].Name, why)
		}
	}
	// An extension that waits for its attachment is told by its own program, what is attached by its link.
	idle, err := k.Found(live.Choice{All: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, p := named(idle, "other#"); p == nil || p.Attach == nil || p.Attach.Kind != capture.KindReplace || p.Attach.Func != 2 {
		t.Errorf("other, loaded: %+v", p)
	}
	for _, i := range []int{1, 2, 3, 4} {
		if err := l.Attach(i); err != nil {
			t.Fatalf("attach %s: %v", sc.Progs[i].Name, err)
		}
	}
	all, err := k.Found(live.Choice{All: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		typ    uint32
		target string
	}{"kernel#": {24, "bpf_fentry_test1"}, "tracepoint#": {23, "sched_switch"}} {
		if _, p := named(all, name); p == nil || p.AttachType != want.typ || p.AttachTo != want.target || p.Attach != nil {
			t.Errorf("%s: expected attach type %d to %s, found %+v", name, want.typ, want.target, p)
		}
	}
	_, whole := named(all, "whole#")
	if whole == nil {
		t.Fatal("the program is not among all")
	}
	id, err := strconv.ParseUint(strings.TrimPrefix(whole.Name, "whole#"), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	f, err := k.Found(live.Choice{IDs: []uint32{uint32(id)}})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := named(f, "whole#")
	if len(f.Scenarios) != 1 || len(s.Progs) != 4 || s.ProgType != bpf.XDP || len(s.Trampolines) != 1 {
		t.Fatalf("%d scenarios, %d programs, %d trampolines of type %v", len(f.Scenarios), len(s.Progs), len(s.Trampolines), s.ProgType)
	}
	for name, want := range map[string]capture.Attach{
		"before#": {Kind: "fentry", Func: 1}, "after#": {Kind: "fexit", Func: 1}, "other#": {Kind: capture.KindReplace, Func: 2},
	} {
		if _, p := named(f, name); p == nil || p.Attach == nil || *p.Attach != want {
			t.Errorf("%s: expected %+v, found %+v", name, want, p)
		}
	}
	tr := &s.Trampolines[0]
	if tr.Func != 1 || len(tr.Attached) != 2 || s.Progs[tr.Attached[0]].Attach.Kind != "fentry" || tr.Error != "" || len(tr.Image) == 0 {
		t.Errorf("trampoline %+v", tr)
	}
	if at := image.CodeOff(len(s.Progs[0].Funcs[1].Code(capture.Empty))); tr.Site.Off+image.PokeSize > at {
		t.Errorf("site at %d of %d bytes", tr.Site.Off, at)
	}
	conforms(t, f)
}

// named returns the program of a capture whose name begins with a prefix, with its scenario.
func named(f *capture.File, prefix string) (*capture.Scenario, *capture.Prog) {
	for i := range f.Scenarios {
		for j := range f.Scenarios[i].Progs {
			if p := &f.Scenarios[i].Progs[j]; strings.HasPrefix(p.Name, prefix) {
				return &f.Scenarios[i], p
			}
		}
	}
	return nil, nil
}
