// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/inkernel"
	"github.com/tcsim/tcsim/scenarios/object"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// Sourced is a captured scenario with its file: the kernel's images stand in place of ours, and the file is
// played.
type Sourced struct {
	*Facts
	compiled *runner.Compiled // nil if the code cannot run
	// frozen says that updates of direct tail calls cannot be played: see UnlikeSites.
	frozen bool
}

// sourced prepares a scenario that has its file.
func (c *Facts) sourced() (Captured, error) {
	out := &Sourced{Facts: c}
	if c.missing() != "" {
		return out, nil
	}
	if c.broken = c.decoded.undecoded(capture.Empty, capture.Populated); c.broken != "" {
		return out, nil
	}
	return out, out.place()
}

// place makes the kernel's images what the file is played with.
func (c *Sourced) place() error {
	b, err := builtOf(c.Scenario)
	if err != nil {
		return err
	}
	if err := sameOrder(b, c.Scenario); err != nil {
		return err
	}
	p := runner.Placed{Built: b, Target: c.Target}
	if c.Images, err = c.sourceImages(capture.Empty, c.symbols.Table()); errors.Is(err, errUnlike) {
		// Its direct tail calls cannot be patched, but what the kernel made of them can run.
		c.frozen = true
		c.Images, err = c.sourceImages(capture.Populated, nil)
	}
	if err != nil {
		c.broken = err.Error()
		return nil
	}
	for i, img := range c.Images {
		img.Program = &b.Programs[i]
		c.design(img)
	}
	if changed := *c.Target; c.found.Known() && !c.found.Designs.Has(changed.Design) {
		// A patched kernel: what its sites do counts, not what its release did.
		changed.Design = c.found.Designs.Designs()[0]
		p.Target = &changed
	}
	p.Images, p.Frozen = c.Images, c.frozen
	if err := c.trampolines(&p); err != nil || c.broken != "" {
		return err
	}
	if p.Setup, _, err = c.setup(); err != nil {
		return err
	}
	c.compiled = runner.Place(p)
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
	loaded, err := scenarios.LoadAccepted(sc.Name+".yaml", []byte(sc.Source))
	if err != nil {
		return nil, err
	}
	return scenarios.Build(loaded)
}

// trampolines puts the kernel's own trampolines in place: one for each attach event, in their order.
func (c *Facts) trampolines(p *runner.Placed) error {
	p.Sites = map[*scenarios.Action]image.Patch{}
	b := p.Built
	for i := range b.Actions {
		a := &b.Actions[i]
		if a.Kind != scenarios.ActAttach {
			continue
		}
		n := len(p.Sites)
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
		p.Sites[a] = site
		p.Trampolines = append(p.Trampolines, &image.Image{Limit: c.Target.Limit, Funcs: []image.FuncImage{*f}})
	}
	return nil
}

// UnlikeSites is why a scenario is skipped that updates direct tail calls of an unknown design.
const UnlikeSites = "its direct tail calls look like none that is known, so they cannot be updated"

// errUnlike says that direct tail calls look like none that is known.
var errUnlike = errors.New("no direct tail call is recognised")

// sourceImages makes the images of all programs in a state; with symbols, direct tail calls know their
// slots.
func (c *Facts) sourceImages(state capture.State, symbols *capture.SymbolTable) ([]*image.Image, error) {
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
		if want.Maps[i].Untyped() != sc.Maps[i].Untyped() {
			return fmt.Errorf("source: map %s is another one in the capture", want.Maps[i].Name)
		}
	}
	return nil
}

// slotsOf tells the direct tail calls of an image which slot they belong to. Bytes do not say that;
// the verifier's rules on the xlated form do.
func (c *Facts) slotsOf(img *image.Image, p int, symbols *capture.SymbolTable) error {
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

// updates reports whether the scenario changes prog arrays between its runs.
func updates(b *scenarios.Built) bool {
	return slices.ContainsFunc(b.Actions, func(a scenarios.Action) bool {
		return (a.Kind == scenarios.ActInsert || a.Kind == scenarios.ActDelete) && b.Maps[a.Map].Type == bpf.ProgArray
	})
}
