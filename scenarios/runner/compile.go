// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/kernel"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/verify/rewrite"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/owner"
	"github.com/tcsim/tcsim/scenarios/reach"
)

// Compiled is a scenario as one target's kernel holds it after loading: its images placed, prog
// arrays still empty. It is immutable and may be shared by sessions.
type Compiled struct {
	Built  *scenarios.Built
	Target *jit.Target
	Images []*image.Image // in order of Built.Programs

	base     guest.Setup        // what does not follow from the rest: maps, symbols, offsets
	verified []*verify.Verified // in order of Built.Programs; nil if a kernel has compiled
	attached attachments
	frozen   bool // direct tail calls stay as they are: updates do not patch them
}

// compiler makes a Compiled.
type compiler struct {
	*Compiled
	plan *kernel.Plan
	env  image.Env // plan, or plan with places of its own
}

// Compile brings every program of a scenario through the verifier's rewrites, its analysis and the
// JIT of a target. The scenario's limit, if it sets one, replaces the target's. It reports the
// mistakes of all programs; they wrap jit.ErrUnsupported where the target lacks something.
func Compile(b *scenarios.Built, t *jit.Target) (*Compiled, error) {
	c, refused := CompileAccepted(b, t)
	if err := errors.Join(refused...); err != nil {
		return nil, err
	}
	return c, nil
}

// CompileAccepted is Compile for code that is looked at even where something is refused: the programs of the result are
// those that the target takes, in their order; refused says why not of each other one, and else of what is attached. A
// result of which something was refused is not for running.
func CompileAccepted(b *scenarios.Built, t *jit.Target) (c *Compiled, refused []error) {
	each, refused := compileEach(b, t)
	if len(refused) == 0 {
		if err := each.complete(); err != nil {
			refused = []error{err}
		}
	}
	return each.Compiled, refused
}

// complete adds what the scenario attaches, and what a session loads besides the images.
func (c *compiler) complete() error {
	if err := c.attachAll(); err != nil {
		return fmt.Errorf("scenario %s: %w", c.Built.Scenario.Name, err)
	}
	c.base = guest.Setup{
		Maps: c.plan.Maps(), Symbols: c.plan.Symbols(), Routines: c.plan.Routines(), Offsets: c.Target.Offsets, Tramp: c.Target.Emit.Tramp,
	}
	return c.replaceable()
}

// compileEach compiles the programs that the target takes. What it returns has no others.
func compileEach(b *scenarios.Built, t *jit.Target) (compiler, []error) {
	b = b.For(t)
	if l := b.Scenario.Limit; l != 0 && l != t.Limit {
		limited := *t
		limited.Limit = l
		t = &limited
	}
	c := compiler{Compiled: &Compiled{Built: b, Target: t}, plan: kernel.NewPlan(t.Offsets, b.Maps)}
	c.env = c.plan
	var errs []error
	if _, err := owner.New(b, t.Policy); err != nil {
		errs = append(errs, fmt.Errorf("scenario %s: %w", b.Scenario.Name, err))
	}
	refused := map[int]bool{}
	for i := range b.Programs {
		c.plan.AddKfuncs(b.Programs[i].Kfuncs)
		img, v, err := compileVerified(&b.Programs[i], t, c.plan)
		if err != nil {
			of := fmt.Errorf("scenario %s: program %s: %w", b.Scenario.Name, b.Programs[i].Name, err)
			errs = append(errs, b.Place(i, rewrittenPlaces(&b.Programs[i], t, err), of))
			refused[i] = true
			continue
		}
		c.Images = append(c.Images, img)
		c.verified = append(c.verified, v)
	}
	if len(refused) > 0 {
		some := *b
		some.Programs = nil
		for i := range b.Programs {
			if !refused[i] {
				some.Programs = append(some.Programs, b.Programs[i])
			}
		}
		c.Built = &some
	}
	return c, errs
}

// Placed is what a kernel made of a scenario: its images, where it had them.
type Placed struct {
	Built  *scenarios.Built
	Target *jit.Target
	Images []*image.Image // in order of Built.Programs
	// Trampolines are those of the attach events, in their order, and Sites what each of these events
	// changes.
	Trampolines []*image.Image
	Sites       map[*scenarios.Action]image.Patch
	// Setup has maps, symbols and offsets; the rest is not looked at.
	Setup guest.Setup
	// Frozen says that direct tail calls stay as they are: updates do not patch them.
	Frozen bool
}

// Place is Compile where a kernel has compiled already.
func Place(p Placed) *Compiled {
	return &Compiled{
		Built: p.Built, Target: p.Target, Images: p.Images, frozen: p.Frozen,
		base:     guest.Setup{Maps: p.Setup.Maps, Symbols: p.Setup.Symbols, Offsets: p.Setup.Offsets, Tramp: p.Setup.Tramp},
		attached: attachments{p.Trampolines, p.Sites},
	}
}

// Setup is what a session loads; prog arrays and maps are empty.
func (c *Compiled) Setup() guest.Setup {
	s := c.base
	s.Images = slices.Concat(c.Images, c.attached.images)
	for _, in := range c.Built.Inner {
		s.Inner = append(s.Inner, guest.Inner{Map: in.Map, Key: in.Key, Inner: in.Inner})
	}
	s.VoidRAX, s.Data, s.Packet = voidRAX(c.Built), ContextSpace(), make([]byte, c.packetRoom())
	s.PktType = c.Target.Context.PktType()
	return s
}

// Reach notes what the verifier met and the emitter made of all programs.
func (c *Compiled) Reach(s *reach.Set) {
	for i, v := range c.verified {
		s.Verified(v)
		s.Image(v, c.Images[i])
	}
}

// RunAt returns the index of run number n, from 1, among the scenario's events.
func (c *Compiled) RunAt(n int) (index int, err error) {
	k := 0
	for i := range c.Built.Actions {
		if c.Built.Actions[i].Kind == scenarios.ActRun {
			if k++; k == n {
				return i, nil
			}
		}
	}
	return 0, fmt.Errorf("it has %d runs: there is no run %d", k, n)
}

// replaceable reports functions that the scenario replaces and the target cannot.
func (c *Compiled) replaceable() error {
	for i := range c.Built.Actions {
		a := &c.Built.Actions[i]
		if a.Kind != scenarios.ActReplace {
			continue
		}
		f := &c.Images[a.Replaced].Funcs[a.Func]
		if _, err := emit.ReplacePatch(f, c.Target.Emit.ENDBR, f.Addr); err != nil {
			return fmt.Errorf("scenario %s: program %s: %w", c.Built.Scenario.Name, c.Built.Programs[a.Replaced].Name, err)
		}
	}
	return nil
}

// Landing is where tail calls enter a program, by index; 0 for none, which -1 also stands for.
func (c *Compiled) Landing(prog int) image.Addr {
	if prog < 0 {
		return 0
	}
	a, _ := c.Images[prog].Landing()
	return a
}

// SlotName is a slot as scenarios write it.
func (c *Compiled) SlotName(s Slot) string {
	return fmt.Sprintf("%s[%d]", c.Built.Maps[s.Map].Name, s.Key)
}

// ProgName is the name of a program by index, "empty" for -1.
func (c *Compiled) ProgName(p int) string {
	if p < 0 {
		return "empty"
	}
	return c.Built.Programs[p].Name
}

// packetRoom is the size of the largest packet of any run.
func (c *Compiled) packetRoom() int {
	n := 0
	for i := range c.Built.Actions {
		n = max(n, len(c.Built.Actions[i].Packet))
	}
	return n
}

// compile brings one program through rewrites, analysis and JIT.
func compile(p *bpf.Program, t *jit.Target, env image.Env) (*image.Image, error) {
	img, _, err := compileVerified(p, t, env)
	return img, err
}

// refused is an error about a program as it was built.
type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

// rewrittenPlaces says where the instructions of a program went, which an error is about; nil if it is about the program as
// it was built.
func rewrittenPlaces(p *bpf.Program, t *jit.Target, err error) []bpf.InsnIndex {
	if errors.As(err, new(refused)) {
		return nil
	}
	_, places, err := rewrite.Places(p, &t.Kernel)
	if err != nil {
		return nil
	}
	return places
}

// compileVerified also returns what the analysis found.
func compileVerified(p *bpf.Program, t *jit.Target, env image.Env) (*image.Image, *verify.Verified, error) {
	rewritten, err := rewrite.Program(p, &t.Kernel)
	if err != nil {
		return nil, nil, refused{err}
	}
	v, err := verify.Analyse(rewritten, &t.Kernel)
	if err != nil {
		return nil, nil, err
	}
	img, err := jit.Compile(v, t, env)
	return img, v, err
}
