// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios"
)

// The sizes up to which a file and its zeroed sections are read, in bytes. Real ones are far below.
const (
	maxFile    = 64 << 20
	maxSection = 16 << 20
)

// File is what an object file holds. It is pure data; Scenario does not change it.
type File struct {
	Name     string // as opened
	Maps     []jit.Map
	Programs []jit.Program    // by name; their Maps are File.Maps
	Sections []string         // of each program, such as "tc/ingress"
	Slots    []scenarios.Slot // prog arrays as declared
	Values   []scenarios.Stored
}

// Is reports whether data begins as an ELF file does.
func Is(data []byte) bool { return bytes.HasPrefix(data, []byte(elf.ELFMAG)) }

// Open reads an object file. The error names everything in it that is not modelled.
func Open(path string) (*File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: %d bytes are more than an object file has", path, info.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Read(path, data)
}

// Read is Open for the bytes of a file; name is used in messages.
func Read(name string, data []byte) (*File, error) {
	if err := checkELF(data); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	r := reader{file: &File{Name: name}, spec: spec, maps: map[string]int{}, progs: map[string]int{}}
	r.readMaps()
	r.readPrograms()
	r.readContents()
	if len(spec.Programs) == 0 {
		r.errs = append(r.errs, errors.New("no programs"))
	}
	if err := errors.Join(r.errs...); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r.file, nil
}

// checkELF refuses what is no BPF object file for a machine such as the emulated one.
func checkELF(data []byte) (err error) {
	if !Is(data) {
		return errors.New("no ELF file")
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("bad ELF file: %w", err)
	}
	switch {
	case f.Machine != elf.EM_BPF:
		return fmt.Errorf("ELF file for %v: expected EM_BPF, as clang -target bpf makes it", f.Machine)
	case f.Class != elf.ELFCLASS64:
		return fmt.Errorf("ELF file of %v: BPF has 64 bits", f.Class)
	case f.ByteOrder != binary.LittleEndian:
		return errors.New("big-endian BPF: x86-64 needs clang -target bpfel")
	case f.Type != elf.ET_REL:
		return fmt.Errorf("ELF file of type %v: expected an object file (%v)", f.Type, elf.ET_REL)
	}
	for _, s := range f.Sections {
		if s.Type == elf.SHT_NOBITS && s.Size > maxSection {
			return fmt.Errorf("section %s: %d bytes of zeroes are more than the emulator holds", s.Name, s.Size)
		}
	}
	return nil
}

// reader makes a File of what cilium/ebpf found.
type reader struct {
	file  *File
	spec  *ebpf.CollectionSpec
	maps  map[string]int // index in file.Maps
	progs map[string]int
	errs  []error
}

func (r *reader) failf(format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf(format, args...))
}

// mapTypes are those that the emulator knows.
var mapTypes = []ebpf.MapType{ebpf.Hash, ebpf.Array, ebpf.ProgramArray, ebpf.PerCPUArray}

func (r *reader) readMaps() {
	for _, name := range slices.Sorted(maps.Keys(r.spec.Maps)) {
		m := r.spec.Maps[name]
		r.maps[name] = len(r.file.Maps)
		key, value := m.KeySize, m.ValueSize
		switch {
		case name == ".kconfig":
			r.failf("variables of the kernel's configuration (__kconfig): only a running kernel has them")
		case !slices.Contains(mapTypes, m.Type):
			r.failf("map %s: type %v is not modelled: expected %v", name, m.Type, mapTypes)
		case m.Type == ebpf.ProgramArray: // sizes may be left out, the kernel has one choice
			key, value = 4, 4
		case uint64(m.ValueSize)*uint64(m.MaxEntries) > maxSection || key > 512:
			r.failf("map %s: %d entries of %d+%d bytes are more than the emulator holds", name, m.MaxEntries, key, value)
		case m.MaxEntries == 0 || value == 0 || key == 0 || m.Type != ebpf.Hash && key != 4:
			r.failf("map %s: %d entries of %d+%d bytes: the kernel refuses it", name, m.MaxEntries, key, value)
		}
		r.file.Maps = append(r.file.Maps, jit.Map{
			Name: name, Type: jit.MapType(m.Type), KeySize: key, ValueSize: value, MaxEntries: m.MaxEntries,
		})
	}
}

// programTypes are those whose context the emulator makes as the kernel does, or as memory.
var programTypes = []ebpf.ProgramType{ebpf.SocketFilter, ebpf.Kprobe, ebpf.SchedCLS, ebpf.XDP}

func (r *reader) readPrograms() {
	names := slices.Sorted(maps.Keys(r.spec.Programs))
	for _, name := range names {
		p := r.spec.Programs[name]
		r.progs[name] = len(r.file.Programs)
		if p.Type == ebpf.UnspecifiedProgram {
			r.failf("program %s: section %q says no program type: expected one such as \"tc\", \"xdp\" or \"socket\"", name, p.SectionName)
		} else if !slices.Contains(programTypes, p.Type) {
			r.failf("program %s: type %v is not modelled: expected %v", name, p.Type, programTypes)
		}
		prog, errs := r.program(p)
		for _, err := range errs {
			r.failf("program %s: %w", name, err)
		}
		r.file.Programs = append(r.file.Programs, prog)
		r.file.Sections = append(r.file.Sections, p.SectionName)
	}
}

// readContents reads what maps hold before the first run.
func (r *reader) readContents() {
	for i := range r.file.Maps {
		m := &r.file.Maps[i]
		for _, kv := range r.spec.Maps[m.Name].Contents {
			k, ok := kv.Key.(uint32)
			switch v := kv.Value.(type) {
			case []byte:
				if ok && len(v) <= int(m.ValueSize) {
					key := binary.LittleEndian.AppendUint32(nil, k)
					r.file.Values = append(r.file.Values, scenarios.Stored{Map: i, Key: key, Data: v})
					continue
				}
			case string:
				p, known := r.progs[v]
				switch {
				case m.Type != jit.ProgArray:
				case !known:
					r.failf("map %s: slot %d is to hold %q, which is no program of the file", m.Name, k, v)
					continue
				case k >= m.MaxEntries:
					r.failf("map %s: slot %d is declared, but there are only %d", m.Name, k, m.MaxEntries)
					continue
				default:
					r.file.Slots = append(r.file.Slots, scenarios.Slot{Map: i, Key: k, Program: p})
					continue
				}
			}
			r.failf("map %s: contents %T by %T are not modelled", m.Name, kv.Value, kv.Key)
		}
	}
}

// Options say what a scenario does with an object file.
type Options struct {
	// Entry is the section or the name of the program that runs; "" means the only one that no prog
	// array holds.
	Entry string
	// Packets are run one after the other; nil means one of MinPacket zeroes.
	Packets [][]byte
	// Expect is what each run must give; nil prints only.
	Expect *scenarios.Expect
}

// MinPacket is the size of the packet that programs get if none is given: the shortest Ethernet frame
// without its checksum, in bytes.
const MinPacket = 60

// Scenario returns the file as something to run: the entry on each packet.
func (f *File) Scenario(opt Options) (*scenarios.Built, error) {
	entry, err := f.entry(opt.Entry)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	b := f.Load()
	packets := opt.Packets
	if packets == nil {
		packets = [][]byte{make([]byte, MinPacket)}
	}
	for _, p := range packets {
		if len(p) > math.MaxUint16 {
			return nil, fmt.Errorf("%s: a packet of %d bytes: expected at most %d", f.Name, len(p), math.MaxUint16)
		}
		ev := &scenarios.Event{Run: &scenarios.Name{Text: f.Programs[entry].Name}, Packet: p, Expect: opt.Expect}
		b.Actions = append(b.Actions, scenarios.Action{Kind: scenarios.ActRun, Event: ev, Program: entry, Packet: p})
	}
	return b, nil
}

// Load returns the file as a scenario that runs nothing.
func (f *File) Load() *scenarios.Built {
	sc := &scenarios.Scenario{File: f.Name, Version: scenarios.Version, Name: f.title()}
	return &scenarios.Built{Scenario: sc, Maps: f.Maps, Programs: f.Programs, Slots: f.Slots, Values: f.Values}
}

// title is the file's name without folders and extension.
func (f *File) title() string {
	name := f.Name[strings.LastIndexByte(f.Name, '/')+1:]
	return strings.TrimSuffix(name, ".o")
}

// entry finds the program to run.
func (f *File) entry(what string) (int, error) {
	held := map[int]bool{}
	for _, s := range f.Slots {
		held[s.Program] = true
	}
	var found, all []int
	for i := range f.Programs {
		all = append(all, i)
		switch {
		case what == "" && !held[i], what != "" && f.Sections[i] == what:
			found = append(found, i)
		case what != "" && f.Programs[i].Name == what:
			return i, nil
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case what == "" && len(all) == 1:
		return 0, nil
	case what == "" && len(found) == 0:
		return 0, fmt.Errorf("every program is in a prog array: which is the entry? There are %s", f.list(all))
	case what == "":
		return 0, fmt.Errorf("which program is the entry? There are %s", f.list(found))
	case len(found) == 0:
		return 0, fmt.Errorf("no section and no program %q: there are %s", what, f.list(all))
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
