// SPDX-License-Identifier: GPL-2.0-only

package inkernel

import (
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/object"
)

// Order returns a scenario as a kernel is given it, for a capture. text is the scenario's file, or the
// object file that ObjectRuns made b of, which the capture keeps: replaying it plays what the file says.
// The error is a LeftOut if a capture cannot do what the scenario asks for.
func Order(b *scenarios.Built, text []byte) (capture.Scenario, error) {
	sc := capture.Scenario{Name: b.Scenario.Name, Category: "library"}
	if object.Is(text) {
		sc.Name, sc.Category, sc.Object = sc.Name+".o", "object", text
	} else {
		sc.Source = string(text)
	}
	if why := leftOut(b); why != "" {
		return sc, LeftOut(fmt.Sprintf("scenario %s: %s", sc.Name, why))
	}
	if len(text) > maxObject {
		return sc, fmt.Errorf("%s: %d bytes are more than a capture keeps of a file (%d): strip it with llvm-strip -g", sc.Name, len(text), maxObject)
	}
	for _, m := range b.Maps {
		sc.Maps = append(sc.Maps, capture.Map{Map: m})
	}
	for i := range b.Programs {
		p := &b.Programs[i]
		q := capture.Prog{Name: p.Name, Insns: p.Insns, Kfuncs: p.Kfuncs, AttachType: p.AttachType, Sleepable: p.Sleepable, Frags: p.Frags}
		for _, f := range p.Funcs {
			q.Funcs = append(q.Funcs, capture.Func{Name: f.Name, Start: f.Start, ExceptionCB: f.ExceptionCB})
		}
		if p.Type == bpf.Tracing || p.Type == bpf.LSM {
			q.AttachTo = p.AttachTo
		}
		sc.Progs = append(sc.Progs, q)
	}
	orderAttached(b, &sc)
	orderTypes(b, &sc)
	for _, s := range b.Slots {
		sc.ProgArrays = append(sc.ProgArrays, capture.Slot{Map: s.Map, Key: s.Key, Prog: s.Program})
	}
	return sc, nil
}

// maxObject is how large a file may be that a capture keeps, in bytes: lines of captures are bounded.
const maxObject = 8 << 20

// orderAttached says which programs trace or replace functions, and in which order they are attached.
func orderAttached(b *scenarios.Built, sc *capture.Scenario) {
	type place struct{ prog, fn int }
	on := map[place][]int{}
	for i := range b.Actions {
		switch a := &b.Actions[i]; {
		case a.Kind == scenarios.ActAttach:
			k := place{a.Program, a.Func}
			on[k] = append(on[k][:len(on[k]):len(on[k])], a.By)
			sc.Progs[a.By].AttachTo = "" // a function of another program, not of the kernel
			sc.Progs[a.By].Attach = &capture.Attach{Kind: a.Trace.String(), Prog: a.Program, Func: a.Func}
			sc.Trampolines = append(sc.Trampolines, capture.Trampoline{Prog: a.Program, Func: a.Func, Attached: on[k]})
		case a.Kind == scenarios.ActReplace && a.Program >= 0:
			sc.Progs[a.Program].Attach = &capture.Attach{Kind: capture.KindReplace, Prog: a.Replaced, Func: a.Func}
		}
	}
}

// orderTypes gives the scenario the type of its first program that is attached to nothing, and others of
// these their own where they differ.
func orderTypes(b *scenarios.Built, sc *capture.Scenario) {
	first := true
	for i := range b.Programs {
		switch t := b.Programs[i].Type; {
		case sc.Progs[i].Attach != nil:
		case first:
			sc.ProgType, first = t, false
		case t != sc.ProgType:
			sc.Progs[i].Type = t
		}
	}
}

// ObjectRuns returns an object file as something to run: every program that no prog array holds, or every
// one if they all are in prog arrays, on a packet of object.MinPacket zeroes.
func ObjectRuns(f *object.File) (*scenarios.Built, error) {
	b, err := f.Load(nil)
	if err != nil {
		return nil, err
	}
	for _, all := range []bool{false, true} {
		for i := range b.Programs {
			held := slices.ContainsFunc(b.Slots, func(s scenarios.Slot) bool { return s.Program == i })
			if held && !all {
				continue
			}
			packet := make([]byte, object.MinPacket)
			b.Actions = append(b.Actions, scenarios.Action{
				Kind: scenarios.ActRun, Program: i, Packet: packet,
				Event: &scenarios.Event{Run: &scenarios.Name{Text: b.Programs[i].Name}, Packet: packet},
			})
		}
		if len(b.Actions) > 0 {
			break
		}
	}
	return b, nil
}

// LeftOut says why a scenario is for the emulator only.
type LeftOut string

// Error returns the reason.
func (l LeftOut) Error() string { return string(l) }

// leftOut says why captures leave out a scenario, "" if they do not.
func leftOut(b *scenarios.Built) string {
	if l := b.Scenario.Limit; l != 0 && l != bpf.TailCallLimit {
		return fmt.Sprintf("it sets a limit of %d tail calls; kernels have %d", l, bpf.TailCallLimit)
	}
	if b.Adapt != nil {
		return "it asks for the version of the kernel"
	}
	type place struct{ prog, fn int }
	replaces := map[int]place{}
	for i := range b.Actions {
		a := &b.Actions[i]
		if a.Kind != scenarios.ActReplace || a.Program < 0 {
			continue
		}
		at := place{a.Replaced, a.Func}
		if old, ok := replaces[a.Program]; ok && old != at {
			return fmt.Sprintf("program %s replaces several functions; kernels load it for one", b.Programs[a.Program].Name)
		}
		replaces[a.Program] = at
	}
	return ""
}
