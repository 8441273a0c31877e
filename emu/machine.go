// SPDX-License-Identifier: GPL-2.0-only

package emu

/*
#cgo CFLAGS: -O3 -Wall
#cgo pkg-config: unicorn
#include <stdlib.h>
#include "engine.h"
*/
import "C"

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"runtime/cgo"
	"slices"
	"unsafe"

	uc "github.com/unicorn-engine/unicorn/bindings/go/unicorn"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/x86"
)

// Config are the properties of a machine. The zero value is usable.
type Config struct {
	// Memory is the size of guest memory in bytes, page tables included; 0 means 64 MiB. Only what
	// is touched costs host memory.
	Memory uint64
	// StackSize is the size of the kernel stack in bytes; 0 means 16 KiB.
	StackSize uint64
	// Seed decides time and random numbers.
	Seed uint64
	// PortableRegisters makes hooks read registers by the engine's API only, several times slower.
	// It is for Doctor and for engines whose registers are not found; see Machine.Direct.
	PortableRegisters bool
}

// Machine is one emulated processor with its memory. It must not be used by two goroutines at the
// same time; machines do not share anything and run in parallel. Close must be called.
type Machine struct {
	cfg    Config
	uc     uc.Unicorn
	c      *C.tcs
	handle cgo.Handle
	space  *space
	cache  *x86.Cache

	setup    Setup
	maps     []guestMap
	heapNext jit.Addr
	stubs    []guestStub
	calls    []uint64 // by stub
	exec     []*page
	funcs    []guestFunc // by address
	returns  map[jit.Addr]bool
	marks    []jit.Addr // sorted
	hooked   []jit.Addr // marks with a hook of their own
	pokes    []poke
	fixups   map[jit.Addr]fixup // the exception table, by the address of the instruction
	world    world
	// The packet begins packetFrom bytes behind PacketAddr, but for packetXDP, where struct xdp_buff
	// says where it is.
	packetFrom int
	packetXDP  bool

	observer  Observer
	frames    FrameObserver  // the observer, if it is one
	frameBuf  unsafe.Pointer // C memory
	helperErr *Fault
	stopped   bool // a run can be continued
	// irqs are the interrupts that the run is in, irqReturns what earlier ones returned.
	irqs       []interrupted
	irqReturns []uint64
	// clean is the processor as after init. It is restored before every run: after an exception,
	// also one inside the removal of translations of an address that is no longer mapped, the
	// engine takes the next for a double fault.
	clean uc.Context
	// translated is how many bytes of translations the engine may hold.
	translated uint64
	loaded     bool
}

// guestFunc is one function of an image.
type guestFunc struct {
	*jit.FuncImage
	image int
}

// guestStub is a helper at its address.
type guestStub struct {
	name string
	addr jit.Addr
	h    *helper // nil if not modelled
}

// poke is text that Reset restores.
type poke struct {
	addr jit.Addr
	old  []byte
}

// New returns a machine without programs. It fails if the engine is missing a feature that the
// machine needs; Doctor says which.
func New(cfg Config) (*Machine, error) {
	if cfg.Memory == 0 {
		cfg.Memory = 64 << 20
	}
	if cfg.StackSize == 0 {
		cfg.StackSize = 16 << 10
	}
	if cfg.Memory%pageSize != 0 || cfg.Memory < 64*pageSize || cfg.Memory > 1<<36 {
		return nil, fmt.Errorf("new machine: memory of %d bytes", cfg.Memory)
	}
	if cfg.StackSize%pageSize != 0 || cfg.StackSize > 1<<21 {
		return nil, fmt.Errorf("new machine: stack of %d bytes", cfg.StackSize)
	}
	if err := checkEngine(); err != nil {
		return nil, fmt.Errorf("new machine: %w", err)
	}
	m := &Machine{cfg: cfg, cache: new(x86.Cache), c: C.tcs_new(C.uint64_t(cfg.Memory))}
	if m.c == nil {
		return nil, fmt.Errorf("new machine: %d bytes of guest memory cannot be had", cfg.Memory)
	}
	m.handle = cgo.NewHandle(m)
	m.c.handle = C.uintptr_t(m.handle)
	m.c.gs_base = C.uint64_t(GSBase)
	m.c.exit_addr = C.uint64_t(OutsideReturn)
	m.space = newSpace(unsafe.Slice((*byte)(unsafe.Pointer(m.c.arena)), cfg.Memory))
	if err := m.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("new machine: %w", err), m.Close())
	}
	return m, nil
}

// controls are the control registers as open sets them.
var controls = []struct {
	reg   int
	value uint64
}{
	{uc.X86_REG_CR3, 0},
	{uc.X86_REG_CR4, 0x40620}, // OSXSAVE OSXMMEXCPT OSFXSR PAE
	{uc.X86_REG_CR0, 1<<31 | 1<<16 | 1<<5 | 1<<4 | 1<<1 | 1}, // PG WP NE ET MP PE
}

// open makes an engine and sets its processor up for 64-bit kernel mode with paging. The order
// matters: the model first, CR4 with OSXSAVE (or VEX instructions are refused), then EFER, then CR0.
func (m *Machine) open() error {
	const msrEFER, efer = 0xc0000080, 0xd00 // LME, LMA and NXE
	e, err := uc.NewUnicorn(uc.ARCH_X86, uc.MODE_64)
	if err != nil {
		return err
	}
	m.uc = e
	if err := e.SetCPUModel(uc.CPU_X86_HASWELL); err != nil {
		return fmt.Errorf("set CPU model: %w", err)
	}
	if err := ucErr("set up engine", C.tcs_attach(m.c, (*C.uc_engine)(unsafe.Pointer(e.Handle())))); err != nil {
		return err
	}
	if m.cfg.PortableRegisters {
		m.c.env = nil
	}
	if err := errors.Join(
		e.RegWrite(controls[0].reg, controls[0].value),
		e.RegWrite(controls[1].reg, controls[1].value),
		e.RegWriteX86Msr(msrEFER, efer),
		e.RegWrite(controls[2].reg, controls[2].value),
		e.RegWrite(uc.X86_REG_GS_BASE, uint64(GSBase)),
	); err != nil {
		return err
	}
	m.clean, err = e.ContextSave(nil)
	return err
}

// The engine never frees translations of code that was changed. When its buffer of 1 GiB is full it
// crashes the process, if that happens while translated code is running (libunicorn 2.1.1). So
// what has been translated is estimated from above, and the engine exchanged for a new one between
// runs long before.
const (
	hostPerByte  = 160       // bytes of translation per byte of code, at retired level with many branches
	hostPerPatch = 16 << 10  // per patch
	hostRenew    = 64 << 20  // when to exchange the engine
	hostLimit    = 900 << 20 // what one program may need
)

// translationCost is what translating everything that is loaded can cost, in bytes.
func (m *Machine) translationCost() uint64 {
	n := uint64(len(m.exec)) * 1024 // stubs and thunks
	for _, f := range m.funcs {
		n += uint64(len(f.Code)) * hostPerByte
	}
	return n
}

// renew exchanges the engine if its buffer may have become large. Memory and decoded instructions
// are kept.
func (m *Machine) renew() error {
	if m.translated < hostRenew {
		return nil
	}
	if err := m.uc.Close(); err != nil {
		return fmt.Errorf("renew engine: %w", err)
	}
	if err := m.open(); err != nil {
		return fmt.Errorf("renew engine: %w", err)
	}
	m.hooked = m.hooked[:0]
	m.translated = m.translationCost()
	return nil
}

// ucErr makes an error from an engine result.
func ucErr(what string, code C.int) error {
	if code == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w", what, uc.UcError(code))
}

// Direct reports whether hooks read registers directly from the engine's memory. If not, recording
// is several times slower, and as exact.
func (m *Machine) Direct() bool { return m.c.env != nil }

// Close releases the engine and all memory. The machine must not be used afterwards.
func (m *Machine) Close() error {
	var err error
	if m.uc != nil {
		err = m.uc.Close()
	}
	if m.c != nil {
		C.tcs_free(m.c)
		C.free(m.frameBuf)
		m.handle.Delete()
		m.c, m.frameBuf = nil, nil
	}
	return err
}

// Load replaces everything in the machine. The state then is what Reset restores. After an error
// nothing is loaded.
func (m *Machine) Load(s Setup) error {
	if err := s.check(); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	if err := m.unload(); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	m.setup = s
	for _, step := range []func() error{
		m.loadStack, m.loadSymbols, m.loadText, m.loadMaps, m.loadData, m.loadSlots, m.loadMarks,
	} {
		if err := step(); err != nil {
			return errors.Join(fmt.Errorf("load: %w", err), m.unload())
		}
	}
	m.c.root = 0
	if err := ucErr("flush translations", C.tcs_flush_tlb(m.c)); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	m.space.checkpoint()
	cost := m.translationCost()
	if cost > hostLimit {
		return errors.Join(fmt.Errorf("load: more code than the engine can translate: %d functions", len(m.funcs)), m.unload())
	}
	m.translated += cost
	m.loaded = true
	runtime.KeepAlive(m)
	return nil
}

// DecodeCache is what the machine decodes instructions with: for one goroutine, and not while it runs.
func (m *Machine) DecodeCache() *x86.Cache { return m.cache }

// unload empties the machine. Translations of old code are removed while its addresses still are
// mapped.
func (m *Machine) unload() error {
	err := errors.Join(m.removeCache(), ucErr("remove hooks", C.tcs_mark_hooks(m.c, nil, 0)))
	C.tcs_forget_all(m.c)
	m.space.clear()
	err = errors.Join(err, ucErr("flush translations", C.tcs_flush_tlb(m.c)))
	*m = Machine{
		cfg: m.cfg, uc: m.uc, c: m.c, handle: m.handle, space: m.space, cache: m.cache, frameBuf: m.frameBuf,
		clean: m.clean, translated: m.translated,
		exec: m.exec[:0], heapNext: elemBase, returns: make(map[jit.Addr]bool), fixups: make(map[jit.Addr]fixup),
	}
	return err
}

// removeCache drops the translations of all code.
func (m *Machine) removeCache() error {
	for _, p := range m.exec {
		if err := ucErr("remove translations", C.tcs_remove_cache(m.c, C.uint64_t(p.virt), C.uint64_t(p.virt+pageSize))); err != nil {
			return err
		}
	}
	return nil
}

// heap returns the address of size bytes for the machine's own use, not mapped yet, and rounded so
// that regions do not touch.
func (m *Machine) heap(size uint64) jit.Addr {
	at := m.heapNext
	m.heapNext += jit.Addr((size + 127) &^ 63)
	return at
}

func (m *Machine) loadStack() error {
	bottom := StackTop - jit.Addr(m.cfg.StackSize)
	if err := m.space.mapRange(bottom, m.cfg.StackSize, protWrite); err != nil {
		return err
	}
	fill := bytes.Repeat(binary.LittleEndian.AppendUint64(nil, StackFill), int(m.cfg.StackSize/8))
	if err := m.space.write(bottom, fill); err != nil {
		return err
	}
	if err := errors.Join(m.space.writeWord(OutsideRBP, 0), m.space.writeWord(OutsideRBP+8, 0)); err != nil {
		return err
	}
	// The outside caller: an indirect call, and where it returns to, the end of the run.
	if err := m.placeText(OutsideReturn-2, []byte{0xff, 0xd0, 0xf4}); err != nil {
		return err
	}
	return m.space.mapRange(TaskAddr, taskSize, protWrite)
}

// placeText puts code into text pages; what is between pieces is int3.
func (m *Machine) placeText(at jit.Addr, code []byte) error {
	for a := at &^ (pageSize - 1); a < at+jit.Addr(len(code)); a += pageSize {
		fresh := m.space.pages[a] == nil
		p, err := m.space.mapPage(a, protExec)
		if err != nil {
			return err
		}
		if fresh {
			b := m.space.bytes(p)
			for i := range b {
				b[i] = 0xcc
			}
			m.exec = append(m.exec, p)
		}
	}
	return m.space.write(at, code)
}

func (m *Machine) loadText() error {
	for i, img := range m.setup.Images {
		for f := range img.Funcs {
			fn := &img.Funcs[f]
			if err := m.placeText(fn.Addr, fn.Code); err != nil {
				return fmt.Errorf("image %d: function %s: %w", i, fn.Name, err)
			}
			m.funcs = append(m.funcs, guestFunc{fn, i})
			if err := m.loadSpecial(fn); err != nil {
				return fmt.Errorf("image %d: function %s: %w", i, fn.Name, err)
			}
		}
		// struct bpf_prog, of which only bpf_func matters.
		at := m.ProgAddr(i)
		if err := m.space.mapRange(at, pageSize, protWrite); err != nil {
			return err
		}
		entry := img.Funcs[0].Addr + jit.Addr(img.Funcs[0].Entry)
		if err := m.space.writeWord(at+jit.Addr(m.setup.Offsets.ProgBPFFunc), uint64(entry)); err != nil {
			return err
		}
	}
	slices.SortFunc(m.funcs, func(a, b guestFunc) int {
		if a.Addr < b.Addr {
			return -1
		}
		return 1
	})
	for i := 1; i < len(m.funcs); i++ {
		if a, b := m.funcs[i-1], m.funcs[i]; a.End() > b.Addr {
			return fmt.Errorf("functions %s and %s overlap at %#x", a.Name, b.Name, uint64(b.Addr))
		}
	}
	return nil
}

// ProgAddr returns the address of the struct bpf_prog of image i.
func (m *Machine) ProgAddr(i int) jit.Addr { return progBase + jit.Addr(i)*pageSize }

func (m *Machine) loadMaps() error {
	m.maps = make([]guestMap, len(m.setup.Maps))
	for i, s := range m.setup.Maps {
		m.maps[i] = guestMap{MapSpec: s}
		if s.Type == jit.ArenaMap {
			continue
		}
		if err := m.maps[i].place(m); err != nil {
			return fmt.Errorf("map %d (%s): %w", i, s.Name, err)
		}
	}
	return nil
}

func (m *Machine) loadData() error {
	regions := m.setup.Data
	if len(m.setup.Packet) != 0 {
		room := make([]byte, packetMemory(len(m.setup.Packet)))
		copy(room[PacketHeadroom:], m.setup.Packet)
		regions = append(slices.Clone(regions), Region{Addr: PacketAddr - PacketHeadroom, Bytes: room})
	}
	for i, r := range regions {
		pr := protWrite
		if r.ReadOnly {
			pr = protRead
		}
		err := m.space.mapRange(r.Addr, uint64(len(r.Bytes)), pr)
		if err == nil {
			err = m.space.write(r.Addr, r.Bytes)
		}
		if err != nil {
			return fmt.Errorf("data region %d: %w", i, err)
		}
	}
	return nil
}

func (m *Machine) loadSlots() error {
	for _, s := range m.setup.Inner {
		if err := m.maps[s.Map].putInner(m.space, s.Key, m.maps[s.Inner].Addr); err != nil {
			return fmt.Errorf("map %s: %w", m.maps[s.Map].Name, err)
		}
	}
	for _, s := range m.setup.Slots {
		if err := m.SetSlot(s.Map, s.Key, s.Prog); err != nil {
			return err
		}
	}
	return nil
}
