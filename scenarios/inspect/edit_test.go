// SPDX-License-Identifier: GPL-2.0-only

package inspect_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/source"
	"github.com/tcsim/tcsim/jit/source/compiler"
	"github.com/tcsim/tcsim/jit/source/ktree"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/edits"
	"github.com/tcsim/tcsim/scenarios/inspect"
	"github.com/tcsim/tcsim/scenarios/runner"
	"github.com/tcsim/tcsim/scenarios/runner/runnertest"
)

var (
	editCount = flag.Int("edits", 0, "how many random edits of code each campaign makes; 0 is 1,000, 60 with -short")
	editSeed  = flag.Uint64("edit-seed", 1, "what they are drawn from")
)

// campaign edits what JITs make of scenarios.
type campaign struct {
	t     *testing.T
	r     *rand.Rand
	rig   *runner.Rig // for the judge
	s     *runner.Session
	how   map[string]int // verdicts
	kinds map[string]*tally
	// owned says that only code is edited which the design owns: of the rest nothing is known that a run does not show.
	owned bool
}

// tally counts edits of a kind.
type tally struct{ changed, found, missed, kept int }

func newCampaign(t *testing.T, stream uint64, owned bool) *campaign {
	t.Helper()
	rig, err := runner.NewRig(runner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rig.Close() })
	c := &campaign{t: t, r: rand.New(rand.NewPCG(*editSeed, stream)), rig: rig, how: map[string]int{}, kinds: map[string]*tally{}, owned: owned}
	t.Cleanup(func() {
		if c.s != nil {
			c.s.Close()
		}
	})
	for _, k := range edits.Kinds() {
		c.kinds[k] = &tally{}
	}
	return c
}

const calledOK = "called ok"

// options bound the runs of edited code.
var options = runner.Options{MaxInsns: 1 << 18, MaxEvents: 1 << 14}

// verdict is what run says of code, and the images once prog arrays are filled; these are nil if it does not come to that.
func (c *campaign) verdict(code *runner.Compiled) (string, []*image.Image) {
	var err error
	if c.s, err = c.s.OpenNext(code, options); err != nil {
		c.s = nil
		return "cannot be loaded", nil
	}
	begun, err := c.s.Begin()
	if err != nil {
		return "cannot run", nil
	}
	filled, err := c.s.Filled()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := begun.ToEnd(context.Background()); err != nil {
		return "cannot run", filled
	}
	res := begun.Result()
	if v := res.Violation(); v != nil {
		return "breaks " + string(v.Invariant), filled
	}
	if !res.OK() {
		return "wrong result", filled
	}
	rep, err := inspect.Code(code)
	switch {
	case err != nil:
		return "does not decode", filled
	case len(rep.Flaws) > 0:
		return "flaw in code", filled
	case len(rep.Differences) > 0:
		return "differs from what is known", filled
	case len(rep.Unchecked) > 0:
		return "says that code is unchecked", filled
	}
	return calledOK, filled
}

// side is what a JIT made of a scenario, for the judge.
type side struct {
	c      *campaign
	code   *runner.Compiled
	filled []*image.Image
	prog   int
	fn     int
	edit   *edits.Edit // nil for none
}

// Run implements edits.Side.
func (s *side) Run(w *edits.Way, at edits.Reached) edits.Outcome {
	setup := s.code.Setup()
	images := s.filled
	if w.Empty {
		images = s.code.Images
	}
	setup.Images = append(slices.Clone(images), setup.Images[len(images):]...)
	img := *images[w.Prog]
	img.Funcs = slices.Clone(img.Funcs)
	for i := range img.Funcs {
		var of []*edits.Edit
		if s.edit != nil && w.Prog == s.prog && i == s.fn {
			of = append(of, s.edit)
		}
		img.Funcs[i].Code = w.Force(img.Funcs[i].Code, i, of)
	}
	setup.Images[w.Prog] = &img
	if !w.Empty {
		for _, sl := range s.code.Built.Slots {
			setup.Slots = append(setup.Slots, guest.Slot{Map: sl.Map, Key: sl.Key, Prog: sl.Program})
		}
	}
	b := edits.Bench{Rig: s.c.rig, Limit: s.code.Target.Limit, Prepare: s.prepare}
	return b.Run(setup, w, at)
}

// prepare gives packet and arrays random contents.
func (s *side) prepare(m *runner.Machine, w *edits.Way) (image.Addr, error) {
	r := rand.New(rand.NewPCG(w.Inputs, 7))
	packet := make([]byte, s.packetRoom())
	if w.Inputs > 0 {
		for i := range packet {
			packet[i] = byte(edits.Input(r))
		}
		for i := range s.code.Built.Maps {
			if s.code.Built.Maps[i].Type != bpf.ArrayMap {
				continue
			}
			for key := range min(s.code.Built.Maps[i].MaxEntries, 4) {
				k := binary.LittleEndian.AppendUint32(nil, key)
				v, err := m.LookupElem(i, k)
				if err != nil || v == nil {
					continue
				}
				v = bytes.Clone(v)
				for n := 0; n+8 <= len(v); n += 8 {
					binary.LittleEndian.PutUint64(v[n:], edits.Input(r))
				}
				_ = m.UpdateElem(i, k, v, guest.UpdateAny)
			}
		}
	}
	ctx, err := runner.PlaceContext(m, s.code.Target, s.code.Built.Programs[w.Prog].Type, packet, nil)
	if err == nil && s.code.Images[w.Prog].Funcs[0].Frame.RunCtx {
		ctx, err = m.WrapContext(ctx)
	}
	return ctx, err
}

func (s *side) packetRoom() int {
	n := 0
	for i := range s.code.Built.Actions {
		n = max(n, len(s.code.Built.Actions[i].Packet))
	}
	return n
}

// edit makes an edit of what a JIT made of a scenario, and compares what run says of it with what the judge says. It reports
// whether there was an edit to make.
func (c *campaign) edit(good *side) bool {
	p := c.r.IntN(len(good.code.Images))
	img := good.code.Images[p]
	fn := c.r.IntN(len(img.Funcs))
	f := &img.Funcs[fn]
	e, ok := edits.Draw(c.r, f.Code, f.Addr)
	if !ok || c.owned && !owned(img, fn, &e) {
		return false
	}
	now, ok := e.Image(img, fn)
	if !ok {
		return false
	}
	code := *good.code
	code.Images = slices.Clone(code.Images)
	code.Images[p] = now
	if edits.Overlap(code.Images) {
		return false
	}
	verdict, filled := c.verdict(&code)
	c.how[verdict]++
	k := c.kinds[e.Kind]
	if verdict != calledOK {
		k.found++
		return true
	}
	bad := &side{c: c, code: &code, filled: filled, prog: p, fn: fn, edit: &e}
	if why := c.changes(good, bad); why != "" {
		k.changed++
		k.missed++
		c.t.Errorf("MISSED %s on %s: program %d, function %d, %s +%#x: %s -> %s (% x): %s", code.Built.Scenario.Name, code.Target.Name, p, fn, e.Kind, e.Lo, e.Old, e.New, e.Repl, why)
		return true
	}
	k.kept++
	return true
}

// changes says what an edit changes that can be seen, "" if nothing was found.
func (c *campaign) changes(good, bad *side) string {
	e, img := bad.edit, good.filled[bad.prog]
	if why := edits.SeenByKernel(img, bad.fn, e, good.code.Target.Emit.ENDBR); why != "" {
		return why
	}
	tails := false
	for i := range img.Funcs {
		tails = tails || len(img.Funcs[i].TailCalls) > 0
	}
	var ways []edits.Way
	for _, a := range good.code.Built.Actions {
		if a.Kind == scenarios.ActRun {
			ways = append(ways, edits.Ways(a.Program, bad.prog, tails, false)...)
			ways = append(ways, edits.Ways(a.Program, bad.prog, tails, true)...)
			break
		}
	}
	if why, reached := edits.Differ(e, img.Funcs[bad.fn].Addr, ways, good, bad); reached {
		return why
	}
	for _, empty := range []bool{false, true} {
		img := good.filled[bad.prog]
		if empty {
			img = good.code.Images[bad.prog]
		}
		if why := edits.DifferForced(e, bad.prog, bad.fn, img, empty, good, bad); why != "" {
			return why
		}
	}
	return ""
}

// owned reports whether an edit is of code that the design owns: a prologue, an exit, a tail call, a call of another
// function of the program and what loads its counter.
func owned(img *image.Image, fn int, e *edits.Edit) bool {
	f := &img.Funcs[fn]
	over := func(lo, hi image.CodeOff) bool { return e.Lo < int(hi) && e.Hi > int(lo) }
	if over(0, f.Frame.Body) {
		return true
	}
	for i := range f.TailCalls {
		if over(f.TailCalls[i].Start, f.TailCalls[i].End) {
			return true
		}
	}
	insns := edits.Disassemble(f.Code, f.Addr)
	for i := range insns {
		in := &insns[i]
		at := image.CodeOff(in.PC - f.Addr)
		if calls := slices.IndexFunc(f.Calls, func(c image.CallSite) bool { return c.Func >= 0 && c.Off == at || c.TakeBack > 0 && c.TakeBack == at }); calls >= 0 {
			lo := i
			if before := &insns[max(i-1, 0)]; before.Op == "mov" && before.Load && before.Mem.Base == x86.RBP && before.Writes.Has(x86.RAX) {
				lo-- // the counter
			}
			if e.Lo >= int(insns[lo].PC-f.Addr) && e.Hi <= int(in.Next()-f.Addr) {
				return true
			}
		}
		if in.Op != "leave" && in.Branch != x86.BranchRet {
			continue
		}
		lo := i
		for lo > 0 && insns[lo-1].Op == "pop" {
			lo--
		}
		hi := i
		if in.Op == "leave" && i+1 < len(insns) {
			hi++
		}
		if over(image.CodeOff(insns[lo].PC-f.Addr), image.CodeOff(insns[hi].Next()-f.Addr)) {
			return true
		}
	}
	return false
}

// perScenario is how many edits what a target makes of a scenario gets in a row.
const perScenario = 5

// run makes n edits of what targets make of scenarios.
func (c *campaign) run(n int, all []*scenarios.Built, targets []*jit.Target) {
	for done, tried := 0, 0; done < n; tried++ {
		if tried > 100*n {
			c.t.Fatalf("%d edits of %d could be made", done, n)
		}
		b, target := all[c.r.IntN(len(all))], targets[c.r.IntN(len(targets))]
		code, err := runner.Compile(b, target)
		if err != nil || len(code.Trampolines()) > 0 {
			continue
		}
		v, filled := c.verdict(code)
		if v != calledOK {
			c.how["unedited: "+v]++
			continue
		}
		good := &side{c: c, code: code, filled: filled}
		for range perScenario {
			if c.edit(good) {
				done++
			}
		}
	}
}

func (c *campaign) report() {
	var all tally
	for _, k := range edits.Kinds() {
		n := c.kinds[k]
		c.t.Logf("%-20s %+v", k, *n)
		all.changed, all.found, all.missed, all.kept = all.changed+n.changed, all.found+n.found, all.missed+n.missed, all.kept+n.kept
	}
	c.t.Logf("all: %+v", all)
	for _, k := range slices.Sorted(maps.Keys(c.how)) {
		c.t.Logf("%s: %d", k, c.how[k])
	}
}

func edited() int {
	switch {
	case *editCount > 0:
		return *editCount
	case testing.Short():
		return 60
	}
	return 1000
}

// TestOwnEdits makes random edits of what targets make of the library, in code that their designs own.
func TestOwnEdits(t *testing.T) {
	c := newCampaign(t, 1, true)
	c.run(edited(), runnertest.Library(t), runnertest.AllTargets(t))
	c.report()
}

// TestSourceEdits makes random edits of what kernels' C files make of the library, anywhere: of the code of an edited file is
// known what the file's own kernel emits. The files are those of trees, and tcsim's own emitter in place of one.
func TestSourceEdits(t *testing.T) {
	names := []string{"", "6.1", "6.12", "7.3"}
	if testing.Short() {
		names = names[:1]
	}
	for i, name := range names {
		n := edited()/len(names) + 1
		t.Run(cmp.Or(name, "ours"), func(t *testing.T) {
			c := newCampaign(t, 2+uint64(i), false)
			var targets []*jit.Target
			if name == "" {
				for _, own := range runnertest.AllTargets(t) {
					if own.Design.Traits().Kernel != kernels.NoDesign {
						target := *own
						target.Emitter = &runnertest.Emitter{Makes: own, Is: &jit.Original{Target: own, Release: own.Name}}
						targets = append(targets, &target)
					}
				}
			} else {
				targets = append(targets, fromTree(t, name))
			}
			c.run(n, runnertest.Library(t), targets)
			c.report()
		})
	}
}

// fromTree is a target whose code a kernel's C file makes, or skips.
func fromTree(t *testing.T, version string) *jit.Target {
	t.Helper()
	dir := os.Getenv("TCSIM_SOURCES")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(cache, "tcsim", "src")
	}
	found, err := filepath.Glob(filepath.Join(dir, version+".*", ktree.JITFile))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		why := fmt.Sprintf("no source of kernel %s in %s: run .ci/setup-sources", version, dir)
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	o := &source.Opener{Processor: func() (source.Processor, error) { return emu.NewProcessor(2 << 30) }, Cache: compiler.CacheDir()}
	target, err := o.Open(strings.TrimSuffix(found[0], "/"+ktree.JITFile))
	if err != nil {
		t.Fatal(err)
	}
	made := target.Emitter.(*source.JIT)
	t.Cleanup(func() {
		if err := made.Close(); err != nil {
			t.Error(err)
		}
	})
	of := *made.Original()
	of.Unedited = false
	target.Emitter = &changed{made, &of}
	return target
}

// changed is the JIT of a tree that counts as edited.
type changed struct {
	*source.JIT
	of *jit.Original
}

// Original implements jit.Comparable.
func (c *changed) Original() *jit.Original { return c.of }
