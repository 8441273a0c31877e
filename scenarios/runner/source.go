// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/jit"
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
		q := capture.Prog{Name: p.Name, Insns: p.Insns, Kfuncs: p.Kfuncs}
		for _, f := range p.Funcs {
			q.Funcs = append(q.Funcs, capture.Func{Name: f.Name, Start: f.Start, ExceptionCB: f.ExceptionCB})
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
	on := map[traceKey][]int{}
	for i := range b.Actions {
		switch a := &b.Actions[i]; {
		case a.Kind == scenarios.ActAttach:
			k := traceKey{a.Program, a.Func}
			on[k] = append(on[k][:len(on[k]):len(on[k])], a.By)
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
	if l := b.Scenario.Limit; l != 0 && l != kernelLimit {
		return fmt.Sprintf("it sets a limit of %d tail calls; kernels have %d", l, kernelLimit)
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

// kernelLimit is MAX_TAIL_CALL_CNT, which scenarios cannot change in a kernel that is there already.
const kernelLimit = 33

// sourced prepares a captured scenario that has its source: everything is as for a compiled one,
// with the kernel's images in place of ours.
func (c *Captured) sourced(src *capture.Source) error {
	sc := c.Scenario
	b, err := builtOf(sc)
	if err != nil {
		return err
	}
	if err := sameOrder(b, sc); err != nil {
		return err
	}
	c.compiled = &Compiled{Built: b, Target: c.Target}
	if c.Images, err = c.sourceImages(capture.Empty, src.Symbols.Table()); errors.Is(err, errUnlike) {
		// Its direct tail calls cannot be patched, but what the kernel made of them can run.
		c.compiled.frozen = true
		c.Images, err = c.sourceImages(capture.Populated, nil)
	}
	if err != nil {
		c.broken = err.Error()
		return nil
	}
	for p, img := range c.Images {
		img.Program = &b.Programs[p]
		c.design(img)
	}
	if changed := *c.Target; c.Design != "" && c.Design != jit.UnknownDesign && !sameDesign(c.Design, changed.Scheme) {
		// A patched kernel: what its sites do counts, not what its release did.
		changed.Scheme = c.Design
		c.compiled.Target = &changed
	}
	c.compiled.Images = c.Images
	if err := c.sourceTracing(); err != nil || c.broken != "" {
		return err
	}
	placed, err := c.setup()
	if err != nil {
		return err
	}
	placed.Slots, placed.Packet, placed.VoidRAX = nil, make([]byte, c.compiled.packetRoom()), voidRAX(b)
	c.compiled.placed = &placed
	return c.inspectSource()
}

// builtOf reads the source of a captured scenario.
func builtOf(sc *capture.Scenario) (*scenarios.Built, error) {
	if sc.Object != nil {
		f, err := object.Read(sc.Name, sc.Object, object.ReadOptions{})
		if err != nil {
			return nil, err
		}
		return ObjectRuns(f)
	}
	loaded, err := scenarios.Load(sc.Name+".yaml", []byte(sc.Source))
	if err != nil {
		return nil, err
	}
	return scenarios.Build(loaded)
}

// sourceTracing puts the kernel's own trampolines in place: one for each attach event, in their order.
func (c *Captured) sourceTracing() error {
	sites := map[*scenarios.Action]jit.Patch{}
	b := c.compiled.Built
	for i := range b.Actions {
		a := &b.Actions[i]
		if a.Kind != scenarios.ActAttach {
			continue
		}
		n := len(sites)
		if n >= len(c.Scenario.Trampolines) {
			return fmt.Errorf("the source attaches more programs than the %d of the capture", n)
		}
		t := &c.Scenario.Trampolines[n]
		if l := len(t.Attached); t.Kernel != "" || t.Prog != a.Program || l == 0 || t.Attached[l-1] != a.By {
			return fmt.Errorf("trampoline %d is not that of the source's attach event %d", n, n)
		}
		f, site, err := trampolineOf(t, fmt.Sprintf("tramp_%s%s", c.Scenario.Progs[t.Prog].Funcs[t.Func].Name, strings.Repeat("'", len(t.Attached)-1)))
		if err != nil {
			c.broken = err.Error()
			return nil
		}
		sites[a] = site
		c.tracing.images = append(c.tracing.images, &jit.Image{Target: c.Target, Funcs: []jit.FuncImage{*f}})
	}
	c.compiled.attached = attachments{c.tracing.images, sites}
	return nil
}

// UnlikeSites is why a scenario is skipped that updates direct tail calls of an unknown design.
const UnlikeSites = "its direct tail calls look like none that is known, so they cannot be updated"

// errUnlike says that direct tail calls look like none that is known.
var errUnlike = errors.New("no direct tail call is recognised")

// sourceImages makes the images of all programs in a state; with symbols, direct tail calls know their
// slots.
func (c *Captured) sourceImages(state capture.State, symbols *capture.SymbolTable) ([]*jit.Image, error) {
	var out []*jit.Image
	for p := range c.Scenario.Progs {
		img, err := c.image(p, state)
		if err == nil && symbols != nil {
			err = c.slotsOf(img, p, symbols)
		}
		if err != nil {
			return nil, fmt.Errorf("program %d (%s): %w", p, c.Scenario.Progs[p].Name, err)
		}
		out = append(out, img)
	}
	return out, nil
}

// sameDesign reports whether two names of designs mean the same code: that of rework-5.10 and
// rework-6.7 is.
func sameDesign(a, b string) bool {
	return a == b || strings.HasPrefix(a, "rework-") && strings.HasPrefix(b, "rework-")
}

// sameOrder checks that the programs of a capture are those of its source.
func sameOrder(b *scenarios.Built, sc *capture.Scenario) error {
	want, err := Order(b, sc.Object)
	if err != nil {
		return err
	}
	if len(want.Progs) != len(sc.Progs) || len(want.Maps) != len(sc.Maps) || !slices.Equal(want.ProgArrays, sc.ProgArrays) {
		return errors.New("source: it has other programs, maps or slots than the capture")
	}
	for i := range want.Progs {
		if !slices.Equal(want.Progs[i].Insns, sc.Progs[i].Insns) {
			return fmt.Errorf("source: program %s has other instructions than the capture", want.Progs[i].Name)
		}
	}
	for i := range want.Maps {
		if want.Maps[i].Map != sc.Maps[i].Map {
			return fmt.Errorf("source: map %s is another one in the capture", want.Maps[i].Name)
		}
	}
	return nil
}

// slotsOf tells the direct tail calls of an image which slot they belong to. Bytes do not say that;
// the verifier's rules on the xlated form do.
func (c *Captured) slotsOf(img *jit.Image, p int, symbols *capture.SymbolTable) error {
	prog, err := c.Scenario.Xlated(p, c.header, symbols)
	if err != nil {
		return err
	}
	v, err := jit.Analyse(prog, c.Target)
	if err != nil {
		return err
	}
	places := c.Scenario.Progs[p].InsnMap
	for _, d := range v.Pokes {
		at := slices.IndexFunc(places, func(m capture.InsnPos) bool { return m.Xlated == d.Insn })
		if at < 0 {
			return fmt.Errorf("the tail call in xlated instruction %d has no place", d.Insn)
		}
		sites := img.Funcs[places[at].Func].TailCalls
		i := slices.IndexFunc(sites, func(s jit.TailCallSite) bool { return s.Start <= places[at].Off && places[at].Off < s.End })
		if i < 0 || !sites[i].Direct {
			return fmt.Errorf("%w at %#x of function %d", errUnlike, places[at].Off, places[at].Func)
		}
		sites[i].Map, sites[i].Key = d.Map, d.Key
	}
	return nil
}

// play plays the source of a captured scenario and compares it with what the kernel did.
func (r *Replayer) play(ctx context.Context, c *Captured) (*Replay, error) {
	s, err := open(r.m, c.compiled, r.opt)
	if err != nil && !errors.Is(err, jit.ErrUnsupported) {
		return &Replay{Scenario: c.Scenario.Name, Design: c.Design, Wrong: []string{"what the capture says cannot be set up: " + err.Error()}}, nil
	}
	if err != nil {
		return nil, err
	}
	out := &Replay{Scenario: c.Scenario.Name, Design: c.Design, KernelRan: len(c.Scenario.Played) > 0}
	if c.compiled.frozen && c.compiled.updates() {
		if out.Wrong = c.sites; len(out.Wrong) == 0 {
			out.Skipped = UnlikeSites
		}
		return out, nil
	}
	if out.Wrong, err = s.filledAs(c.Scenario); err != nil {
		return nil, err
	}
	out.Wrong = append(out.Wrong, c.sites...)
	var values []string
	actions := s.runActions()
	s.afterRun = func(n int, r *Run) { values = append(values, s.compareValues(c.Scenario, n, actions[n], r)...) }
	if out.Result, err = s.Play(ctx); err != nil {
		if ctx.Err() != nil || errors.Is(err, jit.ErrUnsupported) {
			return nil, err
		}
		out.Wrong = append(out.Wrong, "what the capture says cannot be played: "+err.Error())
		out.Result = nil
		return out, nil
	}
	if c.header.Format >= updatesFormat && out.KernelRan {
		out.Wrong = append(out.Wrong, s.compareUpdates(c.Scenario, out.Result)...)
	}
	if strings.Contains(c.Target.Name, "-") {
		out.Result.Code = nil // what scenarios say of machine code is for kernels without mitigations
	}
	for _, m := range out.Result.Mismatches() {
		out.Wrong = append(out.Wrong, m.String())
	}
	for i := range out.Result.Updates {
		if u := &out.Result.Updates[i]; u.Violation != nil && !u.Foreseen {
			out.Wrong = append(out.Wrong, u.Violation.String())
		}
	}
	for i := range out.Result.Runs {
		out.Counts.Taken += out.Result.Runs[i].Counts.Taken
	}
	out.Wrong = append(out.Wrong, s.compare(c.Scenario, out.Result)...)
	out.Wrong = append(out.Wrong, values...)
	return out, nil
}

// updatesFormat is the format from which on captures say which updates the kernel refused.
const updatesFormat = 3

// compareUpdates compares what updates and attaching gave with what the kernel said.
func (s *Session) compareUpdates(sc *capture.Scenario, res *Result) []string {
	var wrong []string
	n := 0
	for i := range s.c.Built.Actions {
		if s.c.Built.Actions[i].Kind == scenarios.ActRun {
			continue
		}
		if n >= len(res.Updates) {
			break
		}
		u, want := &res.Updates[n], ""
		n++
		if at := playedAt(sc, i); at >= 0 {
			want = sc.Played[at].Error
		}
		if u.Violation == nil && u.Errno != want {
			wrong = append(wrong, fmt.Sprintf("update %d: %s, the kernel: %s", n, orSuccess(u.Errno), orSuccess(want)))
		}
	}
	return wrong
}

// playedAt returns what the kernel made of an action, as an index; -1 for nothing.
func playedAt(sc *capture.Scenario, action int) int {
	return slices.IndexFunc(sc.Played, func(p capture.Played) bool { return p.Action == action })
}

// compareValues compares maps after run n, from 0, with what they held in the kernel.
func (s *Session) compareValues(sc *capture.Scenario, n, action int, r *Run) []string {
	at := playedAt(sc, action)
	if at < 0 || r.Violation != nil || r.Killed != "" {
		return nil
	}
	var wrong []string
	for _, v := range sc.Played[at].Values {
		got, err := s.m.LookupElem(v.Map, v.Key)
		if err != nil || !bytes.Equal(got, v.Value) {
			wrong = append(wrong, fmt.Sprintf("run %d: %s[%x] is %x, the kernel's %x", n+1, sc.Maps[v.Map].Name, v.Key, got, v.Value))
		}
	}
	return wrong
}

// filledAs compares the code after filling the prog arrays by the target's poke protocol with what
// the kernel had in that state.
func (s *Session) filledAs(sc *capture.Scenario) ([]string, error) {
	var wrong []string
	if s.loaded != nil {
		return nil, nil // a violation, which Play reports
	}
	for i := range sc.Progs {
		for j := range sc.Progs[i].Funcs {
			f := &sc.Progs[i].Funcs[j]
			got := make([]byte, f.Len)
			if err := s.m.ReadMemory(f.Addr, got); err != nil {
				return nil, err
			}
			want := f.Code(capture.Populated)
			if bytes.Equal(got, want) {
				continue
			}
			at := 0
			for got[at] == want[at] {
				at++
			}
			wrong = append(wrong, fmt.Sprintf("with the prog arrays filled, %s of program %s differs at offset %#x: the kernel poked it otherwise",
				f.Name, sc.Progs[i].Name, at))
		}
	}
	return wrong, nil
}

// compare compares runs with those of the kernel itself, as far as it ran them.
func (s *Session) compare(sc *capture.Scenario, res *Result) []string {
	var wrong []string
	runs := s.runActions()
	for n := range res.Runs {
		r := &res.Runs[n]
		at := playedAt(sc, runs[n])
		if at < 0 || r.Violation != nil || r.Killed != "" {
			continue
		}
		p := &sc.Played[at]
		if p.Error != "" {
			wrong = append(wrong, fmt.Sprintf("run %d: the kernel's run failed: %s", n+1, p.Error))
			continue
		}
		if uint32(r.Return) != p.Retval {
			wrong = append(wrong, fmt.Sprintf("run %d: returned %d, the kernel %d", n+1, uint32(r.Return), p.Retval))
		}
	}
	return wrong
}

// runActions returns the indexes of the actions that are runs.
func (s *Session) runActions() []int {
	var out []int
	for i := range s.c.Built.Actions {
		if s.c.Built.Actions[i].Kind == scenarios.ActRun {
			out = append(out, i)
		}
	}
	return out
}

// Session opens a session of a captured scenario that has its source, in the replayer's machine: it
// must not be closed, and nothing else may be replayed meanwhile.
func (r *Replayer) Session(c *Captured) (*Session, error) {
	if why := cmp.Or(c.skip(), c.broken); why != "" {
		return nil, errors.New(why)
	}
	if c.compiled == nil {
		return nil, fmt.Errorf("%s: the capture has no source of this scenario", c.Scenario.Name)
	}
	return open(r.m, c.compiled, r.opt)
}

// HasSource reports whether the capture holds the scenario's file, so that replaying plays that.
func (c *Captured) HasSource() bool { return c.compiled != nil }

// updates reports whether the scenario changes prog arrays between its runs.
func (c *Compiled) updates() bool {
	return slices.ContainsFunc(c.Built.Actions, func(a scenarios.Action) bool {
		return (a.Kind == scenarios.ActInsert || a.Kind == scenarios.ActDelete) && c.Built.Maps[a.Map].Type == jit.ProgArray
	})
}

// setup is what a session loads.
func (c *Compiled) setup() emu.Setup {
	var inner []emu.Inner
	for _, in := range c.Built.Inner {
		inner = append(inner, emu.Inner{Map: in.Map, Key: in.Key, Inner: in.Inner})
	}
	if c.placed != nil {
		s := *c.placed
		s.Inner = inner
		s.Data = contextSpace()
		return s
	}
	return emu.Setup{
		Inner:  inner,
		Images: slices.Concat(c.Images, c.attached.images), VoidRAX: voidRAX(c.Built), Maps: c.Plan.Maps(), Symbols: c.Plan.Symbols(), Offsets: c.Target.Offsets,
		Data: contextSpace(), Packet: make([]byte, c.packetRoom()),
	}
}
