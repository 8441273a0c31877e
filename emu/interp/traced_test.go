// SPDX-License-Identifier: GPL-2.0-only

package interp_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
)

// kernelFuncs are the arguments with which a test run of a tracing program calls kernel functions,
// and what they return (net/bpf/test_run.c, bpf_prog_test_run_tracing). Pointers are 0 or junk.
var kernelFuncs = map[string]struct {
	args []uint64
	ret  uint64
}{
	"bpf_fentry_test1":       {[]uint64{1}, 2},
	"bpf_fentry_test2":       {[]uint64{2, 3}, 5},
	"bpf_fentry_test3":       {[]uint64{4, 5, 6}, 15},
	"bpf_fentry_test4":       {[]uint64{7, 8, 9, 10}, 34},
	"bpf_fentry_test5":       {[]uint64{11, 12, 13, 14, 15}, 65},
	"bpf_fentry_test6":       {[]uint64{16, 17, 18, 19, 20, 21}, 111},
	"bpf_fentry_test7":       {[]uint64{0}, 0},
	"bpf_fentry_test8":       {[]uint64{0xffff_c900_0030_0000}, 0},
	"bpf_modify_return_test": {[]uint64{1, 0xffff_c900_0030_0000}, 4},
}

// tracedArgs is the number of arguments of a traced function: tramp/leafN has N integers, every
// other function the context.
func tracedArgs(sc *capture.Scenario, fn int) int {
	n := 0
	if fn == 1 {
		_, _ = fmt.Sscanf(sc.Name, "tramp/leaf%d/", &n)
	}
	return max(n, 1)
}

// tracedConfig adds the tracing programs of a scenario.
func tracedConfig(sc *capture.Scenario, rules interp.Rules) interp.Config {
	cfg := scenarioConfig(sc, rules)
	for i, p := range sc.Progs {
		if p.Attach == nil {
			continue
		}
		cfg.Programs[i].Type = bpf.Tracing
		cfg.Programs[i].ProbeMem = true
		if p.Attach.Kernel != "" {
			continue
		}
		kind := interp.Fentry
		if p.Attach.Kind == "fexit" {
			kind = interp.Fexit
		}
		cfg.Traces = append(cfg.Traces, interp.Trace{
			Kind: kind, By: i, Prog: p.Attach.Prog, Func: p.Attach.Func, Args: tracedArgs(sc, p.Attach.Func),
		})
	}
	return cfg
}

// runKernelFuncs runs the programs that trace kernel functions, as the trampoline does: all fentry,
// then all fmod_ret, then all fexit programs.
func runKernelFuncs(m *interp.Machine, sc *capture.Scenario) error {
	var errs []error
	for _, kind := range []string{"fentry", "fmod_ret", "fexit"} {
		for i, p := range sc.Progs {
			if p.Attach == nil || p.Attach.Kernel == "" || p.Attach.Kind != kind {
				continue
			}
			f, ok := kernelFuncs[p.Attach.Kernel]
			if !ok {
				return fmt.Errorf("kernel function %s is not known here", p.Attach.Kernel)
			}
			var data []byte
			for _, a := range f.args {
				data = binary.LittleEndian.AppendUint64(data, a)
			}
			_, err := m.Run(i, interp.Ctx{Data: binary.LittleEndian.AppendUint64(data, f.ret)})
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// runTraced does what run_traced of a scenario did and returns what differs.
func runTraced(sc *capture.Scenario, h *capture.Header, rules interp.Rules) string {
	m, err := interp.New(tracedConfig(sc, rules))
	if err != nil {
		return err.Error()
	}
	fillInputs(m, sc, h)
	retval := sc.RunTraced.Retval // of a tracing program's run: the kernel's functions, no program
	if sc.ProgType == bpf.Tracing {
		err = runKernelFuncs(m, sc)
	} else {
		var res interp.Result
		res, err = m.Run(sc.RunTraced.Prog, interp.ForType(sc.ProgType, h.RunData))
		retval = uint32(res.Return)
	}
	if err != nil {
		return err.Error()
	}
	return compareOut(m, retval, sc.RunTraced)
}

// TestTraced compares the interpreter with every run with tracing programs attached. On 5.10, whose
// trampolines lose the counter, the limit does not hold: counted are the runs in which that shows.
func TestTraced(t *testing.T) {
	names, err := fs.Glob(fixtures.FS, "kernels/extra-*.jsonl.gz")
	if err != nil || len(names) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	ran, same, lost := 0, 0, 0
	for _, name := range names {
		src, err := capture.OpenFS(fixtures.FS, name, path.Base(name))
		if err != nil {
			t.Fatal(err)
		}
		rules := kernelRules(t, &src.Header)
		for sc, err := range src.All() {
			if err != nil {
				t.Fatal(err)
			}
			if sc.RunTraced == nil || sc.RunTraced.Skipped != "" || sc.RunTraced.Error != "" {
				continue
			}
			ran++
			if diff := runTraced(sc, &src.Header, rules); diff != "" {
				t.Errorf("%s: %s: %s", path.Base(name), sc.Name, diff)
				continue
			}
			same++
			if rules.TraceDropsCounter && runTraced(sc, &src.Header, interp.Rules{BurnEmpty: true}) != "" {
				lost++
			}
		}
	}
	t.Logf("%d/%d traced runs agree; in %d of them 5.10 loses the counter and the limit with it", same, ran, lost)
	if ran == 0 || same != ran || lost == 0 {
		t.Errorf("%d of %d runs agree, the counter is lost in %d", same, ran, lost)
	}
}

func TestTraceMistakes(t *testing.T) {
	for _, tr := range []interp.Trace{
		{By: 2, Args: 2}, // the only good one
		{By: 5, Args: 1}, {Prog: -1, Args: 1}, {By: 1, Args: 6}, {By: 1, Func: 3, Args: 1}, {Kind: 7, By: 1, Args: 1}, {Args: 1},
		{Prog: 2, By: 1, Args: 1}, {Prog: 1, By: 0, Args: 1},
	} {
		p := prog("p", movK(0, 0), exit())
		_, err := interp.New(interp.Config{
			Maps: testMaps, Programs: []interp.Program{p, p, p},
			Traces: []interp.Trace{{By: 2, Args: 1}, tr, {Prog: 0, By: 1, Args: 1}},
		})
		if tr.By == 2 && err == nil {
			continue
		}
		if tr.By == 2 || err == nil || !strings.Contains(err.Error(), "trace") {
			t.Errorf("%+v: error %v", tr, err)
		}
	}
}

// TestTracedTailCalls is tailcall_bpf2bpf_hierarchy_fentry_fexit of the kernel's selftests: 34
// entries, and each of the two subprogram calls of each entry runs the tracing programs.
func TestTracedTailCalls(t *testing.T) {
	fentry := prog("fentry", count(1), movK(0, 0), exit())
	fexit := prog("fexit", ldxDW(7, 1, 8), ldVal(1, 0, 24), insn(0xdb, 1, 7, 0, 0), count(2), movK(0, 0), exit())
	entry := hierarchy(2)
	entry.Funcs = []bpf.Func{{Name: "entry"}, {Name: "sub", Start: 13}}
	cfg := interp.Config{
		Programs: []interp.Program{entry, fentry, fexit}, ProgArrays: []interp.Slot{{Map: 1, Key: 0, Prog: 0}},
		Traces: []interp.Trace{
			{Kind: interp.Fexit, By: 2, Func: 1, Args: 1}, {Kind: interp.Fentry, By: 1, Func: 1, Args: 1},
		},
	}
	m := newMachine(t, cfg)
	res := run(t, m)
	io := ioSlots(m)
	if slot(io, 0) != 34 || slot(io, 1) != 68 || slot(io, 2) != 68 || res.Return != 34 {
		t.Errorf("entries %d, fentry %d, fexit %d, return %d; want 34, 68, 68, 34", slot(io, 0), slot(io, 1), slot(io, 2), res.Return)
	}
	if got := slot(io, 3); got != 33*34 { // 33 subprograms end in an entry, which returns 34, the others return 0
		t.Errorf("fexit saw a sum of %d returned, want %d", got, 33*34)
	}
}
