// SPDX-License-Identifier: GPL-2.0-only

package explain

import (
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// maxSteps ends a piece that loops.
const maxSteps = 2000

// exit is how a piece ends: at a position of the function, or out of it.
type exit struct {
	pos int    // -1: it leaves the function
	to  uint64 // where, if it does; 0 is a return
}

// judge executes both sides of a piece in many states; core is what of it differs. It returns what differs, "" if nothing
// does; counter says that only rax at a call does. That nothing differs counts only where every condition in the core and
// every flag that it leaves for what follows was seen both ways: else what differs may be what no state has come to.
func (c *comparison) judge(p, core gap) (why string, counter bool) {
	own := c.numbers(p)
	if b := c.unlike(p); b != "" {
		return b, false
	}
	counter = true
	sw, sg := c.outcomes(c.w, core.w0, core.w1), c.outcomes(c.g, core.g0, core.g1)
	for n := uint64(0); n < trials || why == "" && n < mostTrials && (n < comparing && sw.compares(sg) || !(sw.all() && sg.all())); n++ {
		a, b := newMachine(n, own), newMachine(n, own)
		a.seen, b.seen = sw, sg
		ea, err := c.run(c.w, a, p.w0, p.w1)
		if err != nil {
			return err.Error(), false
		}
		eb, err := c.run(c.g, b, p.g0, p.g1)
		if err != nil {
			return err.Error(), false
		}
		if ea.pos >= 0 {
			sw.left(a.flags, c.live[ea.pos])
			sg.left(b.flags, c.live[ea.pos])
		}
		text, raxOnly := c.differ(p, a, b, ea, eb)
		if text == "" {
			continue
		}
		if why == "" {
			why = text
		}
		if counter = counter && raxOnly; !counter {
			return why, false
		}
	}
	if why == "" && !(sw.all() && sg.all()) && (p != core || !sw.like(sg)) {
		return "not every outcome of it could be tried", false
	}
	return why, why != "" && counter
}

// unlike says what two pieces must have alike though it computes nothing.
func (c *comparison) unlike(p gap) string {
	count := func(is func(in *x86.Inst) bool) (w, g int) {
		for i := p.w0; i < p.w1; i++ {
			if is(&c.w.insns[i]) {
				w++
			}
		}
		for i := p.g0; i < p.g1; i++ {
			if is(&c.g.insns[i]) {
				g++
			}
		}
		return w, g
	}
	if w, g := count(func(in *x86.Inst) bool { return in.IsNop && in.Len == image.PokeSize }); w > g {
		return "the kernel patches an instruction of five bytes here"
	}
	if w, g := count(func(in *x86.Inst) bool { return in.Op == "endbr64" }); w != g {
		return "an indirect branch may land in one of them only"
	}
	if w, g := count(func(in *x86.Inst) bool { return in.Fence }); w > g {
		return "a fence is missing, which keeps the processor from speculating"
	}
	if w, g := count(func(in *x86.Inst) bool { return in.Trap }); w > g {
		return "a trap is missing, which keeps the processor from speculating past a jump or a return"
	}
	if w, g := count(func(in *x86.Inst) bool { return in.Lock }); w != g {
		return "an access is atomic in one of them only"
	}
	return ""
}

// numbers are what the code itself computes with.
type numbers struct {
	own []uint64 // immediates of a piece and of the code around it
	// sums are those numbers from which one of them leads to another: what is compared may have been added to before.
	sums []uint64
}

func (c *comparison) numbers(p gap) (out numbers) {
	const around = 3
	within := func(l *listing, lo, hi int) (list []uint64) {
		for i := max(lo-around, 0); i < min(hi+around, len(l.insns)); i++ {
			if v, ok := l.insns[i].Imm(); ok {
				list = append(list, uint64(v))
			}
		}
		return list
	}
	out.own = append(within(c.w, p.w0, p.w1), within(c.g, p.g0, p.g1)...)
	all := slices.Compact(slices.Sorted(slices.Values(out.own)))
	for _, x := range all {
		for _, y := range all {
			out.sums = append(out.sums, x-y, x+y)
		}
	}
	return out
}

// run executes instructions from position lo on until control leaves [lo, hi).
func (c *comparison) run(l *listing, m *machine, lo, hi int) (exit, error) {
	i := lo
	for range maxSteps {
		if i < lo || i >= hi {
			return exit{pos: i}, nil
		}
		in := &l.insns[i]
		to, inside := l.target(in)
		switch in.Branch {
		case x86.BranchNone:
			if err := m.exec(in); err != nil {
				return exit{}, fmt.Errorf("%s: %w", in.String(), err)
			}
			i++
		case x86.BranchCond:
			if in.Cond == x86.CondNone || !inside || to < 0 {
				return exit{}, fmt.Errorf("%s: %w", in.String(), errUnknown)
			}
			taken := m.cond(in.Cond)
			m.seen.decided(in, taken)
			if i++; taken {
				i = to
			}
		case x86.BranchJump:
			if !inside {
				return exit{-1, uint64(in.Target)}, nil
			}
			if to < 0 {
				return exit{}, fmt.Errorf("%s: it goes into the middle of an instruction", in.String())
			}
			i = to
		case x86.BranchRet:
			if v, ok := in.Imm(); ok && v != 0 {
				return exit{}, fmt.Errorf("%s: %w", in.String(), errUnknown)
			}
			return exit{-1, 0}, nil
		case x86.BranchJumpIndirect:
			return exit{-1, hash(m.read(in, 0))}, nil
		case x86.BranchCall, x86.BranchCallIndirect:
			if inside && in.Branch == x86.BranchCall && to != 0 {
				return exit{}, fmt.Errorf("%s: %w", in.String(), errUnknown)
			}
			target := uint64(in.Target)
			if in.Branch == x86.BranchCallIndirect {
				target = m.read(in, 0)
			}
			if c.callees.ax[image.Addr(target)] {
				m.callAX(target)
			} else {
				m.call(target, false)
			}
			i++
		}
	}
	return exit{}, fmt.Errorf("it does not come to an end")
}

// differ compares two machines after a piece.
func (c *comparison) differ(p gap, a, b *machine, ea, eb exit) (why string, raxOnly bool) {
	live := regs(everyReg&^scratch) | flags(x86.FlagDF)
	switch {
	case (ea.pos < 0) != (eb.pos < 0), ea.pos < 0 && ea.to != eb.to, ea.pos >= 0 && !c.samePlace(ea.pos, eb.pos):
		return "it goes somewhere else", false
	case ea.pos >= 0:
		live = c.live[ea.pos]
	case ea.to == 0:
		live = regs(kept.With(x86.RAX)) | flags(x86.FlagDF)
	}
	live |= regs(x86.RegSetOf(x86.RSP, x86.RBP))
	for i := range max(len(a.calls), len(b.calls)) {
		if i >= len(a.calls) || i >= len(b.calls) || a.calls[i] != b.calls[i] {
			return "another call, or other arguments of it", false
		}
	}
	if b.faults > a.faults {
		return "it divides where the processor faults", false
	}
	for l := range b.loads {
		if !a.loads[l] {
			return "it reads memory elsewhere", false
		}
	}
	if a.written() != b.written() {
		return "it writes something else to memory", false
	}
	if (flags(a.flags^b.flags) & live) != 0 {
		return "it leaves other flags", false
	}
	bad := x86.RegSet(0)
	for r := x86.RAX; r <= x86.R15; r++ {
		if live.has(regs(x86.RegSet(0).With(r))) && a.regs[r] != b.regs[r] {
			bad = bad.With(r)
		}
	}
	for r := range bad.All {
		atCall := ea.pos >= 0 && ea.pos < len(c.w.insns) && c.w.insns[ea.pos].Branch == x86.BranchCall
		return fmt.Sprintf("it leaves something else in %v", r), bad == x86.RegSetOf(x86.RAX) && atCall
	}
	return "", false
}
