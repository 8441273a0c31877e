// SPDX-License-Identifier: GPL-2.0-only

package trace

import (
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
)

// mark adds a site, merging it with one at the same offset.
func (f *Fn) mark(off image.CodeOff, m mark) {
	if n := f.site[off]; n != 0 {
		o := &f.marks[n-1]
		switch {
		case m.kinds&MarkTailEnd != 0:
			o.ended = m.ended
		case m.kinds&MarkCall != 0:
			o.call, o.length, o.target, o.throws = m.call, m.length, m.target, m.throws
		default:
			o.tail = m.tail
		}
		o.kinds |= m.kinds
		return
	}
	m.off = off
	f.marks = append(f.marks, m)
	f.site[off] = uint32(len(f.marks))
}

// many is how many sites of a kind a function has for which a map is made.
const many = 16

// order prepares for functions with many sites what endsAt, takesBack and tailAt look for.
func (f *Fn) order() {
	if len(f.TailCalls) > many {
		f.ends, f.ordered = make(map[image.CodeOff]bool), true
	}
	for i := range f.TailCalls {
		t := &f.TailCalls[i]
		if f.ends != nil {
			f.ends[t.End] = true
		}
		f.ordered = f.ordered && t.End >= t.Start && (i == 0 || t.Start >= f.TailCalls[i-1].End)
	}
	if len(f.Calls) > many {
		f.takes = make(map[image.CodeOff]bool)
		for i := range f.Calls {
			f.takes[f.Calls[i].TakeBack] = true
		}
	}
}

// endsAt reports whether a tail call that is refused goes on at off.
func (f *Fn) endsAt(off image.CodeOff) bool {
	if f.ends != nil {
		return f.ends[off]
	}
	return slices.ContainsFunc(f.TailCalls, func(t image.TailCallSite) bool { return t.End == off })
}

// takesBack reports whether the instruction at off stores for the design what a callee has counted.
func (f *Fn) takesBack(off image.CodeOff) bool {
	if f.takes != nil {
		return f.takes[off]
	}
	return slices.ContainsFunc(f.Calls, func(c image.CallSite) bool { return off == c.TakeBack })
}

// throwFunc is the kernel function that throws an exception.
const throwFunc = "bpf_throw"

// markSites adds the entry, the calls and the tail calls.
func (f *Fn) markSites(c *Code, lengths []uint8) error {
	starts := func(off image.CodeOff) bool {
		return off >= 0 && int(off) < len(lengths) && lengths[off] != 0
	}
	if f.Index == 0 || f.calledBack {
		if !starts(f.Entry) {
			return fmt.Errorf("no instruction at the entry +%#x", int(f.Entry))
		}
		f.mark(f.Entry, mark{kinds: MarkEntry})
	}
	for i := range f.Calls {
		s := &f.Calls[i]
		if !starts(s.Off) {
			return fmt.Errorf("call %d: no instruction at +%#x", i, int(s.Off))
		}
		m := mark{kinds: MarkCall, call: i, length: lengths[s.Off], target: c.Lookup(s.Target)}
		m.throws = m.target == nil && c.symbol(s.Target) == throwFunc
		f.mark(s.Off, m)
	}
	for i := range f.TailCalls {
		t := &f.TailCalls[i]
		for _, off := range []image.CodeOff{t.Start, t.Jump, t.End} {
			if !starts(off) {
				return fmt.Errorf("tail call %d: no instruction at +%#x", i, int(off))
			}
		}
		if c.opts.Marks&MarkStart != 0 {
			f.mark(t.Start, mark{kinds: MarkTailStart, tail: i})
		}
		f.mark(t.Jump, mark{kinds: MarkTailJump, tail: i})
		f.mark(t.End, mark{kinds: MarkTailEnd, ended: i})
	}
	return nil
}

// calledBack returns the first slots of the functions that helpers may call: those whose address a program loads.
func calledBack(p *bpf.Program) map[bpf.InsnIndex]bool {
	starts := map[bpf.InsnIndex]bool{}
	if p == nil {
		return starts
	}
	for i, in := range p.Insns {
		if in.IsLdImm64() && in.Src == bpf.PseudoFunc {
			starts[bpf.InsnIndex(i+1)+bpf.InsnIndex(in.Imm)] = true
		}
	}
	return starts
}

// at returns the site at a; nil if there is none.
func (f *Fn) at(a image.Addr) *mark {
	if s := f.site[a-f.Addr]; s != 0 {
		return &f.marks[s-1]
	}
	return nil
}
