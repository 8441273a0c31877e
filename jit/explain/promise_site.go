// SPDX-License-Identifier: GPL-2.0-only

package explain

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// tailCall executes a tail call with the counter, the index and the slot next to where it is to be refused.
func (p *promises) tailCall(s *image.TailCallSite) {
	if why := p.patched(s); why != "" {
		p.note(Site, s.Start, "%s", why)
		return
	}
	for n := range uint64(tries) {
		for _, filled := range []bool{true, false} {
			t := p.attempt(s, n, filled)
			if why := t.why(); why != "" {
				p.note(Site, s.Start, "a tail call with %d of %d counted, %s: %s", t.count, p.k.Limit, t.text(), why)
				return
			}
		}
	}
}

// patched says what is wrong with the instructions of a direct tail call that the kernel patches.
func (p *promises) patched(s *image.TailCallSite) string {
	if !s.Direct {
		return ""
	}
	for _, at := range []image.CodeOff{s.Bypass, s.Jump} {
		if at < 0 {
			continue
		}
		in, err := x86.Decode(p.f.Code[at:], p.f.Addr+image.Addr(at))
		nop := bytes.HasPrefix(p.f.Code[at:], image.Nop5[:])
		if err != nil || in.Len != image.PokeSize || in.Branch != x86.BranchJump && !nop {
			return fmt.Sprintf("at +%#x the kernel patches a jump or a nop of five bytes, and there is none", int(at))
		}
		if at == s.Jump && !nop {
			return fmt.Sprintf("at +%#x the kernel patches a nop of five bytes while the slot is empty, and there is a jump", int(at))
		}
		if nop {
			continue
		}
		out := s.End
		if s.Out > 0 {
			out = s.Out
		}
		if in.Target != p.f.Addr+image.Addr(out) {
			return fmt.Sprintf("while the slot is empty, it goes to %#x, not past the tail call", uint64(in.Target))
		}
	}
	return ""
}

// attempt is one tail call that is tried.
type attempt struct {
	*promises
	s      *image.TailCallSite
	w      *world
	filled bool // the slot
	count  uint64
	index  uint64
	most   uint64     // entries of the array
	at     uint64     // of the counter
	regs   [16]uint64 // before
	end    image.CodeOff
	wrong  error
}

// attempt tries a tail call.
func (p *promises) attempt(s *image.TailCallSite, n uint64, filled bool) *attempt {
	w := p.body(n)
	limit := uint64(p.k.Limit)
	t := &attempt{promises: p, s: s, w: w, filled: filled, most: 1 + n%5}
	t.count = [...]uint64{0, limit - 1, limit, n % limit}[n%4]
	t.index = n / 2 % 7
	if n > tries/2 {
		t.index %= t.most // most are in the array
	}
	if t.at = p.counter(w); p.f.Frame.Counter.Form == image.CounterGS {
		t.at = 0 // routines say where it is
	} else if t.at != 0 {
		w.store(t.at, int(p.f.Frame.Counter.Size), t.count)
	}
	p.setKernel(w, p.counted(t.count))
	w.regs[x86.RDI] = contextAt
	skip, ends := noSlotOff, stops{s.End: true}
	if s.Direct {
		t.index = 0
		if ends[s.Jump] = true; filled {
			skip = s.Bypass
		}
		if !filled && s.Bypass < 0 {
			delete(ends, s.Jump)
		}
	} else {
		w.regs[x86.RSI], w.regs[x86.RDX] = mapAt, t.index
		w.store(mapAt+uint64(p.k.MaxEntries), 8, t.most)
		slot := uint64(0)
		if filled {
			slot = progAt
		}
		w.store(mapAt+uint64(p.k.Ptrs)+8*t.index, 8, slot)
		w.store(progAt+uint64(p.k.BPFFunc), 8, codeAt)
	}
	w.remember()
	t.regs = w.regs
	t.end, t.wrong = p.walk(w, s.Start, ends, skip)
	return t
}

func (t *attempt) text() string {
	slot := "an empty slot"
	if t.filled {
		slot = "a program in the slot"
	}
	if t.s.Direct {
		return slot
	}
	return fmt.Sprintf("index %d of %d and %s", t.index, t.most, slot)
}

// why says what is wrong with how the attempt ended, "" if nothing is.
func (t *attempt) why() string {
	out := new(left)
	taken := t.wrong == nil && t.s.Direct && t.end == t.s.Jump && t.end != t.s.End
	switch {
	case errors.As(t.wrong, &out) && !t.s.Direct:
		taken = true
		if t.k.Landing >= 0 && out.to != codeAt+uint64(t.k.Landing) {
			return "it leaves for something else than where the program in the slot is entered"
		}
	case t.wrong != nil:
		return t.wrong.Error()
	}
	inside := t.s.Direct || t.index < t.most
	may := t.count < uint64(t.k.Limit)
	counts := t.at != 0 || len(t.k.Routines) > 0
	switch {
	case taken && t.at == 0 && t.w.cell == 0 && counts:
		return "it is not counted"
	case counts && taken && !(inside && may && t.filled):
		return "it is taken"
	case counts && !taken && inside && may && t.filled:
		return "it is not taken"
	}
	want := t.count
	if taken || inside && may && t.k.EmptyCounts {
		want++
	}
	if got := t.now(taken); got != noCount && got != want {
		return fmt.Sprintf("%d are counted then, not %d", got, want)
	}
	if taken {
		return t.taken()
	}
	return t.refused()
}

// noCount is the count where it does not matter.
const noCount = ^uint64(0)

// now is what is counted.
func (t *attempt) now(taken bool) uint64 {
	switch {
	case t.w.cell != 0 && t.w.fetched && !taken:
		return noCount // it is counted whether it is taken or not
	case t.w.cell != 0:
		return t.counted(t.w.load(t.w.cell, counterSize))
	case t.at != 0:
		return t.w.load(t.at, int(t.f.Frame.Counter.Size))
	}
	return noCount
}

// taken says what is wrong with the state in which the next program is entered.
func (t *attempt) taken() string {
	w := t.w
	if w.regs[x86.RDI] != contextAt {
		return "the next program gets another context"
	}
	if w.regs[x86.RSP] != t.left() {
		return fmt.Sprintf("the next program gets rsp %+d bytes from where it should be", int64(w.regs[x86.RSP]-t.left()))
	}
	if w.regs[x86.RBP] != t.rbp() {
		return "the next program gets another rbp"
	}
	if at := t.fp(); at != 0 && w.regs[t.k.FP] != at {
		return fmt.Sprintf("the next program gets another %v, by which it reaches its stack", t.k.FP)
	}
	if !t.f.Frame.Reused {
		if why := t.restored(w); why != "" {
			return why
		}
	}
	if c := &t.f.Frame.Counter; t.k.Hands && t.at != 0 {
		own := t.at >= t.regs[x86.RSP] && t.at < w.regs[x86.RSP]
		switch {
		case c.Form == image.CounterPtr && own && w.regs[x86.RAX] != t.count+1:
			return "tail_call_cnt goes with this frame, and the next program does not get it in rax"
		case c.Form == image.CounterPtr && !own && w.regs[x86.RAX] != t.at:
			return "the next program gets no pointer to tail_call_cnt in rax"
		case c.Form == image.CounterValue && truncate(w.regs[x86.RAX]>>t.shift(), uint16(c.Size)*8) != t.count+1:
			return "the next program gets another count in rax"
		}
	}
	return t.strays(w, t.at, int(t.f.Frame.Counter.Size))
}

// refused says what is wrong with the state in which the program goes on.
func (t *attempt) refused() string {
	for r := range kept.All {
		if t.w.regs[r] != t.regs[r] {
			return fmt.Sprintf("it goes on with another %v", r)
		}
	}
	return t.strays(t.w, t.at, int(t.f.Frame.Counter.Size))
}
