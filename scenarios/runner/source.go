// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/recognise"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/inkernel"
	"github.com/tcsim/tcsim/scenarios/object"
)

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
	if changed := *c.Target; c.Design != "" && c.Design != recognise.UnknownDesign && !sameDesign(c.Design, changed.Scheme) {
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
		return inkernel.ObjectRuns(f)
	}
	loaded, err := scenarios.Load(sc.Name+".yaml", []byte(sc.Source))
	if err != nil {
		return nil, err
	}
	return scenarios.Build(loaded)
}

// sourceTracing puts the kernel's own trampolines in place: one for each attach event, in their order.
func (c *Captured) sourceTracing() error {
	sites := map[*scenarios.Action]image.Patch{}
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
		c.tracing.images = append(c.tracing.images, &image.Image{Limit: c.Target.Limit, Funcs: []image.FuncImage{*f}})
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
func (c *Captured) sourceImages(state capture.State, symbols *capture.SymbolTable) ([]*image.Image, error) {
	var out []*image.Image
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
	want, err := inkernel.Order(b, sc.Object)
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
func (c *Captured) slotsOf(img *image.Image, p int, symbols *capture.SymbolTable) error {
	prog, err := c.Scenario.Xlated(p, c.header, symbols)
	if err != nil {
		return err
	}
	v, err := verify.Analyse(prog, &c.Target.Kernel)
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
		i := slices.IndexFunc(sites, func(s image.TailCallSite) bool { return s.Start <= places[at].Off && places[at].Off < s.End })
		if i < 0 || !sites[i].Direct {
			return fmt.Errorf("%w at %#x of function %d", errUnlike, places[at].Off, places[at].Func)
		}
		sites[i].Map, sites[i].Key = d.Map, d.Key
	}
	return nil
}

// HasSource reports whether the capture holds the scenario's file, so that replaying plays that.
func (c *Captured) HasSource() bool { return c.compiled != nil }

// updates reports whether the scenario changes prog arrays between its runs.
func (c *Compiled) updates() bool {
	return slices.ContainsFunc(c.Built.Actions, func(a scenarios.Action) bool {
		return (a.Kind == scenarios.ActInsert || a.Kind == scenarios.ActDelete) && c.Built.Maps[a.Map].Type == bpf.ProgArray
	})
}

// setup is what a session loads.
func (c *Compiled) setup() guest.Setup {
	var inner []guest.Inner
	for _, in := range c.Built.Inner {
		inner = append(inner, guest.Inner{Map: in.Map, Key: in.Key, Inner: in.Inner})
	}
	if c.placed != nil {
		s := *c.placed
		s.Inner = inner
		s.Data = contextSpace()
		return s
	}
	return guest.Setup{
		Inner:  inner,
		Images: slices.Concat(c.Images, c.attached.images), VoidRAX: voidRAX(c.Built), Maps: c.Plan.Maps(), Symbols: c.Plan.Symbols(), Offsets: c.Target.Offsets,
		Data: contextSpace(), Packet: make([]byte, c.packetRoom()),
	}
}
