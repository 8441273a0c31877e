// SPDX-License-Identifier: GPL-2.0-only

package live

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
)

// Choice says which programs that others loaded are captured.
type Choice struct {
	IDs    []uint32 // program ids
	Pinned []string // paths in a BPF file system
	All    bool     // every program that has code
}

// Any reports whether anything is chosen.
func (c *Choice) Any() bool { return len(c.IDs) > 0 || len(c.Pinned) > 0 || c.All }

// Found captures programs that are loaded already, as they are at the moment: one scenario for each
// program type, because programs that tail call each other are of one. Programs that trace or replace functions of
// others are with those: all are captured if one is chosen. The programs go on running
// meanwhile; nothing is changed.
func (k *Kernel) Found(c Choice) (*capture.File, error) {
	progs, err := chosen(c)
	defer func() {
		for _, p := range progs {
			p.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	w, err := k.look()
	if err != nil {
		return nil, err
	}
	aims, err := aimed(w, progs)
	if err != nil {
		return nil, err
	}
	groups := map[bpf.ProgType]*found{}
	for _, id := range ids(progs) {
		root := id
		for range progs { // what traces what traces: the kernel has no cycles
			if of := aims[root].prog; of != 0 {
				root = of
			}
		}
		t := bpf.ProgType(progs[root].Type())
		if groups[t] == nil {
			groups[t] = &found{sc: capture.Scenario{
				Name: fmt.Sprintf("found/%v", progs[root].Type()), Category: "found", ProgType: t, Found: true,
			}, aims: aims, attachedIn: w.attached(), ids: map[uint32]int{}, progs: map[uint32]int{}, funcs: map[uint32][]uint32{}}
		}
		groups[t].order = append(groups[t].order, id)
	}
	out := &capture.File{Header: k.Header}
	for _, t := range sortedTypes(groups) {
		g := groups[t]
		if err := g.read(k, progs); err != nil {
			return nil, err
		}
		if err := g.sc.Derive(k.symbols.name); err != nil {
			return nil, err
		}
		out.Scenarios = append(out.Scenarios, g.sc)
	}
	out.Header.Scenarios = len(out.Scenarios)
	out.Symbols = k.Symbols(out.Scenarios)
	return out, nil
}

func sortedTypes(groups map[bpf.ProgType]*found) []bpf.ProgType {
	var out []bpf.ProgType
	for t := range groups {
		out = append(out, t)
	}
	slices.Sort(out)
	return out
}

// aimed finds what programs were loaded for, and opens those that trace or replace functions of each other, if one of
// them is there.
func aimed(w *world, progs map[uint32]*ebpf.Program) (map[uint32]aim, error) {
	aims := map[uint32]aim{}
	for id := range w.progs {
		aims[id] = w.aim(id)
	}
	open := func(id uint32) error {
		p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
		if err != nil {
			return fmt.Errorf("program %d, which traces or replaces a function or has one that is: %w", id, err)
		}
		progs[id] = p
		return nil
	}
	for more := true; more; {
		more = false
		for _, id := range ids(aims) {
			of := aims[id].prog
			if of == 0 || w.progs[of] == nil || (progs[id] == nil) == (progs[of] == nil) {
				continue
			}
			more = true
			if progs[id] == nil {
				of = id
			}
			if err := open(of); err != nil {
				return nil, err
			}
		}
	}
	return aims, nil
}

// found is the programs of one type, with those that trace or replace their functions.
type found struct {
	sc    capture.Scenario
	order []uint32 // program ids
	aims  map[uint32]aim
	// attachedIn are ids of programs that trace functions, in the order in which they were attached.
	attachedIn []uint32
	ids        map[uint32]int      // map ids -> index
	progs      map[uint32]int      // program ids -> index
	funcs      map[uint32][]uint32 // program ids -> type ids of functions
}

// chosen opens the programs, by id. What it opened is the caller's to close, also with an error.
func chosen(c Choice) (map[uint32]*ebpf.Program, error) {
	out := map[uint32]*ebpf.Program{}
	var errs []error
	add := func(p *ebpf.Program, err error, what string) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
			return
		}
		info, err := p.Info()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err), p.Close())
			return
		}
		id, _ := info.ID()
		if _, twice := out[uint32(id)]; twice {
			errs = append(errs, p.Close())
			return
		}
		out[uint32(id)] = p
	}
	for _, id := range c.IDs {
		p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
		add(p, err, fmt.Sprintf("program %d", id))
	}
	for _, path := range c.Pinned {
		p, err := ebpf.LoadPinnedProgram(path, &ebpf.LoadPinOptions{ReadOnly: true})
		if errors.Is(err, ebpf.ErrNotSupported) {
			p, err = ebpf.LoadPinnedProgram(path, nil)
		}
		add(p, err, path)
	}
	if c.All {
		for id, err := ebpf.ProgramGetNextID(0); err == nil; id, err = ebpf.ProgramGetNextID(id) {
			p, err := ebpf.NewProgramFromID(id)
			if errors.Is(err, ebpf.ErrKeyNotExist) {
				continue // unloaded meanwhile
			}
			add(p, err, fmt.Sprintf("program %d", id))
		}
	}
	if len(out) == 0 && len(errs) == 0 {
		return nil, errors.New("no programs are loaded")
	}
	return out, errors.Join(errs...)
}

// read reads all programs and their maps. What cannot be read of one is its LoadError.
func (g *found) read(k *Kernel, progs map[uint32]*ebpf.Program) error {
	for _, id := range g.order {
		p := capture.Prog{Name: fmt.Sprintf("prog%d", id)}
		if err := g.program(k, &p, id, progs[id].FD()); err != nil {
			p = capture.Prog{Name: p.Name, LoadError: err.Error(), Insns: []bpf.Insn{{Op: 0x95}}} // nothing is known of it
		} else {
			g.progs[id] = len(g.sc.Progs)
		}
		if t := bpf.ProgType(progs[id].Type()); t != g.sc.ProgType {
			p.Type = t
		}
		g.sc.Progs = append(g.sc.Progs, p)
	}
	g.attached()
	g.sites(k)
	return g.slots()
}

// attached says of each program what it was loaded for.
func (g *found) attached() {
	for id, i := range g.progs {
		a := g.aims[id]
		p := &g.sc.Progs[i]
		p.AttachType, p.AttachTo = a.attachType, a.kernel
		of, ok := g.progs[a.prog]
		fn := slices.Index(g.funcs[a.prog], a.typeID)
		kind := a.kind(g.sc.Type(i))
		if a.prog == 0 || !ok || fn < 0 || kind == "" {
			continue
		}
		p.Attach, p.Type, p.AttachType = &capture.Attach{Kind: kind, Prog: of, Func: fn}, 0, 0
	}
}

// program reads one program.
func (g *found) program(k *Kernel, p *capture.Prog, id uint32, fd int) error {
	d, err := readProg(fd)
	if err != nil {
		return err
	}
	for _, m := range d.mapIDs {
		if err := g.mapOf(m); err != nil {
			return fmt.Errorf("map %d: %w", m, err)
		}
	}
	if err := k.hidden(d); err != nil {
		return err
	}
	out, err := d.convert(g.ids, k.Header.Blinds())
	if err != nil {
		return err
	}
	if err := funcNames(d, out); err != nil {
		return err
	}
	if err := p.Load(out); err != nil {
		return err
	}
	for _, f := range d.funcs {
		g.funcs[id] = append(g.funcs[id], f.typeID)
	}
	p.Name = fmt.Sprintf("%s#%d", out.Funcs[0].Name, id)
	return nil
}

// mapOf adds a map of a program.
func (g *found) mapOf(id uint32) error {
	if _, ok := g.ids[id]; ok {
		return nil
	}
	m, err := ebpf.NewMapFromID(ebpf.MapID(id))
	if err != nil {
		return err
	}
	defer m.Close()
	info, err := m.Info()
	if err != nil {
		return err
	}
	g.ids[id] = len(g.sc.Maps)
	g.sc.Maps = append(g.sc.Maps, capture.Map{Map: bpf.Map{
		Name: info.Name, Type: bpf.MapType(m.Type()), KeySize: m.KeySize(), ValueSize: m.ValueSize(), MaxEntries: m.MaxEntries(),
	}})
	return nil
}

// slots reads the prog arrays. Programs in them that were not chosen are left out.
func (g *found) slots() error {
	for id, i := range g.ids {
		if g.sc.Maps[i].Type != bpf.ProgArray {
			continue
		}
		m, err := ebpf.NewMapFromID(ebpf.MapID(id))
		if err != nil {
			return fmt.Errorf("map %d: %w", id, err)
		}
		var key, prog uint32
		entries := m.Iterate()
		for entries.Next(&key, &prog) {
			if p, ok := g.progs[prog]; ok {
				g.sc.ProgArrays = append(g.sc.ProgArrays, capture.Slot{Map: i, Key: key, Prog: p})
			}
		}
		if err := errors.Join(entries.Err(), m.Close()); err != nil {
			return fmt.Errorf("map %d: %w", id, err)
		}
	}
	slices.SortFunc(g.sc.ProgArrays, func(a, b capture.Slot) int {
		return slices.Compare([]uint32{uint32(a.Map), a.Key}, []uint32{uint32(b.Map), b.Key})
	})
	return nil
}

// funcNames gives functions the names of the program's type information, if it has any.
func funcNames(d *dump, out *capture.Dump) error {
	if d.btfID == 0 || len(d.funcs) == 0 {
		out.Funcs[0].Name = unix.ByteSliceToString(d.name[:])
		return nil
	}
	h, err := btf.NewHandleFromID(btf.ID(d.btfID))
	if err != nil {
		return err
	}
	defer h.Close()
	spec, err := h.Spec(nil)
	if err != nil {
		return err
	}
	for i := range d.funcs {
		t, err := spec.TypeByID(btf.TypeID(d.funcs[i].typeID))
		if err != nil {
			return err
		}
		out.Funcs[i].Name = t.TypeName()
	}
	return nil
}
