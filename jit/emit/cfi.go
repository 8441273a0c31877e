// SPDX-License-Identifier: GPL-2.0-only

package emit

import (
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
)

// cfiPreamble is the size of each CFI preamble in front of bpf_func: cfi_get_offset().
const cfiPreamble = 16

// cfiSize returns how far after the start of the code bpf_func is.
func (c *compiler) cfiSize() image.CodeOff {
	if c.t.Emit.CFI == kernels.CFINone || c.t.Emit.CFIApart {
		return 0
	}
	return cfiPreamble
}

// Poison is what stands at bpf_func instead of endbr64, by which the kernel knows it (gen_endbr_poison and is_endbr of
// arch/x86/include/asm/ibt.h, 6.12 and 7.2): nil if endbr64 or nothing stands there.
func Poison(k kernels.CFIKind) []byte {
	switch k {
	case kernels.CFIFine:
		return []byte{0x66, 0x0f, 0x1f, 0x00}
	case kernels.CFIFineEAX, kernels.CFIFineEAXBHI:
		return []byte{0x0f, 0x1f, 0x40, 0xd6}
	}
	return nil
}

// cfi is emit_cfi (6.8 and later; arch/x86/include/asm/cfi.h): the preamble and what stands at
// bpf_func, which is endbr64 except with FineIBT, where it is a 4-byte nop that no hardware
// takes for one (gen_endbr_poison). Captures have what comes after the preamble; the preambles
// are what the kernel's own source emits.
func (e *Writer) cfi() error {
	hash, arity := e.Func.Config.Emit.CFIHashes.Main, 1
	if e.Func.Sub {
		hash, arity = e.Func.Config.Emit.CFIHashes.Subprog, 5
	}
	kind := e.Func.Config.Emit.CFI
	poison := Poison(kind)
	if e.Func.Config.Emit.CFIApart {
		if poison == nil {
			e.EndBR()
		}
		e.Raw(poison...)
		return nil
	}
	switch kind {
	case kernels.CFIKernel:
		e.Mov32OI(0, hash) // b8 hash
		for range 11 {     // CONFIG_FUNCTION_PADDING_CFI
			e.Nop(1)
		}
		e.EndBR()
	case kernels.CFIFine:
		e.ENDBR64()
		e.Raw(0x41, 0x81, 0xea) // sub r10d, hash
		e.Imm32(hash)
		e.JeD8(7)
		e.Ud2()
		e.Nop(1)
	case kernels.CFIFineEAX:
		e.ENDBR64()
		e.Sub32I(int32(hash)) // 2d hash
		e.Raw(0x2e)           // branch hint
		e.JneD32(3)
	case kernels.CFIFineEAXBHI:
		e.ENDBR64()
		e.Sub32I(int32(hash))
		e.Raw(0x2e, 0x2e)
		if err := e.callBHI(arity); err != nil {
			return err
		}
	default:
		e.EndBR()
	}
	e.Raw(poison...)
	return nil
}

// callBHI calls the entry of __bhi_args for a number of arguments; each entry has 32 bytes
// (arch/x86/lib/bhi.S).
func (e *Writer) callBHI(arity int) error {
	var rel int32
	if e.Func.img != nil {
		a, err := e.Func.c.symbol(bhiSymbol)
		if err != nil {
			return err
		}
		if rel, err = e.rel32(a+image.Addr(32*arity), 5); err != nil {
			return err
		}
	}
	e.CallD32(rel)
	return nil
}
