// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/imports"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// ImportOptions say of imported code what it does not say itself.
type ImportOptions struct {
	Entry string // the program that runs; "" for the first
	// Slots are contents of prog arrays. Others hold what the code shows, or else Entry: the hardest case
	// for the limit.
	Slots []ImportSlot
	// Symbols name what the code calls; nil for none.
	Symbols *imports.Symbols
	Limit   uint32 // of tail calls; 0 is the kernel's
	// Target is the kernel: it says how functions begin and end, and lays out contexts for Packet; nil if it is not known.
	Target *jit.Target
	Type   bpf.ProgType // 0 is SchedCLS
	Packet []byte
}

// ImportSlot is the content of a slot.
type ImportSlot struct {
	Array image.Addr // its struct bpf_array; 0 for every prog array
	Key   uint32
	Prog  string // "" for an empty slot
}

// Imported is code that other tools recorded, with everything made up that running it needs.
type Imported struct {
	Names  []string // of the programs that take part, the one that runs first
	Images []*image.Image
	Design string
	// Notes say what the record does not hold, and what stands in its place.
	Notes []string
	// Flaws are what no kernel means to emit, whether the run gets there or not.
	Flaws []string

	opt   ImportOptions
	limit uint32
	setup guest.Setup
}

// Import prepares imported programs to run. The error lists everything that is missing.
func Import(progs []imports.Prog, opt ImportOptions) (*Imported, error) {
	if opt.Symbols == nil {
		opt.Symbols = imports.NewSymbols()
	}
	b := importer{opt: opt, progs: progs, image: map[string]int{}}
	if err := b.choose(); err != nil {
		return nil, err
	}
	im := &Imported{opt: opt, limit: cmp.Or(opt.Limit, bpf.TailCallLimit)}
	b.im = im
	design, err := b.design()
	if err != nil {
		return nil, err
	}
	im.Design = design.Name()
	if opt.Target != nil {
		im.Design = design.NameOn(opt.Target.Design)
	}
	if err := errors.Join(b.fillSlots(), b.name()); err != nil {
		return nil, err
	}
	b.memory()
	target, err := b.target(&design)
	if err != nil {
		return nil, err
	}
	for i := range b.use {
		b.use[i].img.Limit = target.Limit
		im.Names = append(im.Names, b.use[i].name)
		im.Images = append(im.Images, b.use[i].img)
	}
	im.setup = guest.Setup{
		Images: im.Images, Maps: b.maps, Slots: b.slots, Symbols: b.symbols, Offsets: target.Offsets, Tramp: target.Emit.Tramp,
		Data: runner.ContextSpace(), Packet: slices.Clone(opt.Packet),
	}
	im.opt.Target = target
	if len(opt.Packet) == 0 {
		b.note("the context is all zeros: the dump does not say what the program is called with")
	}
	if err := b.inspect(&design); err != nil {
		return nil, err
	}
	im.Notes = b.notes
	return im, b.clash()
}

// inspect looks at the tail calls and calls of a known design in all programs, those included that do not run. The rest of
// the code is judged by what it does: a dump does not say which kernel's it is.
func (b *importer) inspect(d *recognise.Design) error {
	of := b.opt.Target
	ruled := of != nil && (!d.Shown || d.Designs.Has(of.Design))
	unchecked := "prologues, exits and the code of instructions are checked only where the run comes to them: the dump does not say of which " +
		"kernel they are"
	switch {
	case ruled:
		unchecked = "the code of instructions is checked only where the run comes to it: the dump does not say what they are"
	case of != nil:
		unchecked = fmt.Sprintf("prologues, exits and the code of instructions are checked only where the run comes to them: they are not of %s, "+
			"whose tail calls are as %v", of.Name, of.Design)
	}
	if d.Shown && !d.Known() {
		unchecked = "all code is checked only where the run comes to it: its design is not known"
	}
	b.note("%s", unchecked)
	for i := range b.use {
		if err := b.inspectOne(d, ruled, b.use[i].name, b.use[i].recorded); err != nil {
			return err
		}
	}
	return b.inspectOthers(d, ruled)
}

// inspectOne looks at a program as it was recorded. ruled says that it is of the design of the kernel that is given.
func (b *importer) inspectOne(d *recognise.Design, ruled bool, name string, img *image.Image) error {
	var found []recognise.SiteFlaw
	var err error
	look := func(more []recognise.SiteFlaw, wrong error) {
		found, err = append(found, more...), errors.Join(err, wrong)
	}
	if ruled {
		look(recognise.EntryFlaws(img, entryRules(b.opt.Target)))
	}
	if ruled || d.Known() {
		look(recognise.LooseEnds(img))
	}
	if d.Known() {
		look(recognise.SiteFlaws(img, bpf.TailCallLimit))
		look(recognise.ReloadFlaws(img))
	}
	if err != nil {
		return fmt.Errorf("program %s: %w", name, err)
	}
	for i := range img.Funcs {
		for n := range img.Funcs[i].TailCalls {
			s := &img.Funcs[i].TailCalls[n]
			if ruled && d.Shown {
				if text := countsWhen(b.opt.Target.Design, s); text != "" {
					found = append(found, recognise.SiteFlaw{Func: i, Off: s.Bump, Text: text})
				}
			}
			if to, ok := siteLeads(&img.Funcs[i], s); ok && d.Known() && b.covers(to) && b.landingOf(to) < 0 {
				found = append(found, recognise.SiteFlaw{Func: i, Off: s.Jump, Text: fmt.Sprintf("the tail call leads to %#x, where no program is entered", uint64(to))})
			}
		}
	}
	b.flaws(name, found)
	return nil
}

// covers reports whether an address lies in a program that takes part and whose place is known.
func (b *importer) covers(a image.Addr) bool {
	for i := range b.use {
		for n := range b.use[i].img.Funcs {
			if f := &b.use[i].img.Funcs[n]; b.use[i].placed[n] == imports.Known && a >= f.Addr && a < f.End() {
				return true
			}
		}
	}
	return false
}

// inspectOthers looks at the programs that take no part in the run, and names those that are of another kernel.
func (b *importer) inspectOthers(d *recognise.Design, ruled bool) error {
	for i := range b.progs {
		p := &b.progs[i]
		if _, runs := b.image[p.Name]; runs {
			continue
		}
		img, err := p.Image()
		if err != nil {
			b.note("program %s is not looked at: %v", p.Name, err)
			continue
		}
		own, err := recognise.RecogniseDesign(img)
		if err != nil {
			return fmt.Errorf("program %s: %w", p.Name, err)
		}
		if own.Shown && d.Shown && own.Designs&d.Designs == 0 {
			b.note("program %s is not looked at: it is of another design than %s", p.Name, b.use[0].name)
			continue
		}
		of := *d
		if own.Shown {
			b.agree(p.Name, &own, b.use[0].name, d)
			of = own
		}
		if err := b.inspectOne(&of, ruled, p.Name, img); err != nil {
			return err
		}
	}
	return nil
}

// agree reports where tail calls of a program read elsewhere than those of another one: they are of one kernel.
func (b *importer) agree(program string, d *recognise.Design, other string, of *recognise.Design) {
	for _, o := range []struct {
		what     string
		got, has int32
	}{
		{"bpf_map.max_entries", d.Offsets.MapMaxEntries, of.Offsets.MapMaxEntries}, {"bpf_array.ptrs", d.Offsets.ArrayPtrs, of.Offsets.ArrayPtrs},
		{"bpf_prog.bpf_func", d.Offsets.ProgBPFFunc, of.Offsets.ProgBPFFunc},
	} {
		if o.got != 0 && o.has != 0 && o.got != o.has {
			b.flaw("program %s: its tail calls take %s to be at %#x, and those of %s have it at %#x: one of them is wrong", program, o.what, o.got, other, o.has)
		}
	}
}

func (b *importer) flaw(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(b.im.Flaws, text) {
		b.im.Flaws = append(b.im.Flaws, text)
	}
}

func (b *importer) flaws(program string, found []recognise.SiteFlaw) {
	for _, x := range found {
		b.im.Flaws = append(b.im.Flaws, fmt.Sprintf("program %s: function %d+%#x: %s", program, x.Func, int(x.Off), x.Text))
	}
}

// importer collects what a run of imported code needs.
type importer struct {
	opt   ImportOptions
	progs []imports.Prog
	im    *Imported

	use     []importedProg
	image   map[string]int // index in use by name
	arrays  []importedArray
	maps    []guest.MapSpec
	slots   []guest.Slot
	symbols map[string]image.Addr
	notes   []string
}

// importedProg is a program that takes part.
type importedProg struct {
	name   string
	placed []imports.Place // by function
	img    *image.Image
	code   []decodedFunc // by function
	// recorded is img before anything is filled in.
	recorded *image.Image
}

func (b *importer) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(b.notes, text) {
		b.notes = append(b.notes, text)
	}
}

// choose takes the entry, what the user puts into slots, and what direct tail calls lead to.
func (b *importer) choose() error {
	names := map[string]*imports.Prog{}
	var known []string
	for i := range b.progs {
		p := &b.progs[i]
		if names[p.Name] != nil {
			return fmt.Errorf("two programs are named %s: import them under one name each", p.Name)
		}
		names[p.Name] = p
		known = append(known, p.Name)
	}
	if b.opt.Entry == "" {
		b.opt.Entry = b.progs[0].Name
	}
	wanted := []string{b.opt.Entry}
	for _, s := range b.opt.Slots {
		if s.Prog != "" {
			wanted = append(wanted, s.Prog)
		}
	}
	var errs []error
	for _, n := range wanted {
		if names[n] == nil {
			errs = append(errs, fmt.Errorf("no program %q; the file has %s", n, strings.Join(known, ", ")))
			continue
		}
		errs = append(errs, b.add(names[n]))
	}
	for i := 0; i < len(b.use); i++ {
		for _, to := range b.use[i].leadsTo() {
			for k := range b.progs {
				if p := &b.progs[k]; p.Funcs[0].Place == imports.Known && to >= p.Funcs[0].Addr && to < p.Funcs[0].Addr+image.Addr(len(p.Funcs[0].Code)) {
					errs = append(errs, b.add(p))
				}
			}
		}
	}
	return errors.Join(append(errs, b.overlap())...)
}

// add makes a program take part.
func (b *importer) add(p *imports.Prog) error {
	if _, ok := b.image[p.Name]; ok {
		return nil
	}
	u := importedProg{name: p.Name}
	for i := range p.Funcs {
		if p.Funcs[i].Place == imports.Nowhere {
			return fmt.Errorf("program %s: the dump does not say where function %d is, so calls among functions lead nowhere: give "+
				"--kallsyms or --addrs", p.Name, i)
		}
		u.placed = append(u.placed, p.Funcs[i].Place)
	}
	img, err := p.Image()
	if err != nil {
		return fmt.Errorf("program %s: %w", p.Name, err)
	}
	recorded := *img
	recorded.Funcs = slices.Clone(img.Funcs)
	u.recorded = &recorded
	for i := range img.Funcs {
		img.Funcs[i].Code = slices.Clone(img.Funcs[i].Code) // sites are filled in it
		u.code = append(u.code, decodeFunc(&img.Funcs[i]))
	}
	u.img = img
	b.image[p.Name] = len(b.use)
	b.use = append(b.use, u)
	return nil
}

// overlap refuses programs that lie on each other.
func (b *importer) overlap() error {
	for i := range b.use {
		for k := range b.use[:i] {
			for n := range b.use[i].img.Funcs {
				for m := range b.use[k].img.Funcs {
					x, y := &b.use[i].img.Funcs[n], &b.use[k].img.Funcs[m]
					if x.Addr < y.End() && y.Addr < x.End() {
						return fmt.Errorf("programs %s and %s lie on each other: they were not loaded at one time, or have no addresses "+
							"(--kallsyms or --addrs)", b.use[k].name, b.use[i].name)
					}
				}
			}
		}
	}
	return nil
}

// design finds the one design of all programs. It is the zero value if there are no tail calls.
func (b *importer) design() (recognise.Design, error) {
	var out recognise.Design
	of := ""
	for i := range b.use {
		d, err := recognise.RecogniseDesign(b.use[i].img)
		if err != nil {
			return out, fmt.Errorf("program %s: %w", b.use[i].name, err)
		}
		switch {
		case !d.Shown:
		case !out.Shown:
			out, of = d, b.use[i].name
		case out.Known() != d.Known() || out.Known() && out.Designs&d.Designs == 0:
			return out, fmt.Errorf("program %s is of %s, but %s of %s: they are not of one kernel", of, out.Name(), b.use[i].name, d.Name())
		default:
			out.Designs &= d.Designs
			b.agree(b.use[i].name, &d, of, &out)
			for _, o := range []struct{ have, got *int32 }{
				{&out.Offsets.MapMaxEntries, &d.Offsets.MapMaxEntries}, {&out.Offsets.ArrayPtrs, &d.Offsets.ArrayPtrs},
				{&out.Offsets.ProgBPFFunc, &d.Offsets.ProgBPFFunc},
			} {
				*o.have = cmp.Or(*o.have, *o.got)
			}
		}
		if d.Mixed {
			b.flaw("program %s: its tail calls differ in limit, landing or offsets, which the code of one kernel does not", b.use[i].name)
		}
	}
	return out, nil
}

// target is what the machine takes offsets in structures from. What indirect tail calls read comes
// from them; nothing else of the structures is read.
func (b *importer) target(d *recognise.Design) (*jit.Target, error) {
	t := b.opt.Target
	if t == nil {
		newest, err := jit.TargetByName(kernels.Newest().Name())
		if err != nil {
			return nil, err
		}
		t = newest
	}
	out := *t
	out.Name, out.Decoded, out.Limit = DecodedTarget, true, b.im.limit
	for _, o := range []struct {
		what        string
		shown, said int32
	}{
		{"bpf_map.max_entries", d.Offsets.MapMaxEntries, t.Offsets.MapMaxEntries}, {"bpf_array.ptrs", d.Offsets.ArrayPtrs, t.Offsets.ArrayPtrs},
		{"bpf_prog.bpf_func", d.Offsets.ProgBPFFunc, t.Offsets.ProgBPFFunc},
	} {
		if b.opt.Target != nil && o.shown != 0 && o.shown != o.said {
			b.note("the code takes %s to be at %#x, and %s has it at %#x: that is right only if the configuration is another", o.what, o.shown, t.Name, o.said)
		}
	}
	out.Offsets.MapMaxEntries = cmp.Or(d.Offsets.MapMaxEntries, out.Offsets.MapMaxEntries)
	out.Offsets.ArrayPtrs = cmp.Or(d.Offsets.ArrayPtrs, out.Offsets.ArrayPtrs)
	out.Offsets.ProgBPFFunc = cmp.Or(d.Offsets.ProgBPFFunc, out.Offsets.ProgBPFFunc)
	return &out, nil
}

// load puts imported code into the machine.
func (r *Replayer) loadImported(im *Imported) (*runner.Machine, error) {
	return r.rig.Load(im.setup, r.opt, im.limit)
}

// enter prepares a run.
func (im *Imported) enter(m *runner.Machine) (emu.Run, error) {
	ctx := guest.ContextAddr
	if len(im.opt.Packet) > 0 {
		var err error
		if ctx, err = runner.PlaceContext(m, im.opt.Target, cmp.Or(im.opt.Type, bpf.SchedCLS), im.opt.Packet, nil); err != nil {
			return emu.Run{}, err
		}
	}
	if im.Images[0].Funcs[0].Frame.RunCtx {
		var err error
		if ctx, err = m.WrapContext(ctx); err != nil {
			return emu.Run{}, err
		}
	}
	return emu.Run{Args: []uint64{uint64(ctx)}}, nil
}

// RunImported runs imported code once and judges it by every invariant that needs no BPF program to
// compare with: semantics and pokes are not among them. The error is a failure of ours, or
// jit.ErrUnsupported where the code calls what is not modelled.
func (r *Replayer) RunImported(ctx context.Context, im *Imported) (*runner.Run, error) {
	m, err := r.loadImported(im)
	if err != nil {
		return nil, err
	}
	run, err := im.enter(m)
	if err != nil {
		return nil, err
	}
	out, err := m.Perform(ctx, run)
	if err != nil {
		return nil, err
	}
	out.Program = im.Names[0]
	m.Latent(out)
	return out, nil
}

// StackImported draws the stack of imported code's run at the moments that at selects.
func (r *Replayer) StackImported(ctx context.Context, im *Imported, at stack.At) ([]runner.Drawing, error) {
	m, err := r.loadImported(im)
	if err != nil {
		return nil, err
	}
	return m.Draw(ctx, at, func() (emu.Run, error) { return im.enter(m) })
}
