// SPDX-License-Identifier: GPL-2.0-only

package check

var abouts = map[Invariant]string{
	Limit:         "an invocation takes at most as many tail calls as the limit says, and none is refused before that for it",
	Balance:       "rsp and the return address are at each return what the call left; a tail call lands with the frame that it must",
	CalleeSaved:   "rbx, rbp and r12 to r15 are at each return, and after a refused tail call, what they were before",
	Frame:         "no store hits another frame, a saved register, a return address or a counter that is not the design's to write",
	StackBudget:   "the stack stays within the kernel's 16 KiB",
	Pokes:         "text pokes find what they expect, and control does not fall through a frame that was taken down",
	Semantics:     "programs, maps and results are those of the reference interpreter of BPF",
	FaultFree:     "no instruction faults, and none is jumped into",
	Backtrace:     "the chain of frame pointers leads from each call to the outside caller",
	BelowRSP:      "nothing is read that lies below rsp, where an interrupt may have written",
	HelperClobber: "nothing is kept in a register that a helper may overwrite",
}

// About says in a line what holds if the invariant does.
func (i Invariant) About() string { return abouts[i] }
