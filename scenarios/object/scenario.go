// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/scenarios"
)

// Options say what a scenario does with an object file.
type Options struct {
	// Read says how to open the file; Scenario does not look at it.
	Read ReadOptions
	// Entry is the section or the name of the program that runs; "" means the only one that no prog
	// array holds.
	Entry string
	// Fill are slots that user space fills, each as MAP[KEY]=PROGRAM, on top of what is declared.
	Fill []string
	// AttachTo is PROGRAM[:FUNCTION]: before the runs each fentry, fexit and freplace program of the file is attached to the
	// function of PROGRAM that its section names, or to FUNCTION if it names none. "" attaches none.
	AttachTo string
	// Packets are run one after the other; nil means one of MinPacket zeroes.
	Packets [][]byte
	// Contexts are run one after the other, each as it is in memory, for programs that see no packets; nil means
	// one of zeroes.
	Contexts [][]byte
	// Expect is what each run must give; nil prints only.
	Expect *scenarios.Expect
}

// MinPacket is the size of the packet that programs get if none is given: the shortest Ethernet frame
// without its checksum, in bytes.
const MinPacket = 60

// shortest is the packet that a test run takes at least (ETH_HLEN in net/bpf/test_run.c).
const shortest = 14

// Scenario returns the file as something to run: the entry on each packet, with every program that is
// in a prog array that the entry can reach. It fails if one of them is not modelled.
func (f *File) Scenario(opt Options) (*scenarios.Built, error) {
	slots, err := f.slots(opt.Fill)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	entry, err := f.entry(opt.Entry, slots)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	attached, err := f.attachments(opt.AttachTo)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	progs := f.reach(entry, slots)
	for _, a := range attached {
		progs = append(append(progs, f.reach(a.by, slots)...), f.reach(a.prog, slots)...)
	}
	slices.Sort(progs)
	progs = slices.Compact(progs)
	var errs []error
	for _, p := range progs {
		errs = append(errs, f.progErrs[p])
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	b := f.pick(progs, slots)
	for _, a := range attached {
		b.Programs[slices.Index(progs, a.by)].Hook = nil // a function of the kernel may have that name, too
		b.Actions = append(b.Actions, a.action(b, progs))
	}
	packets := opt.Packets
	if packets == nil {
		packets = [][]byte{make([]byte, MinPacket)}
	}
	entry = slices.Index(progs, entry)
	if opt.Contexts != nil {
		return f.withContexts(b, entry, opt)
	}
	for i, p := range packets {
		if t := b.Programs[entry].Type; len(p) > math.MaxUint16 || len(p) < shortest && (t.SKB() || t == bpf.XDP) {
			return nil, fmt.Errorf("%s: packet %d has %d bytes: expected %d to %d", f.Name, i+1, len(p), shortest, math.MaxUint16)
		}
		ev := &scenarios.Event{Run: &scenarios.Name{Text: b.Programs[entry].Name}, Packet: p, Expect: opt.Expect}
		b.Actions = append(b.Actions, scenarios.Action{Kind: scenarios.ActRun, Event: ev, Program: entry, Packet: p})
	}
	return b, nil
}

// maxContext is how large a context may be, in bytes.
const maxContext = 4096

// withContexts adds a run for each context.
func (f *File) withContexts(b *scenarios.Built, entry int, opt Options) (*scenarios.Built, error) {
	p := &b.Programs[entry]
	if p.Type.SKB() || p.Type == bpf.XDP {
		return nil, fmt.Errorf("%s: program %s (section %s) runs on packets: give those, not contexts", f.Name, p.Name, f.Sections[slices.IndexFunc(f.Programs, func(q bpf.Program) bool { return q.Name == p.Name })])
	}
	for i, c := range opt.Contexts {
		if len(c) > maxContext {
			return nil, fmt.Errorf("%s: context %d has %d bytes: expected at most %d", f.Name, i+1, len(c), maxContext)
		}
		ev := &scenarios.Event{Run: &scenarios.Name{Text: p.Name}, Expect: opt.Expect}
		b.Actions = append(b.Actions, scenarios.Action{Kind: scenarios.ActRun, Event: ev, Program: entry, Raw: c})
	}
	return b, nil
}

// Load returns the file as a scenario that runs nothing, without the programs that are not modelled.
func (f *File) Load(fill []string) (*scenarios.Built, error) {
	slots, err := f.slots(fill)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	var progs []int
	for i := range f.Programs {
		if f.progErrs[i] == nil {
			progs = append(progs, i)
		}
	}
	return f.pick(progs, slots), nil
}

// slots are what is declared and what user space fills.
func (f *File) slots(fill []string) ([]scenarios.Slot, error) {
	slots := slices.Clone(f.Slots)
	var errs []error
	for _, text := range fill {
		s, err := f.slot(text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		slots = slices.DeleteFunc(slots, func(o scenarios.Slot) bool { return o.Map == s.Map && o.Key == s.Key })
		slots = append(slots, s)
	}
	return slots, errors.Join(errs...)
}

// slot reads MAP[KEY]=PROGRAM.
func (f *File) slot(text string) (scenarios.Slot, error) {
	where, prog, ok := strings.Cut(text, "=")
	name, rest, found := strings.Cut(where, "[")
	digits, closed := strings.CutSuffix(rest, "]")
	key, err := strconv.ParseUint(digits, 0, 32)
	if !ok || !found || !closed || err != nil {
		return scenarios.Slot{}, fmt.Errorf("slot %q: expected MAP[KEY]=PROGRAM", text)
	}
	m := slices.IndexFunc(f.Maps, func(m bpf.Map) bool { return m.Name == name && m.Type == bpf.ProgArray })
	if m < 0 {
		var known []string
		for i := range f.Maps {
			if f.Maps[i].Type == bpf.ProgArray {
				known = append(known, f.Maps[i].Name)
			}
		}
		return scenarios.Slot{}, fmt.Errorf("slot %q: no prog array %q: %s", text, name, among(name, known))
	}
	if key >= uint64(f.Maps[m].MaxEntries) {
		return scenarios.Slot{}, fmt.Errorf("slot %q: %s has %d slots", text, name, f.Maps[m].MaxEntries)
	}
	p := slices.IndexFunc(f.Programs, func(p bpf.Program) bool { return p.Name == prog })
	if p < 0 {
		return scenarios.Slot{}, fmt.Errorf("slot %q: no program %q: %s", text, prog, f.amongPrograms(prog))
	}
	return scenarios.Slot{Map: m, Key: uint32(key), Program: p}, nil
}

// reach returns the programs that tail calls from entry can lead to, entry included, in order.
func (f *File) reach(entry int, slots []scenarios.Slot) []int {
	progs, arrays := map[int]bool{}, map[int]bool{}
	work := []int{entry}
	for len(work) > 0 {
		p := work[len(work)-1]
		work = work[:len(work)-1]
		if progs[p] {
			continue
		}
		progs[p] = true
		for m := range f.usedMaps(p) {
			if arrays[m] {
				continue
			}
			arrays[m] = true
			for _, s := range slots {
				if s.Map == m {
					work = append(work, s.Program)
				}
			}
		}
	}
	var out []int
	for i := range f.Programs {
		if progs[i] {
			out = append(out, i)
		}
	}
	return out
}

// pick makes a scenario of some programs and the maps that they use.
func (f *File) pick(progs []int, slots []scenarios.Slot) *scenarios.Built {
	used := f.mapsOf(progs)
	index := make([]int, len(f.Maps))
	sc := &scenarios.Scenario{File: f.Name, Version: scenarios.Version, Name: f.title()}
	b := &scenarios.Built{Scenario: sc}
	for i, m := range f.Maps {
		index[i] = -1
		if used[i] {
			index[i] = len(b.Maps)
			b.Maps = append(b.Maps, m)
		}
	}
	for i := range b.Maps {
		if n := b.Maps[i].Inner; n > 0 {
			b.Maps[i].Inner = index[n-1] + 1
		}
	}
	for _, p := range progs {
		b.Programs = append(b.Programs, f.renumber(p, index, b.Maps))
	}
	for _, s := range slots {
		if p := slices.Index(progs, s.Program); p >= 0 && used[s.Map] {
			b.Slots = append(b.Slots, scenarios.Slot{Map: index[s.Map], Key: s.Key, Program: p})
		}
	}
	for _, v := range f.Values {
		if used[v.Map] {
			v.Map = index[v.Map]
			b.Values = append(b.Values, v)
		}
	}
	for _, in := range f.Inner {
		if used[in.Map] && used[in.Inner] {
			b.Inner = append(b.Inner, scenarios.Inner{Map: index[in.Map], Key: in.Key, Inner: index[in.Inner]})
		}
	}
	known := map[int][]version{}
	for i, v := range f.versions {
		if used[i] {
			known[index[i]] = v
		}
	}
	if len(known) > 0 {
		b.Adapt = adapt(b, known)
	}
	return b
}

// mapsOf returns the maps that programs use, and the maps in those.
func (f *File) mapsOf(progs []int) map[int]bool {
	used := map[int]bool{}
	for _, p := range progs {
		for m := range f.usedMaps(p) {
			used[m] = true
			if n := f.Maps[m].Inner; n > 0 {
				used[n-1] = true
			}
		}
	}
	for _, in := range f.Inner {
		if used[in.Map] {
			used[in.Inner] = true
		}
	}
	return used
}

// renumber copies a program for other indexes of maps.
func (f *File) renumber(prog int, index []int, all []bpf.Map) bpf.Program {
	p := f.Programs[prog]
	p.Insns, p.Maps = slices.Clone(p.Insns), all
	for n := 0; n < len(p.Insns); n++ {
		in := &p.Insns[n]
		if in.Op != bpf.OpLdImm64 {
			continue
		}
		n++
		if in.Src == bpf.PseudoMap || in.Src == bpf.PseudoMapValue {
			in.Imm = int32(index[in.Imm])
		}
	}
	return p
}

// adapt stores what is known of a target's configuration in maps.
func adapt(b *scenarios.Built, known map[int][]version) func(*jit.Target) *scenarios.Built {
	return func(t *jit.Target) *scenarios.Built {
		out := *b
		out.Adapt = nil
		out.Maps, out.Values = slices.Clone(b.Maps), slices.Clone(b.Values)
		for _, m := range slices.Sorted(maps.Keys(known)) {
			data := make([]byte, b.Maps[m].ValueSize)
			for _, v := range known[m] {
				var number [8]byte
				binary.LittleEndian.PutUint64(number[:], v.value(t))
				copy(data[min(v.off, len(data)):], number[:v.size])
			}
			out.Values = append(out.Values, scenarios.Stored{Map: m, Key: make([]byte, 4), Data: data})
			out.Maps[m].Frozen = string(data)
		}
		out.Programs = slices.Clone(b.Programs)
		for i := range out.Programs {
			out.Programs[i].Maps = out.Maps
		}
		return &out
	}
}

// title is the file's name without folders and extension.
func (f *File) title() string {
	name := f.Name[strings.LastIndexByte(f.Name, '/')+1:]
	return strings.TrimSuffix(name, ".o")
}

func (f *File) all() []int {
	var out []int
	for i := range f.Programs {
		out = append(out, i)
	}
	return out
}

// entry finds the program to run.
func (f *File) entry(what string, slots []scenarios.Slot) (int, error) {
	held := map[int]bool{}
	for _, s := range slots {
		held[s.Program] = true
	}
	var found []int
	all := f.all()
	for i := range f.Programs {
		switch {
		case what == "" && !held[i] && i < f.own, what != "" && f.Sections[i] == what:
			found = append(found, i)
		case what != "" && f.Programs[i].Name == what:
			return i, nil
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case what == "" && f.own == 1:
		return 0, nil
	case what == "" && len(found) == 0:
		return 0, fmt.Errorf("every program is in a prog array: which is the entry (--entry)? There are %s", f.list(all))
	case what == "":
		return 0, fmt.Errorf("which program is the entry (--entry)? There are %s", f.list(found))
	case len(found) == 0:
		return 0, fmt.Errorf("no section and no program %q: %s", what, f.amongPrograms(what))
	}
	return 0, fmt.Errorf("section %q has several programs: %s", what, f.list(found))
}

func (f *File) list(progs []int) string {
	var out []string
	for _, i := range progs {
		out = append(out, fmt.Sprintf("%s (section %s)", f.Programs[i].Name, f.Sections[i]))
	}
	return strings.Join(out, ", ")
}
