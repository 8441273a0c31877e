// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"encoding/binary"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Constants that depend on addresses and that no table of the capture names: they stand in the code
// at places that are known.

// Env also answers for arenas and private stacks.
var (
	_ image.ArenaEnv        = (*Env)(nil)
	_ image.PrivateStackEnv = (*Env)(nil)
)

// code decodes a function of the program up to where visit returns false.
func (e *Env) code(fn int, visit func(in *x86.Inst) bool) error {
	f := &e.prog.Funcs[fn]
	code := f.Code(Empty)
	for off := 0; off < len(code); {
		in, err := x86.Decode(code[off:], f.Addr+image.Addr(off))
		if err != nil {
			return fmt.Errorf("function %s: offset %#x: %w", f.Name, off, err)
		}
		if !visit(&in) {
			return nil
		}
		off += int(in.Len)
	}
	return nil
}

// loads reports whether in loads a constant into r.
func loads(in *x86.Inst, r x86.Reg) (v int64, ok bool) {
	v, ok = in.Imm()
	return v, ok && in.Op == "mov" && in.Operands[0].Kind == x86.OpReg && in.Operands[0].Reg == r && in.OpBits == 64
}

// Arena returns where the kernel sees the arena: what the program loads into r12. Where user space
// sees it is known from a cast of an address to user space, whose upper half is a constant;
// it is 0 in programs without such a cast, which do not need it.
func (e *Env) Arena(int) (kernel, user image.Addr, err error) {
	for fn := range e.prog.Funcs {
		var last [2]x86.Inst
		err = e.code(fn, func(in *x86.Inst) bool {
			if v, ok := loads(in, x86.R12); ok && kernel == 0 {
				kernel = image.Addr(v)
			}
			// shl reg, 32; or reg, high; rol reg, 32
			if n, ok := in.Imm(); ok && in.Op == "rol" && n == 32 && last[0].Op == "shl" && last[1].Op == "or" {
				if v, ok := last[1].Imm(); ok {
					user = image.Addr(uint64(uint32(v)) << 32)
				}
			}
			last[0], last[1] = last[1], *in
			return kernel == 0 || user == 0
		})
		if err != nil {
			return 0, 0, err
		}
	}
	if kernel == 0 {
		return 0, 0, fmt.Errorf("program %s loads no arena's address into r12", e.prog.Name)
	}
	return kernel, user, nil
}

// arenaMap returns the address of an arena's struct bpf_map: the constant of an instruction that
// loads it. The address that the capture's map has is that of the arena.
func (e *Env) arenaMap(m int) (image.Addr, error) {
	if a := e.scenario.Maps[m].Addr; a != 0 && e.header.Blinds() {
		return a, nil // put together from the constant's two halves
	}
	const size = 10 // of movabs
	at := map[bpf.InsnIndex]InsnPos{}
	for _, p := range e.prog.InsnMap {
		if !e.prog.Hidden(p.Func) {
			at[p.Xlated] = p
		}
	}
	for i := 0; i+1 < len(e.prog.Xlated); i++ {
		in := e.prog.Xlated[i]
		if in.Op != bpf.OpLdImm64 {
			continue
		}
		next, ok := at[bpf.InsnIndex(i+2)]
		if i++; in.Src != bpf.PseudoMap || int(in.Imm) != m || !ok || next.Off < size {
			continue
		}
		code := e.prog.Funcs[next.Func].Code(Empty)[next.Off-size:]
		if code[0]&0xf8 == 0x48 && code[1]&0xf8 == 0xb8 {
			return image.Addr(binary.LittleEndian.Uint64(code[2:])), nil
		}
	}
	return 0, fmt.Errorf("program %s shows no address of map %d, an arena", e.prog.Name, m)
}

// PrivateStack returns what the function loads into r9 before it adds this CPU's offset.
func (e *Env) PrivateStack(fn int, _ int32) (a image.Addr, err error) {
	if fn < 0 || fn >= len(e.prog.Funcs) {
		return 0, fmt.Errorf("program %s has no function %d", e.prog.Name, fn)
	}
	err = e.code(fn, func(in *x86.Inst) bool {
		v, ok := loads(in, x86.R9)
		if ok {
			a = image.Addr(v)
		}
		return !ok
	})
	if err == nil && a == 0 {
		err = fmt.Errorf("function %d (%s) of program %s loads no private stack into r9", fn, e.prog.Funcs[fn].Name, e.prog.Name)
	}
	return a, err
}
