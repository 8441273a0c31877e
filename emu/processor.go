// SPDX-License-Identifier: GPL-2.0-only

package emu

/*
#include "processor.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"math/bits"
	"unsafe"

	uc "github.com/unicorn-engine/unicorn/bindings/go/unicorn"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/source"
	"github.com/tcsim/tcsim/jit/source/compiler"
)

// Processor is an emulated processor for compiled C code of a kernel: memory at kernel addresses through
// page tables, in which all pages may be read, written and executed, and nothing that records. It is what
// the JIT of a kernel's source runs on. It must not be used by two goroutines at the same time, and
// Close must be called.
type Processor struct {
	uc    uc.Unicorn
	c     *C.tcp
	mem   *guest.Memory
	clean uc.Context
	dirty bool // an exception has left the engine in a state that it does not get out of by itself
}

// Kernel sources are targets wherever this package is there to run their JIT.
func init() {
	source.Register(&source.Opener{
		Processor: func() (source.Processor, error) { return NewProcessor(processorMemory) },
		Cache:     compiler.CacheDir(),
	})
}

// processorMemory is room for the heap of the largest program; what is not touched costs nothing.
const processorMemory = 2 << 30

// NewProcessor returns a processor with at most so many bytes of memory, of which only what is touched
// costs host memory.
func NewProcessor(memory uint64) (*Processor, error) {
	if err := checkEngine(); err != nil {
		return nil, fmt.Errorf("new processor: %w", err)
	}
	p := &Processor{c: C.tcp_new(C.uint64_t(memory))}
	if p.c == nil {
		return nil, fmt.Errorf("new processor: %d bytes of memory are not available", memory)
	}
	p.mem = guest.NewMemory(unsafe.Slice((*byte)(unsafe.Pointer(p.c.arena)), memory))
	if err := p.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("new processor: %w", err), p.Close())
	}
	return p, nil
}

func (p *Processor) open() error {
	e, err := uc.NewUnicorn(uc.ARCH_X86, uc.MODE_64)
	if err != nil {
		return err
	}
	p.uc = e
	if err := e.SetCPUModel(uc.CPU_X86_HASWELL); err != nil {
		return fmt.Errorf("set CPU model: %w", err)
	}
	if err := ucErr("set up engine", C.tcp_attach(p.c, (*C.uc_engine)(unsafe.Pointer(e.Handle())))); err != nil {
		return err
	}
	if err := enterKernelMode(e); err != nil {
		return err
	}
	// Per-CPU variables are where their addresses say.
	if err := e.RegWrite(uc.X86_REG_GS_BASE, 0); err != nil {
		return fmt.Errorf("set gs base: %w", err)
	}
	p.clean, err = e.ContextSave(nil)
	return err
}

// Close releases the engine and all memory.
func (p *Processor) Close() error {
	var err error
	if p.uc != nil {
		err = p.uc.Close()
		p.uc = nil
	}
	if p.c != nil {
		C.tcp_free(p.c)
		p.c = nil
	}
	return err
}

// Map maps the pages of [addr, addr+size) that are not mapped yet, zeroed.
func (p *Processor) Map(addr image.Addr, size uint64) error {
	return p.mem.MapRange(addr, size, guest.Writable|guest.Executable)
}

// Unmap forgets the pages of [from, to).
func (p *Processor) Unmap(from, to image.Addr) error {
	p.mem.Unmap(from, to)
	return ucErr("flush translations", C.tcp_flush(p.c))
}

// Write stores bytes in mapped memory. It is not for code that has been run: see WriteCode.
func (p *Processor) Write(addr image.Addr, b []byte) error { return p.mem.Write(addr, b) }

// WriteCode is Write for code that may have been run.
func (p *Processor) WriteCode(addr image.Addr, b []byte) error {
	if err := p.mem.Write(addr, b); err != nil {
		return err
	}
	return ucErr("remove translations", C.tcp_remove_cache(p.c, C.uint64_t(addr), C.uint64_t(addr)+C.uint64_t(len(b))))
}

// Read fetches bytes from mapped memory.
func (p *Processor) Read(addr image.Addr, b []byte) error { return p.mem.Read(addr, b) }

// Watch notes from now on which pieces of the code in [from, from+size), which a jump ends, are begun; a size of 0 ends that.
func (p *Processor) Watch(from image.Addr, size uint64) error {
	return ucErr("watch", C.tcp_watch(p.c, C.uint64_t(from), C.uint64_t(size)))
}

// Begun returns the addresses of the pieces that were begun since the last Watch or Begun, in order.
func (p *Processor) Begun() []image.Addr {
	if p.c.watch_size == 0 {
		return nil
	}
	var all []image.Addr
	for i, b := range unsafe.Slice((*byte)(p.c.begun), p.c.watch_size/8+1) {
		for ; b != 0; b &= b - 1 {
			all = append(all, image.Addr(p.c.watch_from)+image.Addr(8*i+bits.TrailingZeros8(b)))
		}
	}
	clear(unsafe.Slice((*byte)(p.c.begun), p.c.watch_size/8+1))
	return all
}

// Execute runs code from rip with the given general purpose registers, in the order of their numbers, and
// leaves them as they are at the end. It ends at a hlt, after which rip is the address after it, at an exception,
// or when more than blocks pieces of code were begun that a jump ends.
func (p *Processor) Execute(rip image.Addr, regs *[16]uint64, blocks uint64) (source.Stop, error) {
	if p.dirty {
		if err := p.uc.ContextRestore(p.clean); err != nil {
			return source.Stop{}, err
		}
		p.dirty = false
	}
	p.c.blocks, p.c.max_blocks = 0, C.uint64_t(blocks)
	var end C.uint64_t
	err := uc.UcError(C.tcp_run(p.c, C.uint64_t(rip), (*C.uint64_t)(unsafe.Pointer(&regs[0])), &end))
	stop := source.Stop{RIP: image.Addr(end), Blocks: uint64(p.c.blocks)}
	switch {
	case p.c.intno >= 0:
		p.dirty = true
		stop.Reason = source.StoppedByException
		if p.c.intno == 14 {
			stop.Reason, stop.Addr = source.StoppedByAccess, image.Addr(p.c.cr2)
		}
	case p.c.over != 0:
		p.dirty = true
		stop.Reason = source.StoppedByBudget
	case err != uc.ERR_OK:
		p.dirty = true
		stop.Reason, stop.Text = source.StoppedByException, err.Error()
	}
	return stop, nil
}
