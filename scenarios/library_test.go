// SPDX-License-Identifier: GPL-2.0-only

package scenarios_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/files"
)

// world is a kind of kernel as the reference interpreter can be it.
type world struct {
	name  string
	rules interp.Rules
	on    []string // names of Expect.On that apply
}

var worlds = []world{
	{"one-counter", interp.Rules{}, []string{"6.12"}},
	{"by-value", interp.Rules{BurnEmpty: true, PerFrame: true}, []string{"6.1", scenarios.ClassByValue, scenarios.ClassBurnsEmpty}},
	{
		"loses-rax", interp.Rules{BurnEmpty: true, PerFrame: true, TraceDropsCounter: true},
		[]string{"5.10", scenarios.ClassByValue, scenarios.ClassBurnsEmpty, scenarios.ClassLosesRAX},
	},
}

// TestLibrary runs every built-in scenario in the reference interpreter, in which no machine code
// takes part: what the files expect of a kernel must follow from what BPF means there.
func TestLibrary(t *testing.T) {
	for _, name := range files.Builtin() {
		for _, w := range worlds {
			t.Run(name+"/"+w.name, func(t *testing.T) {
				file, src, err := files.Find(name)
				if err != nil {
					t.Fatal(err)
				}
				sc, err := scenarios.Load(file, src)
				if err != nil {
					t.Fatal(err)
				}
				if sc.Name != name {
					t.Errorf("the file of %s calls itself %s", name, sc.Name)
				}
				if sc.Policy == scenarios.IfAllowed {
					t.Skip("what the kernel refuses has no meaning in BPF")
				}
				if sc.About == "" {
					t.Errorf("%s does not say what it shows", name)
				}
				for _, m := range replay(t, sc, w) {
					t.Error(m)
				}
			})
		}
	}
}

// replay runs a scenario in the interpreter and returns what differs from its expectations. A
// world with a counter per frame is accompanied by one with a single counter: where their tail calls
// differ, semantics is violated.
func replay(t *testing.T, sc *scenarios.Scenario, w world) (out []string) {
	t.Helper()
	b, err := scenarios.Build(sc)
	if err != nil {
		t.Fatal(err)
	}
	if sc.VoidRAX == scenarios.VoidPointer && w.rules.TraceDropsCounter {
		return nil // the counter is not lost there, but replaced
	}
	m := machine(t, b, w)
	meant := w
	meant.rules.PerFrame, meant.rules.TraceDropsCounter = false, false
	ref := machine(t, b, meant)
	full := map[scenarios.Slot]bool{} // the slots that hold a program, by map and key
	for _, s := range b.Slots {
		full[scenarios.Slot{Map: s.Map, Key: s.Key}] = true
	}
	for i := range b.Actions {
		a := &b.Actions[i]
		if a.Kind != scenarios.ActRun {
			apply(ref, b, a, maps.Clone(full), w.on)
			if msg := apply(m, b, a, full, w.on); msg != "" {
				out = append(out, fmt.Sprintf("action %d: %s", i, msg))
			}
			continue
		}
		o, r := run(t, m, b, a)
		if _, right := run(t, ref, b, a); o.Violation == "" && !sameTailCalls(r.Taken, right.Taken) {
			o.Violation = "semantics"
		}
		for _, x := range b.Check(a, o, w.on...) {
			out = append(out, x.String())
		}
		if o.Violation != "" {
			break
		}
	}
	return out
}

func machine(t *testing.T, b *scenarios.Built, w world) *interp.Machine {
	t.Helper()
	cfg := interp.Config{Maps: b.Maps, Rules: w.rules, MaxInsns: 1 << 20}
	cfg.Rules.Limit = b.Scenario.Limit
	for i := range b.Programs {
		p := &b.Programs[i]
		def := interp.Program{Program: p, Kfuncs: p.Kfuncs}
		def.ExceptionCallback = max(0, slices.IndexFunc(p.Funcs, func(f bpf.Func) bool { return f.ExceptionCB }))
		cfg.Programs = append(cfg.Programs, def)
	}
	for _, s := range b.Slots {
		cfg.ProgArrays = append(cfg.ProgArrays, interp.Slot{Map: s.Map, Key: s.Key, Prog: s.Program})
	}
	m, err := interp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range b.Values {
		if err := store(m, v.Map, v.Key, v.Off, v.Data); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// store writes a part of a map value.
func store(m *interp.Machine, mp int, key []byte, off int, data []byte) error {
	old := m.Lookup(mp, key)
	if old == nil {
		old = make([]byte, off+len(data))
	}
	value := append([]byte(nil), old...)
	copy(value[off:], data)
	return m.Update(mp, key, value, 0)
}

// apply performs an update or a deletion and compares its error with the expected one.
func apply(m *interp.Machine, b *scenarios.Built, a *scenarios.Action, full map[scenarios.Slot]bool, on []string) string {
	var err error
	switch a.Kind {
	case scenarios.ActInsert:
		slot := scenarios.Slot{Map: a.Map, Key: binary.LittleEndian.Uint32(a.Key)}
		err = m.SetProg(slot.Map, slot.Key, a.Program)
		full[slot] = true
	case scenarios.ActReplace:
		err = m.Replace(a.Replaced, a.Func, a.Program)
	case scenarios.ActAttach:
		kind := map[emit.TraceKind]interp.TraceKind{emit.Fentry: interp.Fentry, emit.Fexit: interp.Fexit}[a.Trace]
		args := len(jit.FuncArgs(&b.Programs[a.Program], a.Func))
		err = m.Attach(interp.Trace{Kind: kind, By: a.By, Prog: a.Program, Func: a.Func, Args: args})
	case scenarios.ActStore:
		err = store(m, a.Map, a.Key, a.Off, a.Data)
	case scenarios.ActDelete:
		if b.Maps[a.Map].Type != bpf.ProgArray {
			err = m.Delete(a.Map, a.Key)
			break
		}
		slot := scenarios.Slot{Map: a.Map, Key: binary.LittleEndian.Uint32(a.Key)}
		if err = m.SetProg(slot.Map, slot.Key, -1); err == nil && !full[slot] {
			err = syscall.ENOENT
		}
		delete(full, slot)
	}
	want := map[string]error{"ENOENT": syscall.ENOENT, "E2BIG": syscall.E2BIG}[a.ErrnoOf(on...)]
	if !errors.Is(err, want) {
		return fmt.Sprintf("expected error %q, found %v", a.ErrnoOf(on...), err)
	}
	return ""
}

// sameTailCalls compares what was called, not the counters.
func sameTailCalls(a, b []interp.TailCall) bool {
	return slices.EqualFunc(a, b, func(x, y interp.TailCall) bool { return x.Insn == y.Insn && x.Target == y.Target })
}

// enter runs a program, interrupted if it is to be: where makes no difference in the library.
func enter(m *interp.Machine, a *scenarios.Action, ctx interp.Ctx) (interp.Result, error) {
	if in := a.Interrupt; in != nil {
		return m.RunInterrupted(a.Program, ctx, interp.Interrupt{Before: uint64(in.N), Prog: in.Program})
	}
	return m.Run(a.Program, ctx)
}

func run(t *testing.T, m *interp.Machine, b *scenarios.Built, a *scenarios.Action) (*scenarios.Outcome, *interp.Result) {
	t.Helper()
	ctx := interp.ForType(b.Programs[a.Program].Type, a.Packet)
	for _, f := range a.Context {
		binary.LittleEndian.PutUint32(ctx.Data[f.Off:], f.Value)
	}
	r, err := enter(m, a, ctx)
	var fault *interp.Fault
	if err != nil && !errors.As(err, &fault) {
		t.Fatal(err)
	}
	if r.Uninit != 0 {
		t.Errorf("%d reads of stack that was never written", r.Uninit)
	}
	o := &scenarios.Outcome{
		Return: r.Return, Taken: r.TakenTotal,
		Refused: scenarios.RefusedCount{
			Limit: r.Refused[interp.RefusedLimit], Bounds: r.Refused[interp.RefusedBounds],
			Empty: r.Refused[interp.RefusedEmpty],
		},
		Lookup: func(mp int, key []byte) ([]byte, bool) {
			v := m.Lookup(mp, key)
			return v, v != nil
		},
	}
	limit := uint64(b.Scenario.Limit)
	if limit == 0 {
		limit = interp.DefaultLimit
	}
	switch {
	case fault != nil && strings.Contains(fault.Error(), "more than 1024 frames"):
		o.Violation = "limit" // only tail calls without end nest so deeply
	case fault != nil:
		o.Violation = "fault"
	case r.TakenTotal > limit:
		o.Violation = "limit"
	case r.Verdict == interp.Exhausted:
		t.Error("the run does not end, yet it keeps the limit")
	}
	return o, &r
}
