// SPDX-License-Identifier: GPL-2.0-only

package emu

/*
#include "beside.h"
#include "engine.h"
*/
import "C"

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	uc "github.com/unicorn-engine/unicorn/bindings/go/unicorn"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/image"
)

// WindowSize is how much memory code that is run beside the engine may touch.
const WindowSize = C.TCS_WINDOW

// CPU is the state of a processor before or after a piece of code.
type CPU struct {
	Regs   Regs
	Flags  uint64
	RIP    image.Addr // where the code begins; afterwards of the instruction that raised an exception, or 0
	Fault  int64      // vector of the exception, -1 if none
	Window [WindowSize]byte
}

var (
	_ = [1]struct{}{}[unsafe.Sizeof(CPU{})-C.sizeof_tcs_cpu]
	_ = [1]struct{}{}[unsafe.Offsetof(CPU{}.Window)-unsafe.Offsetof(C.tcs_cpu{}.window)]
)

// Where code that is run beside the engine has to be, low enough for absolute addresses. It is entered at
// BesideCode and leaves at its end; its memory and its stack are in the window.
const (
	BesideCode   image.Addr = 0x50000000
	BesideWindow image.Addr = BesideGS + 0x800
	// BesideGS is the gs base.
	BesideGS image.Addr = 0x50100000

	besideExit           = BesideCode + 0x1000
	besideCodeLen        = 0x2000
	besideDataLen        = 0x2000
	besideRoom           = 256 // of code
	flagsSettable uint64 = 0xcd5
	flagsAlways   uint64 = 0x202
)

// Beside runs the same code in the engine and on this processor. What the code does on the processor is
// done to this process, so it must stay in its window, and the process should have nothing to lose. There
// can be one at a time; Close must be called.
type Beside struct {
	m    *Machine
	code []byte
}

// NewBeside maps memory at the same addresses for both. The error is an ErrNative if this machine refuses.
func NewBeside() (*Beside, error) {
	m, err := New(Config{})
	if err != nil {
		return nil, err
	}
	room := make([]byte, besideRoom)
	funcs := []image.FuncImage{{Name: "code", Addr: BesideCode, Code: room}, {Name: "exit", Addr: besideExit, Code: []byte{0xf4}}}
	s := guest.Setup{
		Images: []*image.Image{{Funcs: funcs}}, Marks: []image.Addr{},
		Data: []guest.Region{{Addr: BesideGS, Bytes: make([]byte, besideDataLen)}},
	}
	s.Offsets.ProgBPFFunc = 0x30
	if err := m.Load(s); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	var errno C.int
	if why := C.tcs_beside_map(C.uint64_t(BesideCode), besideCodeLen, C.uint64_t(BesideGS), besideDataLen, &errno); why != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s: %w", ErrNative, C.GoString(why), syscall.Errno(errno)), m.Close())
	}
	// The exit leads out of the low addresses: jmp [rip+0], and where to.
	exit := binary.LittleEndian.AppendUint64([]byte{0xff, 0x25, 0, 0, 0, 0}, uint64(C.tcs_beside_exit()))
	putNative(besideExit, exit)
	m.c.gs_base = C.uint64_t(BesideGS)
	return &Beside{m: m}, nil
}

// putNative stores to memory of this process that tcs_beside_map has mapped.
func putNative(at image.Addr, code []byte) {
	C.tcs_beside_put(C.uint64_t(at), unsafe.Pointer(&code[0]), C.uint64_t(len(code)))
}

// Close unmaps everything.
func (b *Beside) Close() error {
	C.tcs_beside_unmap(C.uint64_t(BesideCode), besideCodeLen, C.uint64_t(BesideGS), besideDataLen)
	return b.m.Close()
}

// Load replaces the code, and the level at which the engine runs it.
func (b *Beside) Load(code []byte, l Level) error {
	const jump = 5
	if len(code)+jump > besideRoom {
		return fmt.Errorf("%d bytes of code", len(code))
	}
	rel := besideExit - (BesideCode + image.Addr(len(code)+jump))
	code = binary.LittleEndian.AppendUint32(append(append([]byte(nil), code...), 0xe9), uint32(rel))
	if err := b.m.renew(); err != nil {
		return err
	}
	if err := b.m.WriteText(BesideCode, code); err != nil {
		return err
	}
	b.m.pokes = b.m.pokes[:0]
	b.code = code
	putNative(BesideCode, code)
	return errors.Join(
		b.m.prepare(Run{Level: l}),
		b.m.uc.RegWrite(uc.X86_REG_GS_BASE, uint64(BesideGS)),
	)
}

// Native runs the code on this processor.
func (b *Beside) Native(in []CPU, out []CPU) error {
	if len(in) == 0 || len(out) < len(in) {
		return errors.New("no room for results")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	why := C.tcs_beside_run((*C.tcs_cpu)(unsafe.Pointer(&in[0])), (*C.tcs_cpu)(unsafe.Pointer(&out[0])), C.int(len(in)),
		C.uint64_t(BesideWindow), C.uint64_t(BesideGS), C.uint64_t(BesideCode), besideCodeLen)
	if why != nil {
		return fmt.Errorf("%w: %s", ErrNative, C.GoString(why))
	}
	return nil
}

// Engine runs the code in the engine. The fault says what the machine refuses or ends with; an exception
// of the processor is in the result, and no fault.
func (b *Beside) Engine(in *CPU) (out CPU, fault *Fault, err error) {
	m := b.m
	if err := m.Mem.Write(BesideWindow, in.Window[:]); err != nil {
		return out, nil, err
	}
	if err := errors.Join(m.uc.ContextRestore(m.clean), m.uc.RegWrite(uc.X86_REG_GS_BASE, uint64(BesideGS)),
		m.uc.RegWrite(uc.X86_REG_EFLAGS, in.Flags&flagsSettable|flagsAlways)); err != nil {
		return out, nil, err
	}
	m.setRegs(&in.Regs)
	m.c.base, m.c.events, m.c.seq, m.c.prev = 0, 0, 0, 0
	m.c.n, m.c.nsites, m.c.nrecent, m.c.blk = 0, 0, 0, nil
	code := C.tcs_run(m.c, C.uint64_t(in.RIP))
	rip, err := m.uc.RegRead(uc.X86_REG_RIP)
	if err != nil {
		return out, nil, err
	}
	end := image.Addr(rip)
	if a := m.c.stop_rip; a != 0 && code == 0 {
		end = image.Addr(a)
	}
	if m.c.keep != 0 {
		C.tcs_settle(m.c, C.uint64_t(end))
	}
	m.regs(&out.Regs)
	flags, err := m.uc.RegRead(uc.X86_REG_EFLAGS)
	if err == nil {
		err = m.Mem.Read(BesideWindow, out.Window[:])
	}
	out.Flags, out.Fault = flags, -1
	switch {
	case code == C.int(uc.ERR_INSN_INVALID):
		out.Fault, out.RIP = vectorUndefined, end
	case code != 0:
		fault = m.engineFault(uc.UcError(code), end)
	case m.c.reason == C.TCS_STOP_TRAP:
		out.Fault, out.RIP = int64(m.c.intno), end
	case m.c.reason != C.TCS_RUNNING:
		_, fault = m.ended(code, end)
	case end != besideExit+1: // after the hlt
		fault = m.newFault(FaultException, end)
	}
	return out, fault, err
}
