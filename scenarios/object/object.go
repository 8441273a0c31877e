// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/filekind"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/files"
)

// The sizes up to which a file, types and zeroed sections are read, in bytes. Real ones are
// below: the types of a kernel are 10 MB.
const (
	maxFile    = files.MaxFile
	maxTypes   = files.MaxFile
	maxSection = 16 << 20
)

// File is what an object file holds. It is pure data; Scenario and Load do not change it.
type File struct {
	Name     string // as opened
	Maps     []bpf.Map
	Programs []bpf.Program    // by name; their Maps are File.Maps
	Sections []string         // of each program, such as "tc/ingress"
	Tags     [][]string       // of each program: the declaration tags of its function
	Slots    []scenarios.Slot // prog arrays as declared
	Values   []scenarios.Stored
	Inner    []scenarios.Inner // maps of maps as declared

	mapErrs  []error           // of each map, why it is not modelled
	progErrs []error           // of each program, likewise; the maps that it uses count
	versions map[int][]version // of the maps of a kernel's configuration
	own      int               // how many programs are of the file itself, the first ones
}

// ReadOptions say how a file is read.
type ReadOptions struct {
	// BTF names the file with the types that CO-RE relocations are resolved with, usually a kernel's:
	// BTF or an ELF file that holds it; "" means the types of the object file itself.
	BTF string
	// Type is the program type of programs whose section says none, by name; "" makes them mistakes.
	Type string
	// AttachType is the expected attach type of programs whose section says none, by the kernel's name without BPF_, in
	// any case: cgroup_inet_egress, trace_fentry.
	AttachType string
	// Maps are changes of maps that user space makes before it loads the file: MAP.max_entries=N sizes one, MAP=OTHER has
	// programs use another one in its place. Set are variables that it sets, each as VARIABLE=NUMBER.
	Maps, Set []string
	// MapOf names object files that are loaded before, with the same options but Maps and Set, and whose maps are used
	// in place of those of the same name.
	MapOf []string
}

// types reads the file.
func (o ReadOptions) types() (*btf.Spec, error) {
	if o.BTF == "" {
		return nil, nil
	}
	data, err := typesIn(o.BTF)
	if err != nil {
		return nil, err
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.BTF, filekind.Explain(err, data))
	}
	return spec, nil
}

// typesIn reads a file of types, or the types in an ELF file, such as a kernel with debug information, of which nothing
// else is read.
func typesIn(name string) ([]byte, error) {
	f, err := elf.Open(name)
	if err != nil {
		return files.ReadFile(name, maxTypes)
	}
	defer f.Close()
	sec := f.Section(".BTF")
	switch {
	case sec == nil:
		return nil, fmt.Errorf("%s: an ELF file without a section .BTF", name)
	case sec.Size > maxTypes:
		return nil, fmt.Errorf("%s: section .BTF: more than %d bytes", name, maxTypes)
	}
	data, err := sec.Data()
	if err != nil {
		return nil, fmt.Errorf("%s: section .BTF: %w", name, err)
	}
	return data, nil
}

// Is reports whether data begins as an ELF file does.
func Is(data []byte) bool { return bytes.HasPrefix(data, []byte(elf.ELFMAG)) }

// Open reads an object file and those whose maps it uses. It fails if nothing in one is modelled; see LeftOut for the
// rest.
func Open(path string, opt ReadOptions) (*File, error) {
	data, err := files.ReadFile(path, maxFile)
	if err != nil {
		return nil, err
	}
	return Read(path, data, opt)
}

// Read is Open for the bytes of a file; name is used in messages.
func Read(name string, data []byte, opt ReadOptions) (*File, error) {
	f, err := checkELF(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if f.Section(".maps") != nil && f.Section(".BTF") == nil {
		return nil, fmt.Errorf("%s: maps in section .maps, and no BTF that says what they are: compile with clang -g", name)
	}
	types, err := opt.types()
	if err != nil {
		return nil, err
	}
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(adaptELF(data, f)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	library := takeLibrary(spec)
	for _, p := range spec.Programs {
		sectionType(p)
	}
	if err := opt.prepare(spec); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	r := reader{
		file: &File{Name: name, versions: map[int][]version{}, own: len(spec.Programs)}, spec: spec, types: types,
		maps: map[string]int{}, progs: map[string]int{}, extern: externs(f), symbols: symbols(f), library: library,
		owned: &owned{types: spec.Types, kernel: types},
	}
	r.readMaps()
	r.readPrograms()
	r.readContents()
	if len(spec.Programs) == 0 {
		return nil, fmt.Errorf("%s: no programs: expected functions in sections that say their type, such as SEC(\"tc\")", name)
	}
	out, good := r.file, false
	for _, err := range out.progErrs {
		good = good || err == nil
	}
	if !good {
		return nil, fmt.Errorf("%s: %w", name, errors.Join(out.progErrs...))
	}
	for _, path := range opt.MapOf {
		before := opt
		before.Maps, before.Set, before.MapOf = nil, nil, nil
		other, err := Open(path, before)
		if err != nil {
			return nil, err
		}
		if err := out.share(other); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return out, nil
}

// LeftOut says which programs of the file are not modelled, each with the reasons.
func (f *File) LeftOut() []error {
	var out []error
	for _, err := range f.progErrs {
		if err != nil {
			out = append(out, err)
		}
	}
	return out
}

// LeftOutOf says why program i is not modelled, nil if it is.
func (f *File) LeftOutOf(i int) error { return f.progErrs[i] }

// checkELF refuses what is no BPF object file for a machine such as the emulated one.
func checkELF(data []byte) (*elf.File, error) {
	if !Is(data) {
		return nil, errors.New("no ELF file")
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("bad ELF file: %w", err)
	}
	var wrong []error
	expect := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	expect(f.Machine == elf.EM_BPF, "e_machine: ELF file for %v: expected EM_BPF, as clang -target bpf makes it", f.Machine)
	expect(f.Class == elf.ELFCLASS64, "e_ident: ELF file of %v: BPF has 64 bits", f.Class)
	expect(f.ByteOrder == binary.LittleEndian, "e_ident: big-endian BPF: x86-64 needs clang -target bpfel")
	expect(f.Type == elf.ET_REL, "e_type: ELF file of type %v: expected an object file (%v)", f.Type, elf.ET_REL)
	for i, s := range f.Sections {
		expect(s.Type != elf.SHT_NOBITS || s.Size <= maxSection, "section %d (%s): sh_size: %d bytes of zeroes are more than the emulator holds", i, s.Name, s.Size)
		inside := s.Type == elf.SHT_NOBITS || s.Type == elf.SHT_NULL || s.Offset <= uint64(len(data)) && s.FileSize <= uint64(len(data))-s.Offset
		expect(inside, "section %d (%s): bytes %#x to %#x of a file of %#x", i, s.Name, s.Offset, s.Offset+s.FileSize, len(data))
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return f, nil
}

// reader makes a File of what cilium/ebpf found.
type reader struct {
	file   *File
	spec   *ebpf.CollectionSpec
	types  *btf.Spec
	maps   map[string]int // index in file.Maps
	progs  map[string]int
	extern *external
	owned  *owned // structures that programs may allocate objects of
	// symbols are the types with which the file declares kernel symbols, by name.
	symbols map[string]btf.Type
	library map[string]*ebpf.ProgramSpec // functions that are no programs, by name; nil if no program has a callback for exceptions
}
