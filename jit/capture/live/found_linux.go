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
// program type, because programs that tail call each other are of one. The programs go on running
// meanwhile; nothing is changed.
func (k *Kernel) Found(c Choice) (*capture.File, error) {
	progs, err := chosen(c)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, p := range progs {
			p.Close()
		}
	}()
	groups := map[bpf.ProgType]*found{}
	for id, p := range progs {
		t := bpf.ProgType(p.Type())
		if groups[t] == nil {
			groups[t] = &found{sc: capture.Scenario{
				Name: fmt.Sprintf("found/%v", p.Type()), Category: "found", ProgType: t, Found: true,
			}, ids: map[uint32]int{}, progs: map[uint32]int{}}
		}
		groups[t].order = append(groups[t].order, id)
	}
	out := &capture.File{Header: k.Header}
	for _, t := range sortedTypes(groups) {
		g := groups[t]
		slices.Sort(g.order)
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

// found is the programs of one type.
type found struct {
	sc    capture.Scenario
	order []uint32       // program ids
	ids   map[uint32]int // map ids -> index
	progs map[uint32]int // program ids -> index
}

// chosen opens the programs, by id.
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
	if err := errors.Join(errs...); err != nil {
		for _, p := range out {
			p.Close()
		}
		return nil, err
	}
	if len(out) == 0 {
		return nil, errors.New("no programs are loaded")
	}
	return out, nil
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
		g.sc.Progs = append(g.sc.Progs, p)
	}
	return g.slots()
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
	out, err := d.convert(g.ids)
	if err != nil {
		return err
	}
	if err := funcNames(d, out); err != nil {
		return err
	}
	if err := p.Load(out); err != nil {
		return err
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
