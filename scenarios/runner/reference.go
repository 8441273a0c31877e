// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/helper"
	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios"
)

// referenceInsns ends a run in the reference interpreter: no run that a machine finishes within its
// default budget needs so many BPF instructions.
const referenceInsns = 1 << 24

// reference goes through a scenario in the reference interpreter of BPF, alongside the machine. It has
// one counter per invocation whatever the design does, because that is what the limit means.
type reference struct {
	m       *interp.Machine
	built   *scenarios.Built
	log     *stateLog // nil keeps nothing
	outside *outside
}

// outside lets each run begin with what a machine begins with. What printing returned there it takes over.
type outside struct {
	*helper.Outside
	printed []uint64
}

// Value implements interp.Outside.
func (o *outside) Value(number int32, n uint64) uint64 {
	if number != interp.HelperTracePrintk || len(o.printed) == 0 {
		return o.Outside.Value(number, n)
	}
	v := o.printed[0]
	o.printed = o.printed[1:]
	return v
}

// RulesOf returns what tail calls mean in a design, with one counter per invocation.
func RulesOf(t *jit.Target) interp.Rules {
	r := interp.Rules{Limit: t.Limit}
	switch t.Design.Traits().Empty {
	case design.EmptyCounts:
		r.BurnEmpty = true
	case design.EmptyFree:
	default:
		panic(fmt.Sprintf("BUG: target %q: it is not known what its tail calls to empty slots cost", t.Name))
	}
	return r
}

// newReference loads a scenario. l says where memory lies, insns ends a run; what calls leave goes to log, for states,
// unless it is nil.
func newReference(b *scenarios.Built, r interp.Rules, l interp.Layout, insns uint64, log *stateLog) (*reference, error) {
	ref := &reference{built: b, outside: &outside{}, log: log}
	cfg := interp.Config{Maps: b.Maps, MaxInsns: insns, Outside: ref.outside, Rules: r, Layout: l}
	if log != nil {
		cfg.Observer = log
	}
	for i := range b.Programs {
		p := &b.Programs[i]
		def := interp.Program{Program: p, Kfuncs: p.Kfuncs}
		def.ExceptionCallback = max(0, slices.IndexFunc(p.Funcs, func(f bpf.Func) bool { return f.ExceptionCB }))
		cfg.Programs = append(cfg.Programs, def)
	}
	for _, s := range b.Slots {
		cfg.ProgArrays = append(cfg.ProgArrays, interp.Slot{Map: s.Map, Key: s.Key, Prog: s.Program})
	}
	for _, in := range b.Inner {
		cfg.Inner = append(cfg.Inner, interp.Inner{Map: in.Map, Key: in.Key, Inner: in.Inner})
	}
	m, err := interp.New(cfg)
	if err != nil {
		return nil, err
	}
	ref.m = m
	if log != nil {
		log.m = m
	}
	return ref, ref.reset()
}

// reset goes back to the state before the first run.
func (r *reference) reset() error {
	r.m.Reset()
	r.m.DetachAll()
	for _, v := range r.built.Values {
		if err := r.store(v.Map, v.Key, v.Off, v.Data); err != nil {
			return err
		}
	}
	return nil
}

func (r *reference) store(m int, key []byte, off int, data []byte) error {
	value := make([]byte, r.built.Maps[m].ValueSize)
	copy(value, r.m.Lookup(m, key))
	copy(value[off:], data)
	return r.m.Update(m, key, value, interp.Any)
}

// act does what the machine did with an update or a deletion that succeeded.
func (r *reference) act(a *scenarios.Action) error {
	switch {
	case a.Kind == scenarios.ActReplace:
		return r.m.Replace(a.Replaced, a.Func, a.Program)
	case a.Kind == scenarios.ActAttach:
		return r.attach(a)
	case a.Kind == scenarios.ActStore:
		return r.store(a.Map, a.Key, a.Off, a.Data)
	case a.Kind == scenarios.ActDelete && r.built.Maps[a.Map].Type != bpf.ProgArray:
		return r.m.Delete(a.Map, a.Key)
	}
	prog := -1
	if a.Kind == scenarios.ActInsert {
		prog = a.Program
	}
	return r.m.SetProg(a.Map, binary.LittleEndian.Uint32(a.Key), prog)
}

// run performs run a in the interpreter.
func (r *reference) run(a *scenarios.Action, c *cut) (interp.Result, error) {
	ctx := interp.ForType(r.built.Programs[a.Program].Type, a.Packet)
	if len(a.Raw) > 0 {
		ctx.Data = append(bytes.Clone(a.Raw), make([]byte, max(0, len(ctx.Data)-len(a.Raw)))...)
	}
	for _, f := range a.Context {
		binary.LittleEndian.PutUint32(ctx.Data[f.Off:], f.Value)
	}
	r.outside.Outside = helper.NewOutside(0)
	if r.log != nil {
		r.log.reset()
	}
	return r.interrupted(a, ctx, c)
}

// foreign reports whether a run asked for something that the interpreter cannot know.
func (r *reference) foreign(out *Run) bool {
	return slices.ContainsFunc(out.World, func(name string) bool { return !r.outside.Answers(name) })
}

// judge performs run a in the interpreter too and returns how out differs, nil if it does not. A
// program that breaks a rule of BPF has no meaning to compare with.
func (r *reference) judge(a *scenarios.Action, c *cut, out *Run, m *Machine) (*check.Violation, error) {
	if out.Violation != nil || out.Killed != "" {
		return nil, nil // the scenario ends here
	}
	r.outside.printed = m.Printed
	want, err := r.run(a, c)
	var fault *interp.Fault
	switch {
	case errors.As(err, &fault):
		return nil, nil
	case err != nil:
		return nil, err
	case want.Verdict != interp.Done || want.Uninit != 0 || r.foreign(out):
		return nil, nil
	}
	v := &check.Violation{Invariant: check.Semantics, Where: out.Program}
	if n := len(out.Events); n > 0 {
		last := &out.Events[n-1]
		v.Event, v.Seq, v.Site, v.RIP = last.No, last.Seq, last.Site, trace.Hex(last.RIP)
	}
	if r.tailCalls(v, out, &want); v.Text == "" {
		r.states(v, out, &want, m.feed.states)
	}
	if v.Text == "" {
		r.results(v, out, &want, m)
	}
	if v.Text == "" {
		return nil, nil
	}
	if v.RIP != 0 {
		at := check.At(m.Code, v.Invariant, image.Addr(v.RIP), v.Text)
		v.Where, v.Func, v.Insn = at.Where, at.Func, at.Insn
	}
	return v, nil
}

// tailCalls compares which tail calls were taken, one by one.
func (r *reference) tailCalls(v *check.Violation, out *Run, want *interp.Result) {
	n := 0
	for i := range out.Events {
		e := &out.Events[i]
		if e.Kind != trace.KindTailCall || e.Inner {
			continue
		}
		if n < len(want.Taken) {
			w := &want.Taken[n]
			if e.Key == w.Key && is(e.Fn, r.name(w.Prog), w.Func) && is(e.Target, r.name(w.Target), 0) {
				n++
				continue
			}
		}
		v.Event, v.Seq, v.Site, v.RIP = e.No, e.Seq, e.Site, trace.Hex(e.RIP)
		if n < len(want.Taken) {
			v.Text = fmt.Sprintf("tail call %d goes to key %d; BPF has it go to key %d from %s", n+1, e.Key, want.Taken[n].Key, r.name(want.Taken[n].Prog))
		} else {
			v.Text = fmt.Sprintf("tail call %d is taken; BPF refuses it", n+1)
		}
		return
	}
	if n < len(want.Taken) && uint64(n) == out.Counts.Taken {
		w := &want.Taken[n]
		v.Text = fmt.Sprintf("tail calls taken: %d; BPF takes %d: the next goes from %s to key %d", n, want.TakenTotal, r.name(w.Prog), w.Key)
	}
}

// is reports whether f is a function of a program.
func is(f *trace.Fn, prog string, fn int) bool { return f != nil && f.Prog == prog && f.Index == fn }

func (r *reference) name(prog int) string { return r.built.Programs[prog].Name }

// results compares return value and map contents.
func (r *reference) results(v *check.Violation, out *Run, want *interp.Result, m *Machine) {
	switch {
	case out.Return != want.Return && r.likewise(m, out.Return, want.Return):
	case uint32(out.Return) != uint32(want.Return):
		v.Text = fmt.Sprintf("returned %d; BPF returns %d", uint32(out.Return), uint32(want.Return))
		return
	case out.Return != want.Return:
		v.Text = fmt.Sprintf("returned %#x; BPF returns %#x: the upper halves differ", out.Return, want.Return)
		return
	}
	for i := range r.built.Maps {
		for _, e := range r.entries(i) {
			got, err := m.LookupElem(i, e.Key)
			if err != nil {
				v.Text = fmt.Sprintf("map %s lacks key % x; BPF stores it", r.built.Maps[i].Name, e.Key)
				return
			}
			if at := r.differ(got, e.Value); at >= 0 {
				v.Text = fmt.Sprintf("map %s, key % x, offset %d: % x; BPF stores % x", r.built.Maps[i].Name, e.Key, at,
					got[at:min(at+8, len(got))], e.Value[at:min(at+8, len(e.Value))])
				return
			}
		}
	}
}

// likewise reports whether both numbers are addresses in stacks, whole or their lower halves: all else lies where the machine has it.
func (r *reference) likewise(m *Machine, got, want uint64) bool {
	const high = uint64(guest.StackTop) &^ math.MaxUint32 // the interpreter's stack has it, too
	if half := want&^math.MaxUint32 == 0 && got&^math.MaxUint32 == 0; half && r.m.OnStack(high|want) {
		return m.OnStack(image.Addr(high | got))
	}
	return r.m.OnStack(want) && m.OnStack(image.Addr(got))
}

// maxCompared is the number of entries of an array that are compared.
const maxCompared = 1024

// entries returns the contents of a map as far as they are compared: programs do not write prog
// arrays, and of a per-CPU array they see a part only. Of other maps nothing is compared.
func (r *reference) entries(m int) []interp.Entry {
	switch def := &r.built.Maps[m]; def.Type {
	case bpf.HashMap, bpf.LRUHashMap, bpf.PerCPUHashMap, bpf.LRUPerCPUHashMap:
		return r.m.Entries(m)
	case bpf.ArrayMap:
		var out []interp.Entry
		for k := range min(def.MaxEntries, maxCompared) {
			key := binary.LittleEndian.AppendUint32(nil, k)
			out = append(out, interp.Entry{Key: key, Value: r.m.Lookup(m, key)})
		}
		return out
	}
	return nil
}

// differ returns the offset of the first word that differs, -1 if none does. Pointers, which each
// engine has its own of, are not compared.
func (r *reference) differ(got, want []byte) int {
	for at := 0; at < len(want); at += 8 {
		w := want[at:min(at+8, len(want))]
		if len(got) < at+len(w) {
			return at
		}
		if bytes.Equal(got[at:at+len(w)], w) {
			continue
		}
		if len(w) == 8 && r.m.Locate(binary.LittleEndian.Uint64(w)).Place != interp.Nowhere {
			continue
		}
		return at
	}
	return -1
}
