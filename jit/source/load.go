// SPDX-License-Identifier: GPL-2.0-only

package source

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify"
)

// job is a program as tcsim_load of driver.c gets it: words of 64 bits and, after them, instructions.
type job struct {
	v     *verify.Verified
	t     *jit.Target
	env   image.Env
	buf   []byte
	funcs int // where struct tcsim_func begins
	pokes int // where struct tcsim_poke begins
	ends  []int
}

// Words of the structures in driver.c.
const (
	jobWords  = 7
	funcWords = 9
	pokeWords = 9

	funcEnds, funcEntry, funcLen, funcImage          = 5, 6, 7, 8
	pokeIP, pokeTarget, pokeBypass, pokeOut, pokeAdj = 4, 5, 6, 7, 8
)

func (j *job) put(at int, v uint64) { binary.LittleEndian.PutUint64(j.buf[at:], v) }

func (j *job) word(at int) uint64 { return binary.LittleEndian.Uint64(j.buf[at:]) }

// funcWord and pokeWord return a word of function or direct tail call n.
func (j *job) funcWord(n, w int) uint64 { return j.word(j.funcs + 8*(n*funcWords+w)) }
func (j *job) pokeWord(n, w int) uint64 { return j.word(j.pokes + 8*(n*pokeWords+w)) }

// newJob lays a program out.
func newJob(v *verify.Verified, t *jit.Target, env image.Env, tailCallOp uint8) (*job, error) {
	if len(v.Funcs) > maxFuncs {
		return nil, fmt.Errorf("%d functions, at most %d fit", len(v.Funcs), maxFuncs)
	}
	insns, err := encode(v, env, tailCallOp)
	if err != nil {
		return nil, err
	}
	j := &job{v: v, t: t, env: env, funcs: 8 * jobWords}
	j.pokes = j.funcs + 8*funcWords*len(v.Funcs)
	code := j.pokes + 8*pokeWords*len(v.Pokes)
	ends := code + len(insns)
	j.buf = make([]byte, ends+4*(len(v.Insns)+len(v.Funcs)))
	copy(j.buf[code:], insns)
	at := func(off int) uint64 { return uint64(inputBase) + uint64(off) }
	var kern, user image.Addr
	if v.Arena != 0 {
		if t.Emit.ISA&kernels.ISAArena == 0 {
			return nil, fmt.Errorf("arenas: %w", kernels.ErrUnsupported)
		}
		a, ok := env.(image.ArenaEnv)
		if !ok {
			return nil, errors.New("arenas have no addresses here")
		}
		if kern, user, err = a.Arena(v.Arena - 1); err != nil {
			return nil, err
		}
	}
	typ := uint64(0)
	if v.Program != nil {
		typ = uint64(v.Program.Type)
	}
	for i, w := range []uint64{
		uint64(len(v.Funcs)), at(j.funcs), uint64(len(v.Pokes)), at(j.pokes), uint64(kern), uint64(user), typ,
	} {
		j.put(8*i, w)
	}
	for n := range v.Funcs {
		f := &v.Funcs[n]
		j.ends = append(j.ends, ends)
		for i, w := range []uint64{
			at(code + int(f.Start)*bpf.InsnSize), uint64(f.End - f.Start), uint64(f.StackDepth), flagsOf(f),
			exceptionEntries(v.Insns[f.Start:f.End]), at(ends),
		} {
			j.put(j.funcs+8*(n*funcWords+i), w)
		}
		ends += 4 * int(f.End-f.Start+1)
	}
	for n, p := range v.Pokes {
		fn := slices.IndexFunc(v.Funcs, func(f verify.FuncInfo) bool { return p.Insn >= f.Start && p.Insn < f.End })
		for i, w := range []uint64{uint64(p.Insn), uint64(fn), uint64(p.Map), uint64(p.Key)} {
			j.put(j.pokes+8*(n*pokeWords+i), w)
		}
	}
	return j, nil
}

func flagsOf(f *verify.FuncInfo) (flags uint64) {
	for i, on := range []bool{f.TailCallReachable, f.ExceptionBoundary, f.ExceptionCB, f.PrivateStack} {
		if on {
			flags |= 1 << i
		}
	}
	return flags
}

// exceptionEntries counts the instructions that have an entry in the exception table, as jit_subprogs does.
func exceptionEntries(insns []bpf.Insn) (n uint64) {
	const ldx, st, stx = 1, 2, 3
	const probeMem, probeMemSX, probeMem32, probeMem32SX, probeAtomic = 0x20, 0x40, 0xa0, 0xc0, 0xe0
	for i := 0; i < len(insns); i++ {
		in := insns[i]
		mode := in.Op & 0xe0
		switch in.Class() {
		case ldx:
			if mode == probeMem || mode == probeMemSX || mode == probeMem32 || mode == probeMem32SX {
				n++
			}
		case st:
			if mode == probeMem32 {
				n++
			}
		case stx:
			if mode == probeMem32 || mode == probeAtomic {
				n++
			}
		}
		if in.Op == bpf.OpLdImm64 {
			i++
		}
	}
	return n
}

// encode returns the instructions as the JIT gets them: maps by address, helpers by distance from
// __bpf_call_base, own functions by number.
func encode(v *verify.Verified, env image.Env, tailCallOp uint8) ([]byte, error) {
	out := make([]byte, 0, len(v.Insns)*bpf.InsnSize)
	for i := 0; i < len(v.Insns); i++ {
		in := v.Insns[i]
		fail := func(err error) error {
			return fmt.Errorf("insn %d (%s): %w", i, bpf.TextAt(v.Insns, bpf.InsnIndex(i)), err)
		}
		switch {
		case in.Op == bpf.OpTailCall:
			in.Op = tailCallOp
		case in.Op == bpf.OpCall && in.Src == bpf.PseudoCall:
		case in.Op == bpf.OpCall:
			a, err := kernelFunc(v, in, env)
			if err != nil {
				return nil, fail(err)
			}
			if in.Imm = int32(a - callBase); callBase+image.Addr(int64(in.Imm)) != a {
				return nil, fail(fmt.Errorf("%#x cannot be called from a program", uint64(a)))
			}
		case in.Op == bpf.OpLdImm64 && i+1 < len(v.Insns):
			second := v.Insns[i+1]
			if err := resolve(v, env, bpf.InsnIndex(i), &in, &second); err != nil {
				return nil, fail(err)
			}
			b, c := in.Bytes(), second.Bytes()
			out = append(append(out, b[:]...), c[:]...)
			i++
			continue
		}
		b := in.Bytes()
		out = append(out, b[:]...)
	}
	return out, nil
}

// resolve puts addresses into a constant that stands for something.
func resolve(v *verify.Verified, env image.Env, i bpf.InsnIndex, in, second *bpf.Insn) error {
	var a image.Addr
	var err error
	switch in.Src {
	case bpf.PseudoMap:
		a, err = env.MapAddr(int(in.Imm))
	case bpf.PseudoMapValue:
		a, err = env.MapValue(int(in.Imm))
		a += image.Addr(uint32(second.Imm))
	case bpf.PseudoFunc:
		fn := slices.IndexFunc(v.Funcs, func(f verify.FuncInfo) bool { return f.Start == i+1+bpf.InsnIndex(in.Imm) })
		if fn < 0 {
			return errors.New("no function starts there")
		}
		in.Imm, second.Imm = int32(fn), 0
		return nil
	default:
		return nil
	}
	in.Src, in.Imm, second.Imm = 0, int32(a), int32(a>>32)
	return err
}

// offsets returns where the code of each slot of function n begins, with one more for the end; the first is 0
// if the JIT does not say where the prologue ends. nil if it says nothing.
func (j *job) offsets(n int) []image.CodeOff {
	f := &j.v.Funcs[n]
	insns := j.v.Insns[f.Start:f.End]
	end := func(i int) image.CodeOff {
		return image.CodeOff(binary.LittleEndian.Uint32(j.buf[j.ends[n]+4*(i+1):]))
	}
	if end(len(insns)-1) == 0 {
		return nil
	}
	out := make([]image.CodeOff, len(insns)+1)
	out[0] = end(-1)
	for i := 0; i < len(insns); i++ {
		if insns[i].Op == bpf.OpLdImm64 && i+1 < len(insns) {
			out[i+1] = end(i + 1) // the JIT tells nothing of the first half
			i++
		}
		out[i+1] = end(i)
	}
	return out
}

// kernelFunc returns the address of the helper or kernel function that a call reaches.
func kernelFunc(v *verify.Verified, in bpf.Insn, env image.Env) (image.Addr, error) {
	if name := v.KernelFunc(in); name != "" {
		return env.Symbol(name)
	}
	return env.Helper(in.Imm)
}
