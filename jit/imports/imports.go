// SPDX-License-Identifier: GPL-2.0-only

// Package imports reads JIT output that other tools recorded: bpftool's JSON and text, raw dumps and
// the kernel log of net.core.bpf_jit_enable=2. What such a source does not say is absent; a source
// that lacks the bytes is refused with the reason. It must not run code.
//
//	d, err := imports.Read(imports.Auto, data, imports.Options{})
//	img, err := d.Progs[0].Image()
package imports

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/jit/filekind"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/recognise"
)

// Dump is what one source holds.
type Dump struct {
	Format Format
	Progs  []Prog // in the order of the source, at least one
	Notes  []string
}

// Prog is the machine code of one program.
type Prog struct {
	// Name is the program's own, without tag, or one made from its number ("prog1"). It is unique in
	// the dump.
	Name  string
	Funcs []Func // as recorded, the entry first
}

// Func is one function.
type Func struct {
	Name  string // "" if it is unknown
	Proto string // C prototype; "" without BTF
	Addr  image.Addr
	Place Place // what Addr is worth
	Code  []byte
}

// Place says what the address of a function is worth.
type Place uint8

// The places.
const (
	// Nowhere: the address is made up. Calls out of the function lead nowhere.
	Nowhere Place = iota
	// Relative: it is made up, but the functions of the program lie apart from each other as in the
	// kernel: calls among them lead where they should, others do not.
	Relative
	// Known: it is where the kernel had the function.
	Known
)

// Format is where a dump comes from.
type Format string

// The formats. Auto finds out which of the others it is; raw dumps need function lengths.
const (
	Auto        Format = "auto"
	Bpftool     Format = "bpftool"      // bpftool -j prog dump jited ... opcodes
	BpftoolText Format = "bpftool-text" // the same without -j
	Raw         Format = "raw"          // bpftool prog dump jited ... file F
	KernelLog   Format = "log"          // net.core.bpf_jit_enable=2
)

// Options say what a source leaves out.
type Options struct {
	Lens  []int        // sizes of the functions in bytes, in order: raw dumps only
	Addrs []image.Addr // addresses of all functions in order, as in /proc/kallsyms; nil if unknown
	// Symbols name functions and say where they are; nil if there are none.
	Symbols *Symbols
}

// MaxSource is the size of the largest source that is read, in bytes.
const MaxSource = 64 << 20

const (
	maxCode  = 8 << 20 // bytes in one dump
	maxFuncs = 4096    // in one dump
)

// Read imports a dump. The error says what is missing and how to record it.
func Read(f Format, data []byte, opt Options) (*Dump, error) {
	if len(data) > MaxSource {
		return nil, fmt.Errorf("%d bytes: expected at most %d", len(data), MaxSource)
	}
	if f == Auto {
		f = guess(data)
	}
	if f != Raw && opt.Lens != nil {
		return nil, errors.New("function lengths belong to raw dumps: the other formats have them")
	}
	var d *Dump
	var err error
	switch f {
	case Bpftool:
		d, err = readBpftool(data)
	case BpftoolText:
		d, err = readText(data)
	case KernelLog:
		d, err = readLog(data)
	case Raw:
		d, err = readRaw(data, opt)
	default:
		return nil, fmt.Errorf("no format %q: expected %s, %s, %s, %s or %s", f, Auto, Bpftool, BpftoolText, Raw, KernelLog)
	}
	if err != nil {
		return nil, err
	}
	d.Format = f
	if err := d.check(); err != nil {
		return nil, err
	}
	if err := d.place(opt); err != nil {
		return nil, err
	}
	d.nameProgs()
	return d, nil
}

// guess tells the formats apart by what they begin with.
func guess(data []byte) Format {
	t := bytes.TrimLeft(data, " \t\r\n")
	list, ok := bytes.CutPrefix(t, []byte("["))
	list = bytes.TrimLeft(list, " \t\r\n")
	switch {
	case bytes.HasPrefix(t, []byte("{")), ok && len(list) > 0 && (list[0] == '{' || list[0] == ']'):
		return Bpftool
	case bytes.Contains(data, []byte(logCode)):
		return KernelLog
	case !bytes.ContainsRune(data, 0) && textInsn.Match(data):
		return BpftoolText
	}
	return Raw
}

// check refuses what is too large.
func (d *Dump) check() error {
	size, n := 0, 0
	for i := range d.Progs {
		for j := range d.Progs[i].Funcs {
			size += len(d.Progs[i].Funcs[j].Code)
			n++
		}
	}
	switch {
	case size > maxCode:
		return fmt.Errorf("%d bytes of code: expected at most %d", size, maxCode)
	case n > maxFuncs:
		return fmt.Errorf("%d functions: expected at most %d", n, maxFuncs)
	}
	return nil
}

// nameProgs names programs after their entries, and in a dump of several each of one name apart.
func (d *Dump) nameProgs() {
	seen := map[string]int{}
	for i := range d.Progs {
		p := &d.Progs[i]
		if p.Name == "" {
			p.Name = ShortName(p.Funcs[0].Name)
		}
		if p.Name == "" {
			p.Name = fmt.Sprintf("prog%d", i+1)
		}
		if seen[p.Name]++; seen[p.Name] > 1 {
			p.Name = fmt.Sprintf("%s#%d", p.Name, seen[p.Name])
		}
	}
}

// ShortName returns the program's own name of a function in /proc/kallsyms, without bpf_prog_ and the
// tag (bpf_prog_ksym_set_name, kernel/bpf/core.c); "" if there is none.
func ShortName(name string) string {
	const tag = 16
	rest, ok := strings.CutPrefix(name, bpfPrefix)
	switch {
	case !ok:
		if strings.HasPrefix(name, "0x") {
			return ""
		}
		return name
	case len(rest) > tag && rest[tag] == '_':
		return rest[tag+1:]
	}
	return ""
}

// bpfPrefix begins the symbols of programs.
const bpfPrefix = "bpf_prog_"

// Image decodes the functions: frames, sites and calls. It fails if the code does not decode from the
// first to the last byte. The result shares code.
func (p *Prog) Image() (*image.Image, error) {
	var funcs []image.FuncImage
	for i := range p.Funcs {
		f := &p.Funcs[i]
		name := ShortName(f.Name)
		if name == "" {
			name = fmt.Sprintf("function %d", i)
		}
		funcs = append(funcs, image.FuncImage{Name: name, Addr: f.Addr, Code: f.Code})
	}
	return recognise.RecogniseImage(funcs)
}

// readRaw cuts a raw dump into functions.
func readRaw(data []byte, opt Options) (*Dump, error) {
	if what := filekind.Instead(data); opt.Lens == nil && what != "" && what != filekind.NoText {
		return nil, fmt.Errorf("expected what bpftool or the kernel printed; it is %s", what)
	}
	if opt.Lens == nil {
		return nil, fmt.Errorf("a raw dump of %d bytes does not say where functions begin: give their lengths (--func-lens; "+
			"bpf_prog_info has them as jited_func_lens), or record bpftool -j prog dump jited id N opcodes", len(data))
	}
	p := Prog{}
	for i, n := range opt.Lens {
		if n <= 0 || n > len(data) {
			return nil, fmt.Errorf("function %d has %d bytes, but %d are left", i, n, len(data))
		}
		p.Funcs = append(p.Funcs, Func{Code: data[:n:n]})
		data = data[n:]
	}
	if len(data) != 0 {
		return nil, fmt.Errorf("%d bytes are left after the last function", len(data))
	}
	return &Dump{Progs: []Prog{p}}, nil
}
