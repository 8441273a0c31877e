// SPDX-License-Identifier: GPL-2.0-only

package recognise

import (
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Checks fills in the checks of a tail call of which no more is known than where it begins and ends, such as one of a new
// design: each conditional jump to its end that tests the index or the slot, and the first other one, which tests
// the limit. It leaves what is known as it is.
func Checks(f *image.FuncImage, s *image.TailCallSite) {
	c, err := decodeAll(f.Code, f.Addr)
	if err != nil {
		return
	}
	r := &recogniser{decodedCode: c}
	i, ok := c.at(s.Start)
	for ; ok && i < len(c.insns) && c.off(i) < s.End; i++ {
		if to, inside := c.target(&c.insns[i]); c.insns[i].Branch != x86.BranchCond || !inside || to != s.End {
			continue
		}
		at := &s.Limit
		switch {
		case r.comparesIndex(i):
			at = &s.Bounds
		case r.testsSlot(i):
			at = &s.Null
		}
		if *at < 0 {
			*at = c.off(i)
		}
	}
}

// testsSlot reports whether the conditional jump at position i sees a test of a register that was loaded from the slots of
// the array in rsi.
func (r *recogniser) testsSlot(i int) bool {
	test := r.flagsOf(i)
	if test < 0 || r.insns[test].N == 0 || r.insns[test].Operands[0].Kind != x86.OpReg {
		return false
	}
	load := r.definition(test, r.insns[test].Operands[0].Reg)
	return load >= 0 && slotLoad(&r.insns[load])
}

// Kept returns how many bytes below the saved rbp the prologue of a main function has filled where tail calls land, so that
// those leave them in place (image.Frame.Kept); 0 also if the prologue cannot be followed up to there.
func Kept(f *image.FuncImage) int32 {
	c, err := decodeAll(f.Code, f.Addr)
	if err != nil || f.Frame.Landing < 0 || f.Frame.Reused {
		return 0
	}
	landing, ok := c.at(f.Frame.Landing)
	if !ok {
		return 0
	}
	r := &recogniser{decodedCode: c, entry: f.Entry, body: landing}
	p := r.walkPrologue(landing)
	if p.end != landing || p.frame == 0 || p.callback {
		return 0
	}
	return p.rbp - p.state.rsp
}
