// SPDX-License-Identifier: GPL-2.0-only

package trace

import (
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/jit/image"
)

// hooked is the frame of a traced function whose trampoline runs on top of it: its prologue has not
// run, so there is nothing but the return address.
var hooked = image.Frame{Landing: -1, Slots: []image.FrameSlot{{Off: 0, Size: 8, Kind: image.SlotReturn}}}

// hook is the entry of a trampoline f. It was called by the patched instruction of the function
// on top, or that jumped to it and left its place to it.
func (r *Recorder) hook(f *Fn, s *record.Site) {
	e := r.siteEvent(KindHook, f, s)
	e.Begun = r.acts + 1
	n := len(r.stack)
	if n == 0 {
		r.emit(e, s) // entered by mistake
		return
	}
	top := &r.stack[n-1]
	e.Target, e.TargetAddr = top.Fn, top.Fn.Addr+image.Addr(top.Fn.Entry)
	jumped := s.RSP == top.Top
	if !jumped {
		e.Depth++
	}
	no := e.No
	r.emit(e, s)
	if jumped {
		r.gen++
		r.acts++
		top.From, top.FromN = top.Fn, top.N
		top.Fn, top.N, top.Via, top.Event = f, r.acts, ViaHook, no
		top.RBP = f.FrameBase(top.Top)
		r.begin(top)
		return
	}
	top.Hooked, top.RBP = true, top.Top
	r.push(Activation{Fn: f, Top: s.RSP, ReturnTo: image.Addr(s.Stack[0]), Via: ViaHook, Caller: savedOf(s), Event: no})
}

// leaveHook is a return instruction of a trampoline, directly before it, that goes over the traced
// function to its caller: the activation of the trampoline ends first, the function's with the
// return.
func (r *Recorder) leaveHook(s *record.Site) {
	if n := len(r.stack); n > 1 && r.stack[n-1].Via == ViaHook && r.stack[n-2].Hooked && s.RSP == r.stack[n-2].Top {
		r.stack = r.stack[:n-1]
		r.gen++
	}
}

// unhook is what happens to the function that a trampoline has returned into: it goes on.
func (r *Recorder) unhook() {
	if n := len(r.stack); n > 0 && r.stack[n-1].Hooked {
		top := &r.stack[n-1]
		top.Hooked, top.RBP = false, top.Fn.FrameBase(top.Top)
	}
}

// invokes reports whether a call of a trampoline begins an invocation of its own: that of a tracing
// program, and not that of the traced function, which is called after its entry.
func invokes(f *Fn, site *image.CallSite, target *Fn) bool {
	return f.Trampoline && target.Index == 0 && site.Target == target.Addr+image.Addr(target.Entry)
}
