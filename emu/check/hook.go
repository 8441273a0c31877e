// SPDX-License-Identifier: GPL-2.0-only

package check

import (
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/trace"
)

// hook checks the entry of a trampoline: the traced function on top has called it, or jumped to it,
// before it touched the stack.
func (c *Checker) hook(e *trace.Event, s *record.Site) {
	a, ok := c.innermost()
	switch {
	case !ok:
		c.broken(Balance, e, "trampoline %s runs, but no function was entered", e.Fn)
	case s.RSP != a.Top && s.RSP != a.Top-8:
		c.broken(Balance, e, "%s comes to its trampoline with rsp %#x; its return address lies at %#x",
			a.Fn, uint64(s.RSP), uint64(a.Top))
	default:
		c.link(e.Depth, false)
	}
}
