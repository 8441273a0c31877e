// SPDX-License-Identifier: GPL-2.0-only

package kernel

import (
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/helper"
	"github.com/tcsim/tcsim/jit/image"
)

// maxStubs is how many helpers one setup can have: the stub's port number is a byte.
const maxStubs = 256

// loadSymbols puts thunks, helper stubs and variables at the addresses of their symbols.
func (k *Kernel) loadSymbols() error {
	names := make([]string, 0, len(k.Setup.Symbols))
	for n := range k.Setup.Symbols {
		names = append(names, n)
	}
	slices.Sort(names)
	owner := make(map[image.Addr]string)
	for _, n := range names {
		at := k.Setup.Symbols[n]
		if isPerCPU(n) {
			if err := k.loadPerCPU(n, guest.GSBase+at); err != nil {
				return fmt.Errorf("symbol %s: %w", n, err)
			}
			continue
		}
		if old, dup := owner[at]; dup {
			// Two names of one function: the one that is known decides.
			if !k.modelled(n) || k.modelled(old) {
				continue
			}
			k.dropStub(at)
		}
		owner[at] = n
		if err := k.loadSymbol(n, at); err != nil {
			return fmt.Errorf("symbol %s: %w", n, err)
		}
	}
	return nil
}

func isPerCPU(name string) bool {
	_, ok := perCPU[name]
	return ok
}

func (k *Kernel) modelled(name string) bool {
	_, variable := kernelVars[name]
	_, isThunk, _ := thunk(name, k.Setup.Symbols)
	return variable || isThunk || helper.ByName(name) != nil
}

func (k *Kernel) dropStub(at image.Addr) {
	k.Stubs = slices.DeleteFunc(k.Stubs, func(s Stub) bool { return s.Addr == at })
}

// loadPerCPU initialises a variable of this CPU, number 0.
func (k *Kernel) loadPerCPU(name string, at image.Addr) error {
	value := uint64(0)
	switch name {
	case "this_cpu_off":
		value = uint64(guest.GSBase)
		if err := k.loadPerCPUArea(at); err != nil {
			return err
		}
	case "current_task":
		value = uint64(guest.TaskAddr)
	case "__x86_call_depth":
		value = 1 << 63
	case "pcpu_hot", "const_pcpu_hot": // current_task, preempt_count, cpu_number, call_depth
		if err := k.Mem.MapRange(at, 24, guest.Writable); err != nil {
			return err
		}
		if err := k.Mem.WriteWord(at+16, 1<<63); err != nil {
			return err
		}
		value = uint64(guest.TaskAddr)
	}
	if err := k.Mem.MapRange(at, 8, guest.Writable); err != nil {
		return err
	}
	return k.Mem.WriteWord(at, value)
}

// loadPerCPUArea maps what inlined helpers reach by adding this_cpu_off, which is at address at, to
// an address: all variables are 0, as the number of this CPU is. The area begins at the gs base
// (until 6.14), or the variables lie around this_cpu_off itself.
func (k *Kernel) loadPerCPUArea(at image.Addr) error {
	const area = 0x40000
	if at >= guest.GSBase && at < guest.GSBase+area {
		return k.Mem.MapRange(guest.GSBase, area, guest.Writable)
	}
	return k.Mem.MapRange(at&^(guest.PageSize-1)-guest.PageSize, 3*guest.PageSize, guest.Writable)
}

func (k *Kernel) loadSymbol(name string, at image.Addr) error {
	if v, ok := kernelVars[name]; ok {
		if err := k.Mem.MapRange(at, 8, guest.Writable); err != nil {
			return err
		}
		return k.Mem.WriteWord(at, v)
	}
	code, ok, err := thunk(name, k.Setup.Symbols)
	if err != nil {
		return err
	}
	if ok {
		if isReturnThunk(name) {
			k.returns[at] = true
		}
		return k.Mem.PlaceText(at, code)
	}
	if len(k.Stubs) == maxStubs {
		return fmt.Errorf("more than %d functions", maxStubs)
	}
	s := Stub{name, at, at, helper.ByName(name)}
	code = stub(uint8(len(k.Stubs)))
	if s.Helper.CallsBack() {
		var work image.CodeOff
		code, work, _ = loopStub(uint8(len(k.Stubs)))
		s.Work += image.Addr(work)
	}
	k.Stubs = append(k.Stubs, s)
	return k.Mem.PlaceText(at, code)
}
