// SPDX-License-Identifier: GPL-2.0-only

package emu

/*
#include "native.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/jit/x86"
)

// ErrNative says that this machine cannot measure code sequences; the error around it says why.
var ErrNative = errors.New("cannot be measured on this machine")

// HostUsable returns an ErrNative if cycles that are measured here could not be trusted: not Linux
// on amd64, or a time stamp counter whose rate changes.
func HostUsable() error {
	if why := C.tcs_native_usable(); why != nil {
		return fmt.Errorf("%w: %s", ErrNative, C.GoString(why))
	}
	return nil
}

// HostName returns the name that the processor gives itself, "" if it gives none.
func HostName() string {
	var name [49]C.char
	C.tcs_native_name(&name[0])
	return strings.TrimSpace(C.GoString(&name[0]))
}

// TimeNative runs a sequence reps times on this processor, not in the emulator, and returns the time
// stamp ticks of each repetition. Code, data and stack are mapped at the addresses that the sequence
// expects and unmapped at the end. What the code does is done to this process: a fault ends it, an
// endless loop hangs it. So call it in a process of its own, with code that has returned in the
// emulator, and one call at a time. The error is an ErrNative if the machine refuses.
func TimeNative(s *measured.Sequence, reps int) ([]measured.HostRep, error) {
	if err := HostUsable(); err != nil {
		return nil, err
	}
	stack, span := uint64(s.Stack.Addr), uint64(s.Stack.Size)
	sp := s.Regs[x86.RSP]
	if reps < 1 || s.Trips < 2 || len(s.Code) == 0 || sp < stack || sp > stack+span-16 || s.Data.Size != s.Stack.Size || sp%8 != 0 {
		return nil, fmt.Errorf("sequence %s: %d repetitions of %d trips of %d bytes with rsp %#x cannot be run",
			s.Name, reps, s.Trips, len(s.Code), sp)
	}
	words := make([]uint64, 0, 2*len(s.Mem)+2)
	for _, w := range s.Mem {
		words = append(words, uint64(w.Addr), w.Value)
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&s.Code[0])
	words = append(words, 0, 0) // so that there is a first one
	pin.Pin(&words[0])
	job := C.tcs_native_job{
		code: (*C.uint8_t)(&s.Code[0]), code_at: C.uint64_t(s.At), code_len: C.uint64_t(len(s.Code)),
		region: [2]C.uint64_t{C.uint64_t(s.Data.Addr), C.uint64_t(s.Stack.Addr)}, span: C.uint64_t(span),
		words: (*C.uint64_t)(&words[0]), nwords: C.uint64_t(len(s.Mem)),
		part: C.uint64_t(measured.HostPart(s.Trips)), full: C.uint64_t(s.Trips),
	}
	for i, v := range s.Regs {
		job.regs[i] = C.uint64_t(v)
	}
	out := make([]measured.HostRep, reps)
	var errno C.int
	why := C.tcs_native_run(&job, (*C.tcs_native_rep)(unsafe.Pointer(&out[0])), C.int(reps), &errno)
	runtime.KeepAlive(s)
	if why != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrNative, C.GoString(why), syscall.Errno(errno))
	}
	return out, nil
}

// HostNopRate returns how many nops a cycle this processor executes when it has a core for itself; 0 if that
// is not known. A process that shares a physical core from beginning to end sees fewer.
func HostNopRate() float64 {
	switch family := C.tcs_native_family(); family {
	case zen5Family:
		return zen5Nops
	default:
		return 0
	}
}

// Zen 5 takes 2,490 cycles for 19,200 nops and their loop (fixtures/uarch/zen5/cores.json).
const (
	zen5Family = 26
	zen5Nops   = 7.71
)
