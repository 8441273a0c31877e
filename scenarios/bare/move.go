// SPDX-License-Identifier: GPL-2.0-only

package bare

import (
	"encoding/binary"
	"math"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// callerInsns are the instructions of a trip that are not the program's.
const callerInsns = 4

// caller is the loop around the program, whose context r13 holds.
func caller(entry image.Addr) (code []byte, end int) {
	var b x86.Buf
	b.Mov64MR(x86.R(x86.RDI), x86.R13)
	b.CallD32(int32(entry - codeBase - image.Addr(b.Len()) - 5))
	b.Raw(0x49, 0xff, 0xcc) // dec r12
	b.Raw(0x75, byte(-(b.Len() + 2)))
	end = b.Len()
	b.Ret()
	return b.Bytes(), end
}

// sequence builds the sequence.
func (r *run) sequence() (*measured.Sequence, error) {
	entry, _ := r.code.at(r.entry)
	code := make([]byte, r.codeEnd-codeBase)
	loop, end := caller(entry)
	copy(code, loop)
	for _, e := range r.code {
		for a := e.from; a < e.end; a += guest.PageSize {
			copy(code[e.to+(a-e.from)-codeBase:], r.memory[a])
		}
	}
	for _, i := range r.insns {
		to, _ := r.code.at(i.PC)
		if err := r.relocate(i, code[to-codeBase:][:i.Len]); err != nil {
			return nil, err
		}
	}
	q := &measured.Sequence{
		Code: code, At: codeBase, End: end, Copies: 1, InstructionsPerTrip: len(r.stream) + callerInsns,
		Data: measured.Span{Addr: dataBase, Size: r.span}, Stack: measured.Span{Addr: r.stackEnd - image.Addr(r.span), Size: r.span},
		P10: 1, Median: 1, P90: 1, Mem: r.words(),
	}
	q.Trips = max(minTrips, tripInsns/q.InstructionsPerTrip)
	for n, v := range r.regs {
		q.Regs[n] = r.all.moved(v)
	}
	q.Regs[x86.R13] = q.Regs[x86.RDI]
	q.Regs[x86.RSP] += 8 // the call of the loop pushes the return address to where it was
	q.Regs[x86.R12] = uint64(q.Trips)
	return q, nil
}

// relocate changes the code of an instruction so that it means after the move what it meant before.
func (r *run) relocate(i *x86.Inst, code []byte) error {
	here, _ := r.code.at(i.Next())
	if i.Target != 0 {
		target, ok := r.code.at(i.Target)
		if !ok || i.Target-i.Next() == target-here {
			return nil // within what is moved as a whole, or never taken
		}
		if i.Len < 5 {
			return needs("%s cannot be moved", i.String())
		}
		binary.LittleEndian.PutUint32(code[len(code)-4:], uint32(target-here))
		return nil
	}
	if i.HasMem && i.Mem.Base == x86.RegNone && (i.Load || i.Store) {
		at := image.Addr(i.Mem.Disp)
		if i.Mem.RIPRel {
			at += i.Next()
		}
		if to, ok := r.all.at(at); !ok || !i.Mem.RIPRel || to-here != at-i.Next() {
			return needs("%s cannot be moved", i.String())
		}
	}
	v, ok := i.Imm()
	to, pointer := r.all.at(image.Addr(v))
	switch {
	case !ok || !pointer:
	case i.Len >= 10 && binary.LittleEndian.Uint64(code[len(code)-8:]) == uint64(v):
		binary.LittleEndian.PutUint64(code[len(code)-8:], uint64(to))
	case i.Len >= 5 && to <= math.MaxInt32 && int64(int32(binary.LittleEndian.Uint32(code[len(code)-4:]))) == v:
		binary.LittleEndian.PutUint32(code[len(code)-4:], uint32(to))
	default:
		return needs("%s cannot be moved", i.String())
	}
	return nil
}
