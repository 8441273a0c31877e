// SPDX-License-Identifier: GPL-2.0-only

package check

import (
	"fmt"

	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
)

// below is a piece of the stack that was written while rsp was above it. Whatever rsp does later,
// an interrupt may have come before.
type below struct{ lo, end image.Addr }

// redZone is how far below rsp something can lie that a function kept there, in bytes. What is
// further down is other people's memory.
const redZone = 4096

// belowStore follows what is written below rsp, and what of that is written again properly.
func (c *Checker) belowStore(op trace.Op, r record.Retired) {
	end := r.EA + image.Addr(op.Size())
	keep := c.below[:0]
	for _, b := range c.below {
		if b.end <= r.EA || b.lo >= end {
			keep = append(keep, b)
			continue
		}
		if b.lo < r.EA {
			keep = append(keep, below{b.lo, r.EA})
		}
		if b.end > end {
			keep = append(keep, below{end, b.end})
		}
	}
	if c.below = keep; op&trace.OpBelow != 0 {
		c.below = append(c.below, below{r.EA, end})
	}
	c.rec.WatchLoads(len(c.below) != 0)
}

// Load implements trace.LoadWatcher.
func (c *Checker) Load(seq uint64, f *trace.Fn, op trace.Op, r record.Retired) {
	if c.latent != nil || c.over() {
		return
	}
	for _, b := range c.below {
		if r.EA >= b.lo && r.EA < b.end {
			c.sawBelow(seq, r, "was written while rsp was above it")
			return
		}
	}
	if op&trace.OpReach == 0 || c.top == 0 || r.EA >= c.top || r.EA < c.bottom() {
		return
	}
	a, ok := c.innermost()
	if !ok || a.Fn != f || a.Builder != nil {
		return
	}
	if rsp, ok := f.Level(image.CodeOff(r.RIP-f.Addr), a.Top); ok && r.EA < rsp && rsp-r.EA <= redZone {
		c.sawBelow(seq, r, fmt.Sprintf("lies %d bytes below rsp", rsp-r.EA))
	}
}

// sawBelow notes the first such read.
func (c *Checker) sawBelow(seq uint64, r record.Retired, why string) {
	v := c.violation(BelowRSP, seq, r.RIP, fmt.Sprintf("reads %#x, which %s: an interrupt may have changed it", uint64(r.EA), why))
	c.latent = &v
}

// Latent returns what is wrong without a consequence in this run; nil if nothing is. It is the first read of
// something that was kept below rsp, where an interrupt would have written, or the first refusal by a limit
// that was not reached. It becomes the run's violation by Report if nothing else is broken.
func (c *Checker) Latent() *Violation { return c.latent }
