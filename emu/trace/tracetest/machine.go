// SPDX-License-Identifier: GPL-2.0-only

// Package tracetest makes recorded streams for tests without the engine: a small machine in plain
// Go that runs the few x86 instructions of tail-call code, and images of two designs to run on it,
// whole or deliberately broken.
//
// It is for tests only. It must not be used to judge real code: flags other than CF and ZF, and
// widths below 32 bits, are not modelled, and what is not modelled is an error.
package tracetest

import (
	"encoding/binary"
	"fmt"

	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Machine runs images. The zero value has no memory and no code.
type Machine struct {
	Regs   [16]uint64
	RIP    image.Addr
	Images []*image.Image
	// Helper is called when control reaches an address outside the images; it returns by itself
	// unless it fails. nil means that this is an error.
	Helper func(m *Machine, at image.Addr) error

	mem     map[image.Addr]uint64 // by aligned address
	cf, zf  bool
	seq     uint64
	sites   map[image.Addr]*image.FuncImage
	Retired []record.Retired
	Sites   []record.Site
	// Each is called before each instruction with the number of those retired; true stops Run.
	Each func(m *Machine, seq uint64) bool
}

// Outside is the return address of the outside caller.
const Outside image.Addr = 0xffffffff81234567

// OutsideRBP is rbp of the outside caller.
const OutsideRBP = 0xffffc90000003fe0

// StackTop is rsp when the program begins: the return address lies there.
const StackTop image.Addr = 0xffffc90000003fb8

// New returns a machine that is about to call the first function of the first image.
func New(c *trace.Code, images ...*image.Image) *Machine {
	m := &Machine{Images: images, mem: map[image.Addr]uint64{}, sites: map[image.Addr]*image.FuncImage{}}
	for _, s := range c.Sites() {
		m.sites[s.Addr] = s.Func
	}
	m.Regs[x86.RSP], m.Regs[x86.RBP], m.Regs[x86.RDI] = uint64(StackTop), OutsideRBP, 0xffff888100000000
	for i, r := range []x86.Reg{x86.RBX, x86.R12, x86.R13, x86.R14, x86.R15} {
		m.Regs[r] = 0xca11ee00 + uint64(i)
	}
	m.Write(StackTop, uint64(Outside), 8)
	f := &images[0].Funcs[0]
	m.RIP = f.Addr + image.Addr(f.Entry)
	return m
}

// Mem returns n bytes of memory; what was never written is zero.
func (m *Machine) Mem(a image.Addr, n int) ([]byte, error) {
	b := make([]byte, n)
	for i := range b {
		x := a + image.Addr(i)
		b[i] = byte(m.mem[x&^7] >> (8 * (x & 7)))
	}
	return b, nil
}

// Write stores the low size bytes of v.
func (m *Machine) Write(a image.Addr, v uint64, size int) {
	for i := range size {
		x := a + image.Addr(i)
		sh := 8 * (x & 7)
		m.mem[x&^7] = m.mem[x&^7]&^(0xff<<sh) | v>>(8*i)&0xff<<sh
	}
}

// Read loads size bytes.
func (m *Machine) Read(a image.Addr, size int) uint64 {
	b, _ := m.Mem(a, size)
	return binary.LittleEndian.Uint64(append(b, make([]byte, 8)...))
}

// Run runs until the outside caller is reached, at most max instructions.
func (m *Machine) Run(max int) error {
	for range max {
		if m.RIP == Outside {
			return nil
		}
		if m.Each != nil && m.Each(m, m.seq) {
			return nil
		}
		if err := m.step(); err != nil {
			return fmt.Errorf("instruction %d at %#x: %w", m.seq, uint64(m.RIP), err)
		}
	}
	return fmt.Errorf("not finished after %d instructions", max)
}

// Batch returns all that was recorded; with sites only if retired is false.
func (m *Machine) Batch(retired bool) trace.Batch {
	if !retired {
		return trace.Batch{Sites: m.Sites}
	}
	return trace.Batch{Retired: m.Retired, Sites: m.Sites}
}

func (m *Machine) step() error {
	f := m.function()
	if f == nil {
		if m.Helper == nil {
			return fmt.Errorf("no code here")
		}
		if err := m.Helper(m, m.RIP); err != nil {
			return err
		}
		m.RIP = image.Addr(m.pop())
		return nil
	}
	in, err := x86.Decode(f.Code[m.RIP-f.Addr:], m.RIP)
	if err != nil {
		return err
	}
	if sf := m.sites[m.RIP]; sf != nil {
		m.Sites = append(m.Sites, m.site(sf))
	}
	m.Retired = append(m.Retired, record.Retired{RIP: m.RIP, EA: m.ea(&in)})
	m.seq++
	return m.exec(&in)
}

func (m *Machine) function() *image.FuncImage {
	for _, img := range m.Images {
		for i := range img.Funcs {
			if f := &img.Funcs[i]; m.RIP >= f.Addr && m.RIP < f.End() {
				return f
			}
		}
	}
	return nil
}

func (m *Machine) site(f *image.FuncImage) record.Site {
	r := &m.Regs
	s := record.Site{
		Seq: m.seq, RIP: m.RIP, RSP: image.Addr(r[x86.RSP]), RBP: image.Addr(r[x86.RBP]), RAX: image.Addr(r[x86.RAX]),
		RBX: r[x86.RBX], R12: r[x86.R12], R13: r[x86.R13], R14: r[x86.R14], R15: r[x86.R15],
		RDI: r[x86.RDI], RSI: r[x86.RSI], RDX: r[x86.RDX],
	}
	if n := len(m.Retired); n > 0 {
		s.Prev = m.Retired[n-1].RIP
	}
	s.Stack = [2]uint64{m.Read(s.RSP, 8), m.Read(s.RSP+8, 8)}
	c := f.Frame.Counter
	at := s.RBP + image.Addr(int64(c.Off))
	switch c.Form {
	case image.CounterValue:
		s.CounterAddr = at
	case image.CounterPtr:
		s.CounterPtrAt, s.CounterAddr = at, image.Addr(m.Read(at, 8))
	}
	if s.CounterAddr != 0 {
		s.Counter = m.Read(s.CounterAddr, int(c.Size))
	}
	return s
}
