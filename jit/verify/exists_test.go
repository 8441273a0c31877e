// SPDX-License-Identifier: GPL-2.0-only

package verify_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/verify/protos"
)

// TestNewerThanKernel: what came with a later kernel is refused where it is used, and not where nothing leads to it.
func TestNewerThanKernel(t *testing.T) {
	maps := []bpf.Map{
		{Name: "seen", Type: 30, ValueSize: 8, MaxEntries: 16},
		{Name: "area", Type: bpf.ArenaMap, MaxEntries: 1},
	}
	of := func(typ bpf.ProgType, insns []bpf.Insn) *bpf.Program {
		p := testProgram(insns)
		p.Type, p.Maps = typ, maps
		return p
	}
	ends := code(movImm(0, 1), leave())
	text := code(storeB(10, -8, 0), onStack(1, -8), movImm(2, 1), onStack(3, -8), movImm(3, 0), movImm(0, 0), leave())
	tick := code(call(208), end()) // bpf_ktime_get_tai_ns, 6.1
	for _, c := range []struct {
		name   string
		prog   *bpf.Program
		before string // the last release without
		since  string // the first with
		want   string
	}{
		{"a helper", of(bpf.SchedCLS, tick), "6.0", "6.1", "the kernel has no helper 208 (bpf_ktime_get_tai_ns"},
		{"a helper where nothing leads", of(bpf.SchedCLS, code(movImm(0, 0), jeq(0, 0, 1), call(208), leave())), "", "5.10", ""},
		{"no helper", of(bpf.SchedCLS, text), "", "5.10", ""},
		{"a type of program", of(bpf.Netfilter, ends), "6.3", "6.4", "the kernel has no programs of type netfilter"},
		{"a type of map", of(bpf.SchedCLS, code(ldMap(1, 0), end())), "5.15", "5.16", "the kernel has no maps of type 30 (map seen)"},
		{"an arena", of(bpf.SchedCLS, code(ldMap(1, 1), end())), "6.8", "6.9", "the kernel has no maps of type 33 (map area)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := verify.Check(c.prog, &named(t, c.since).Kernel); err != nil {
				t.Errorf("%s: %v", c.since, err)
			}
			if c.before == "" {
				return
			}
			_, err := verify.Check(c.prog, &named(t, c.before).Kernel)
			if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, kernels.ErrUnsupported) {
				t.Errorf("%s: %v, want %q", c.before, err, c.want)
			}
		})
	}
}

// TestSleepable: which programs may sleep (what 6.18 says was asked of a kernel).
func TestSleepable(t *testing.T) {
	for _, c := range []struct {
		name   string
		typ    bpf.ProgType
		attach uint32
		takes  string // whether 5.10, 6.1, 6.12, 6.18 and 7.3 take it, y or n
	}{
		{"fentry", bpf.Tracing, protos.AttachFentry, "yyyyy"},
		{"iterator", bpf.Tracing, protos.AttachIter, "yyyyy"},
		{"tracepoint with BTF", bpf.Tracing, protos.AttachRawTP, "yynny"},
		{"probe", bpf.Kprobe, 0, "nyyyy"},
		{"struct_ops", bpf.StructOps, 0, "nnyyy"},
		{"raw tracepoint", bpf.RawTracepoint, 0, "nnnny"},
		{"tracepoint", bpf.Tracepoint, 0, "nnnny"},
		{"XDP", bpf.XDP, 0, "nnnnn"},
		{"classifier", bpf.SchedCLS, 0, "nnnnn"},
		{"performance event", bpf.PerfEvent, 0, "nnnnn"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := testProgram(code(movImm(0, 0), leave()))
			p.Type, p.AttachType = c.typ, c.attach
			if p.Sleepable = true; c.attach == protos.AttachRawTP {
				p.AttachTo = "sys_enter"
			}
			for i, release := range []string{"5.10", "6.1", "6.12", "6.18", "7.3"} {
				_, err := verify.Check(p, &named(t, release).Kernel)
				if taken := err == nil; taken != (c.takes[i] == 'y') {
					t.Errorf("%s: %v, want %c", release, err, c.takes[i])
				}
			}
		})
	}
}

// TestLicense: what programs that are not under the GPL may not be, call or look into.
func TestLicense(t *testing.T) {
	object := bpf.Param{Kind: bpf.ParamPointer, Type: "task_struct"}
	task := code(call(35), end()) // bpf_get_current_task
	for _, c := range []struct {
		name  string
		typ   bpf.ProgType
		insns []bpf.Insn
		want  verdict
	}{
		{"a helper", bpf.SchedCLS, task, verdict{"6.12": "cannot call GPL-restricted function bpf_get_current_task"}},
		{"a helper where nothing leads", bpf.SchedCLS, code(movImm(0, 0), jeq(0, 0, 1), call(35), leave()), verdict{"6.12": ""}},
		{"a kernel function where nothing leads", bpf.SchedCLS, code(movImm(0, 0), jeq(0, 0, 1), bpf.Insn{Op: bpf.OpCall, Src: bpf.PseudoKfunc}, leave()), verdict{"6.12": "cannot call kernel function"}},
		{"operations", bpf.StructOps, end(), verdict{"6.12": "struct ops programs must"}},
		{"a hook of security", bpf.LSM, end(), verdict{"6.12": "LSM programs must"}},
		{"an object of the kernel", bpf.Tracing, code(load(2, 1, 0), load(3, 2, 16), end()), verdict{"6.1": "", "6.12": "cannot access kernel 'struct task_struct'", "7.3": "cannot access kernel 'struct task_struct'"}},
		{"its address", bpf.Tracing, code(load(2, 1, 0), end()), verdict{"6.12": ""}},
	} {
		for _, free := range []bool{true, false} {
			p := testProgram(c.insns)
			p.Type, p.Kfuncs, p.NotGPL = c.typ, []string{"bpf_task_release"}, !free
			if c.typ == bpf.Tracing {
				p.AttachType, p.AttachTo, p.Hook, p.Objects = protos.AttachFentry, "f", &bpf.Signature{Params: []bpf.Param{object}}, structures{"task_struct+16": {Name: "pid"}}
			}
			want := c.want
			if free {
				want = verdict{"6.12": ""}
			}
			judged(t, c.name, p, want)
		}
	}
}
