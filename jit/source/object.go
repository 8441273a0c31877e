// SPDX-License-Identifier: GPL-2.0-only

package source

import (
	"bytes"
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"sync"

	"github.com/tcsim/tcsim/jit/image"
)

// Where things are in the processor. The object must be in the last 2 GiB, for which the kernel's code model
// is made, where neither programs nor the kernel functions that they call are: below 16 MiB of kernel text,
// which no kernel uses.
const (
	callBase   image.Addr = 0xffffffff81200000 // __bpf_call_base: calls are relative to it; as far up as in a kernel
	haltAddr   image.Addr = 0xffffffff80001000 // a hlt, where calls of the object return to
	moduleBase image.Addr = 0xffffffff80100000
	moduleEnd  image.Addr = 0xffffffff80e00000
	// openBase is where names are that the object leaves open and that are unknown: each has openSpace bytes.
	openBase  image.Addr = 0xffffffff80e00000
	openSpace            = 64
	openEnd   image.Addr = 0xffffffff81000000
	// textFrom and textTo bound where programs can be: the module area with and without randomisation.
	textFrom image.Addr = 0xffffffffa0000000
	textTo   image.Addr = 0xffffffffff000000

	// Memory of the JIT alone is where no kernel has any (a hole after vmalloc), so that code which refers to it shows.
	stackTop  image.Addr = 0xffffc9001fff0000
	stackSize            = 128 << 10
	heapBase  image.Addr = 0xffffe9e200000000
	heapStep             = 4 << 20
	heapMax              = 1 << 30
	inputBase image.Addr = 0xffffe9e300000000
	// Image buffers end where a slot ends, and after that nothing is mapped.
	bufferBase   image.Addr = 0xffffe9e400000000
	bufferSlot              = 64 << 20
	jitMemoryEnd            = bufferBase + maxFuncs*bufferSlot
	// perCPUBase is where per-CPU variables of the object are, as displacements from the gs base: after those of
	// the kernel that programs meet, in the area that goes with them. The processor that runs the JIT has a gs base of 0.
	perCPUBase image.Addr = 0x3a000
	perCPUEnd  image.Addr = 0x40000
	maxFuncs              = 320 // of one program; the verifier allows 256
)

// object is a compiled unit placed at moduleBase, relocations not yet applied.
type object struct {
	image   []byte // from moduleBase on
	text    int    // how much of image is code: whole pages
	perCPU  []byte // from perCPUBase on
	symbols map[string]image.Addr
	funcs   []symbol // defined functions by address
	open    []string // names that the object leaves open
	relocs  []reloc

	readOnce sync.Once // of lines, which only messages and ways need
	read     func()
	lines    []line // by address
}

type symbol struct {
	name string
	addr image.Addr
	size uint64
}

// reloc is a place that depends on a symbol: a defined one, or number open of object.open.
type reloc struct {
	at     uint64 // offset in image
	kind   elf.R_X86_64
	value  image.Addr // of a defined symbol
	open   int        // -1: defined
	addend int64
}

type line struct {
	addr image.Addr
	file string
	line int
}

// readObject reads a relocatable object of the system's compiler.
func readObject(b []byte) (*object, error) {
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("object of the C compiler: %w", err)
	}
	if f.Machine != elf.EM_X86_64 || f.Type != elf.ET_REL {
		return nil, fmt.Errorf("the C compiler makes %v %v, expected a relocatable x86-64 object", f.Machine, f.Type)
	}
	o := &object{symbols: map[string]image.Addr{}}
	base, err := o.place(f)
	if err != nil {
		return nil, err
	}
	syms, err := f.Symbols()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return nil, fmt.Errorf("object of the C compiler: %w", err)
	}
	open := o.define(syms, base)
	for _, s := range f.Sections {
		if s.Type == elf.SHT_RELA && int(s.Info) < len(f.Sections) {
			at, placed := base[int(s.Info)]
			if placed && at < moduleBase {
				return nil, errors.New("a per-CPU variable that begins with an address is not modelled")
			}
			if placed {
				if err := o.readRelocs(s, uint64(at-moduleBase), syms, base, open); err != nil {
					return nil, err
				}
			}
		}
	}
	o.read = func() { o.readLines(f, base) }
	return o, nil
}

// perCPUSection is where DEFINE_PER_CPU puts variables (shim/percpu.h).
const perCPUSection = ".data..percpu"

// place puts the sections that are loaded one after the other: code, from the next page on everything else, and
// per-CPU variables in a place of their own.
func (o *object) place(f *elf.File) (map[int]image.Addr, error) {
	base := map[int]image.Addr{}
	for _, code := range []bool{true, false} {
		for i, s := range f.Sections {
			isCode := s.Flags&elf.SHF_EXECINSTR != 0
			if s.Flags&elf.SHF_ALLOC == 0 || s.Size == 0 || isCode != code {
				continue
			}
			to, from, room := &o.image, moduleBase, moduleEnd-moduleBase
			if s.Name == perCPUSection {
				to, from, room = &o.perCPU, perCPUBase, perCPUEnd-perCPUBase
			}
			at, err := appendSection(to, s, uint64(room))
			if err != nil {
				return nil, err
			}
			base[i] = from + image.Addr(at)
		}
		if code {
			o.text = (len(o.image) + 0xfff) &^ 0xfff
			o.image = append(o.image, make([]byte, o.text-len(o.image))...)
		}
	}
	return base, nil
}

// appendSection puts a section after what there is and returns where it begins.
func appendSection(to *[]byte, s *elf.Section, room uint64) (uint64, error) {
	align := max(s.Addralign, 16)
	at := (uint64(len(*to)) + align - 1) / align * align
	if s.Size > room || at+s.Size > room {
		return 0, fmt.Errorf("section %s of the compiled JIT has more than %d bytes", s.Name, room)
	}
	*to = append(*to, make([]byte, at+s.Size-uint64(len(*to)))...)
	if s.Type != elf.SHT_NOBITS {
		if _, err := io.ReadFull(s.Open(), (*to)[at:at+s.Size]); err != nil {
			return 0, fmt.Errorf("object of the C compiler: section %s: %w", s.Name, err)
		}
	}
	return at, nil
}

// define fills symbols, funcs and open, and returns the number in open of each symbol that is open, by its
// position.
func (o *object) define(syms []elf.Symbol, base map[int]image.Addr) map[int]int {
	open := map[int]int{}
	for i, s := range syms {
		if at, placed := base[int(s.Section)]; placed && s.Name != "" {
			a := at + image.Addr(s.Value)
			o.symbols[s.Name] = a
			if elf.ST_TYPE(s.Info) == elf.STT_FUNC {
				o.funcs = append(o.funcs, symbol{s.Name, a, s.Size})
			}
		}
		if s.Section == elf.SHN_UNDEF && s.Name != "" {
			open[i] = len(o.open)
			o.open = append(o.open, s.Name)
		}
	}
	sort.Slice(o.funcs, func(i, j int) bool { return o.funcs[i].addr < o.funcs[j].addr })
	return open
}

func (o *object) readRelocs(s *elf.Section, target uint64, syms []elf.Symbol, base map[int]image.Addr, open map[int]int) error {
	const size = 24
	data, err := s.Data()
	if err != nil {
		return fmt.Errorf("object of the C compiler: section %s: %w", s.Name, err)
	}
	for ; len(data) >= size; data = data[size:] {
		info := binary.LittleEndian.Uint64(data[8:])
		r := reloc{
			at: target + binary.LittleEndian.Uint64(data), kind: elf.R_X86_64(uint32(info)), open: -1,
			addend: int64(binary.LittleEndian.Uint64(data[16:])),
		}
		n := int(info>>32) - 1
		if n < 0 || n >= len(syms) || r.at+8 > uint64(len(o.image))+4 {
			return fmt.Errorf("object of the C compiler: relocation in %s out of range", s.Name)
		}
		if i, ok := open[n]; ok {
			r.open = i
		} else if at, placed := base[int(syms[n].Section)]; placed {
			r.value = at + image.Addr(syms[n].Value)
		} else if syms[n].Section == elf.SHN_ABS {
			r.value = image.Addr(syms[n].Value)
		}
		o.relocs = append(o.relocs, r)
	}
	return nil
}

// from is the address of the place.
func (r *reloc) from() int64 {
	at := moduleBase + image.Addr(r.at)
	return int64(at)
}

// bytes returns what belongs at the place of a relocation when its symbol is at addr.
func (r *reloc) bytes(addr image.Addr) ([]byte, error) {
	v := int64(addr) + r.addend
	switch r.kind {
	case elf.R_X86_64_64:
		return binary.LittleEndian.AppendUint64(nil, uint64(v)), nil
	case elf.R_X86_64_PC64:
		return binary.LittleEndian.AppendUint64(nil, uint64(v-r.from())), nil
	case elf.R_X86_64_PC32, elf.R_X86_64_PLT32:
		v -= r.from()
		if v != int64(int32(v)) {
			return nil, fmt.Errorf("%#x is too far away from the compiled JIT", uint64(addr))
		}
	case elf.R_X86_64_32:
		if v != int64(uint32(v)) {
			return nil, fmt.Errorf("%#x does not fit 32 bits", uint64(addr))
		}
	case elf.R_X86_64_32S:
		if v != int64(int32(v)) {
			return nil, fmt.Errorf("%#x does not fit 32 bits", uint64(addr))
		}
	default:
		return nil, fmt.Errorf("relocation %v is not known", r.kind)
	}
	return binary.LittleEndian.AppendUint32(nil, uint32(v)), nil
}

// readLines reads which line of which file each piece of code is of. Without it messages only have names.
func (o *object) readLines(f *elf.File, base map[int]image.Addr) {
	d, err := f.DWARF()
	if err != nil {
		return
	}
	text := moduleBase
	for i, s := range f.Sections {
		if s.Name == ".text" {
			text = base[i]
		}
	}
	for r := d.Reader(); ; {
		e, err := r.Next()
		if err != nil || e == nil {
			break
		}
		if e.Tag != dwarf.TagCompileUnit {
			r.SkipChildren()
			continue
		}
		lr, err := d.LineReader(e)
		if err != nil || lr == nil {
			continue
		}
		var le dwarf.LineEntry
		for lr.Next(&le) == nil {
			l := line{addr: text + image.Addr(le.Address), line: le.Line}
			if le.File != nil && !le.EndSequence {
				l.file = le.File.Name
			}
			o.lines = append(o.lines, l)
		}
		r.SkipChildren()
	}
	sort.SliceStable(o.lines, func(i, j int) bool { return o.lines[i].addr < o.lines[j].addr })
}

// where describes a place in the code: "emit_jump, FILE line 12".
func (o *object) where(a image.Addr) string {
	var parts []string
	if f, ok := o.funcAt(a); ok {
		parts = append(parts, f.name)
	}
	if l, ok := o.lineAt(a); ok {
		parts = append(parts, fmt.Sprintf("%s:%d", l.file, l.line))
	}
	if len(parts) == 0 {
		return fmt.Sprintf("%#x", uint64(a))
	}
	return strings.Join(parts, ", ")
}

// lineAt returns the line that a piece of code is of, if the compiler says it.
func (o *object) lineAt(a image.Addr) (line, bool) {
	o.readOnce.Do(o.read)
	n := sort.Search(len(o.lines), func(i int) bool { return o.lines[i].addr > a })
	if n == 0 || o.lines[n-1].file == "" {
		return line{}, false
	}
	return o.lines[n-1], true
}
