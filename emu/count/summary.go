// SPDX-License-Identifier: GPL-2.0-only

package count

import (
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/x86"
)

// effect is what a call leaves in one location.
type effect struct {
	l loc // relative to the call's entry rsp
	f form
	v uint64 // the value that it left when it was executed
}

// pinned is a precondition on one location.
type pinned struct {
	l loc
	p pin
}

// String returns "rax = 0x5" or "rdi = rsp+16".
func (p pinned) String() string {
	if p.p.rel {
		return fmt.Sprintf("%v = rsp%+d", p.l, int64(p.p.v))
	}
	return fmt.Sprintf("%v = %#x", p.l, p.p.v)
}

// summary is what a call does from every state that satisfies its precondition.
type summary struct {
	pins     []pinned
	rsp      uint64 // the entry rsp, which must be the same if pinRSP
	pinRSP   bool
	effects  []effect
	down, up uint64 // bytes of stack that are used below and above the entry rsp
	t        tally
	hits     uint64
}

// bytes is about what the summary occupies.
func (s *summary) bytes() int { return 256 + 64*len(s.pins) + 56*len(s.effects) + 16*len(s.t.starts) }

// summarise closes a frame: forms are expressed in its entry state. The machine is in the state
// after it.
func (fr *frame) summarise() *summary {
	m, after := &fr.c.mem, &fr.c.r
	s := &summary{rsp: fr.rsp, down: fr.rsp - fr.low, up: fr.high - fr.rsp}
	for r, f := range fr.regs {
		l := regLoc(x86.Reg(r))
		if f.low && f.wide != 8 { // half known: what it was computed from has to be pinned after all
			fr.pin(operand{f, after.R[r]})
			f = form{}
		}
		if f != input(l) {
			s.effects = append(s.effects, effect{l, f, after.R[r]})
		}
	}
	words := make([]uint64, 0, len(fr.mem))
	for n := range fr.mem {
		words = append(words, n)
	}
	slices.Sort(words)
	for _, n := range words {
		for i, c := range fr.mem[n] {
			if c != nil && c.at == n<<3+uint64(i) {
				s.effects = append(s.effects, effect{fr.locAt(c.at, c.w), c.f, m.peek(c.at, c.w)})
			}
		}
	}
	for l, p := range fr.pins {
		s.pins = append(s.pins, pinned{l, p})
	}
	slices.SortFunc(s.pins, func(a, b pinned) int { return a.l.compare(b.l) })
	s.pinRSP = fr.pinRSP
	s.t = fr.t
	return s
}

// matches reports whether a call entered with the registers r satisfies the precondition.
func (s *summary) matches(r *Regs, m *memory) bool {
	rsp := r.R[x86.RSP]
	if s.pinRSP && rsp != s.rsp || rsp-s.down < m.lo || rsp+s.up > m.hi {
		return false
	}
	for _, p := range s.pins {
		want := p.p.v
		if p.p.rel {
			want += rsp
		}
		if v, ok := m.value(p.l, r); !ok || v != want {
			return false
		}
	}
	return true
}

// from returns the effects with the values that they have for a call entered with the registers r.
func (s *summary) from(r *Regs, m *memory) []effect {
	out := slices.Clone(s.effects)
	for i := range out {
		switch x := &out[i]; x.f.kind {
		case formRSP:
			x.v = r.R[x86.RSP] + x.f.c
		case formInput:
			in := r.R[x.f.in.reg]
			if x.f.in.kind != locReg {
				in = m.peek(x.f.in.addr(r.R[x86.RSP]), x.f.in.w)
			}
			if x.v = in + x.f.c; !x.f.low {
				x.v = mask(x.v, x.f.in.w)
			}
		}
	}
	return out
}

// compose carries a summary's precondition and effects, these with the values they have now, over
// to the frame that made the call, with e in rsp.
func (fr *frame) compose(s *summary, effects []effect, e uint64) {
	base := fr.regs[x86.RSP] // the callee's entry rsp in the caller's terms
	if s.pinRSP || base.kind != formRSP {
		fr.pin(operand{base, e})
		fr.pinRSP = fr.pinRSP || base.kind != formRSP
	}
	for _, p := range s.pins {
		fr.carry(p, base, e)
	}
	forms := make([]form, len(effects))
	for i := range effects {
		forms[i] = fr.translate(&effects[i], base, e)
	}
	for i := range effects {
		x := &effects[i]
		if x.l.kind == locReg {
			fr.regs[x.l.reg] = forms[i]
			continue
		}
		fr.store(x.l.addr(e), x.l.w, operand{forms[i], x.v})
	}
	fr.low, fr.high = min(fr.low, e-s.down), max(fr.high, e+s.up)
	fr.t.add(&s.t)
	fr.noFlags = true
}

// look returns the operand that a location held at the entry of a callee: its value v is known.
func (fr *frame) look(l loc, v, e uint64) operand {
	if l.kind == locReg {
		return operand{fr.regs[l.reg], v}
	}
	return operand{fr.load(l.addr(e), l.w, v), v}
}

// carry makes a callee's pinned location a pin of the caller.
func (fr *frame) carry(p pinned, base form, e uint64) {
	if !p.p.rel {
		fr.pin(fr.look(p.l, p.p.v, e))
		return
	}
	o := fr.look(p.l, p.p.v+e, e)
	switch {
	case base.kind != formRSP: // the caller's rsp is pinned
		fr.pin(o)
	case o.f.kind == formRSP: // both move with the entry rsp
	case o.f.kind == formInput && o.f.in.w == 8:
		fr.require(o.f.in, o.input()-fr.rsp, true)
	default:
		fr.pin(o)
		fr.pinRSP = true
	}
}

// translate expresses an effect by the caller's forms.
func (fr *frame) translate(x *effect, base form, e uint64) form {
	switch x.f.kind {
	case formConst:
		return form{}
	case formRSP:
		return base.plus(x.f.c, 8)
	}
	w := x.f.in.w
	o := fr.look(x.f.in, mask(x.v-x.f.c, w), e)
	switch f := o.f; {
	case f.kind == formConst:
		return f
	case x.f.low: // the sum may carry out of the input
		if f.kind == formInput && f.in.w == w && !f.low {
			return f.plus(x.f.c, 8)
		}
	case x.f.c == 0 && f.kind == formInput && f.in.w <= w && !f.low:
		return f
	case f.kind == formRSP && w == 8, f.kind == formInput && f.in.w == w && !f.low:
		return f.plus(x.f.c, w)
	case w == 8 && x.l.kind == locReg:
		return f.plus(x.f.c, w) // the low bytes are known
	}
	fr.pin(o)
	return form{}
}
