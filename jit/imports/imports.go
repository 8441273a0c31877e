// SPDX-License-Identifier: GPL-2.0-only

// Package imports reads JIT output that other tools recorded: bpftool's JSON, raw dumps and the
// kernel log of net.core.bpf_jit_enable=2. What such a source does not say is absent; a source that
// lacks the bytes is refused with the reason. It must not run code.
//
//	d, err := imports.Read(imports.Auto, data, imports.Options{})
//	img, err := d.Image()
package imports

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/x86"
)

// Dump is the machine code of one program.
type Dump struct {
	Format Format
	Funcs  []Func // as recorded, the entry first
	Notes  []string
}

// Func is one function.
type Func struct {
	Name  string // "" if the source does not name it
	Proto string // C prototype; "" without BTF
	Addr  jit.Addr
	// Known says that Addr is where the kernel had the function. Without it calls lead nowhere.
	Known bool
	Code  []byte
}

// Format is where a dump comes from.
type Format string

// The formats. Auto finds out which of the others it is; raw dumps need function lengths.
const (
	Auto      Format = "auto"
	Bpftool   Format = "bpftool" // bpftool -j prog dump jited ... opcodes
	Raw       Format = "raw"     // bpftool prog dump jited ... file F
	KernelLog Format = "log"     // net.core.bpf_jit_enable=2
)

// Options say what a source leaves out.
type Options struct {
	Lens  []int      // sizes of the functions in bytes, in order: raw dumps only
	Addrs []jit.Addr // their addresses, as in /proc/kallsyms; nil if unknown
}

// MaxSource is the size of the largest source that is read, in bytes.
const MaxSource = 64 << 20

const maxCode = 8 << 20 // bytes in one program

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
	case KernelLog:
		d, err = readLog(data)
	case Raw:
		d, err = readRaw(data, opt)
	default:
		return nil, fmt.Errorf("no format %q: expected %s, %s, %s or %s", f, Auto, Bpftool, Raw, KernelLog)
	}
	if err != nil {
		return nil, err
	}
	d.Format = f
	if err := d.place(opt.Addrs); err != nil {
		return nil, err
	}
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
	}
	return Raw
}

// place gives functions the addresses that the user knows, and notes which are unknown.
func (d *Dump) place(addrs []jit.Addr) error {
	if addrs != nil && len(addrs) != len(d.Funcs) {
		return fmt.Errorf("%d addresses for %d functions", len(addrs), len(d.Funcs))
	}
	unknown, size := 0, 0
	for i := range d.Funcs {
		f := &d.Funcs[i]
		if size += len(f.Code); size > maxCode {
			return fmt.Errorf("more than %d bytes of code", maxCode)
		}
		if addrs != nil {
			if f.Known && f.Addr != addrs[i] {
				return fmt.Errorf("function %d: address %#x, but its branches say %#x", i, uint64(addrs[i]), uint64(f.Addr))
			}
			f.Addr, f.Known = addrs[i], true
		}
		if !f.Known {
			unknown++
		}
	}
	if unknown > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("%d of %d functions have no address: calls out of them cannot be resolved (--addrs, from /proc/kallsyms)", unknown, len(d.Funcs)))
	}
	return d.overlap()
}

// overlap refuses functions that lie on each other.
func (d *Dump) overlap() error {
	for i := range d.Funcs {
		for j := range d.Funcs[:i] {
			a, b := &d.Funcs[i], &d.Funcs[j]
			if a.Known && b.Known && a.Addr < b.Addr+jit.Addr(len(b.Code)) && b.Addr < a.Addr+jit.Addr(len(a.Code)) {
				return fmt.Errorf("functions %d and %d overlap", j, i)
			}
		}
	}
	return nil
}

// unplaced is where functions without an address are decoded: apart from each other and from
// everything else.
const unplaced = 0xffff_ffff_c000_0000

// Image decodes the functions: frames, sites and calls. It fails if the code does not decode from the
// first to the last byte.
func (d *Dump) Image() (*jit.Image, error) {
	var funcs []jit.FuncImage
	next := jit.Addr(unplaced)
	for i := range d.Funcs {
		f := &d.Funcs[i]
		at := f.Addr
		if !f.Known {
			at = next
			next += jit.Addr(len(f.Code)+0xffff) &^ 0xffff
		}
		name := f.Name
		if name == "" {
			name = fmt.Sprintf("function %d", i)
		}
		funcs = append(funcs, jit.FuncImage{Name: name, Addr: at, Code: f.Code})
	}
	return jit.RecogniseImage(funcs)
}

// readRaw cuts a raw dump into functions.
func readRaw(data []byte, opt Options) (*Dump, error) {
	if opt.Lens == nil {
		return nil, fmt.Errorf("a raw dump of %d bytes does not say where functions begin: give their lengths (--func-lens; "+
			"bpf_prog_info has them as jited_func_lens), or record bpftool -j prog dump jited id N opcodes", len(data))
	}
	d := &Dump{}
	for i, n := range opt.Lens {
		if n <= 0 || n > len(data) {
			return nil, fmt.Errorf("function %d has %d bytes, but %d are left", i, n, len(data))
		}
		d.Funcs = append(d.Funcs, Func{Code: data[:n]})
		data = data[n:]
	}
	if len(data) != 0 {
		return nil, fmt.Errorf("%d bytes are left behind the last function", len(data))
	}
	return d, nil
}

// branchBase returns the address of a function from a direct branch at offset pc of it and the
// address that the branch leads to; ok is false for other instructions.
func branchBase(code []byte, pc int, operands []string) (jit.Addr, bool) {
	if len(operands) == 0 {
		return 0, false
	}
	target, ok := strings.CutPrefix(operands[len(operands)-1], "0x")
	if !ok {
		return 0, false
	}
	to, err := strconv.ParseUint(target, 16, 64)
	if err != nil {
		return 0, false
	}
	in, err := x86.Decode(code, 0)
	if err != nil || !in.Branch.Direct() {
		return 0, false
	}
	return jit.Addr(to) - in.Target - jit.Addr(pc), true // in.Target is from address 0
}
