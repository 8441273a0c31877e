// SPDX-License-Identifier: GPL-2.0-only

package edits

import (
	"bytes"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Force is the code of function fn with the conditional jumps patched that a way forces. edits are those of this function,
// which the code has already; the last one may have moved what follows it.
func (w *Way) Force(code []byte, fn int, edits []*Edit) []byte {
	if len(w.Forced) == 0 {
		return code
	}
	out := bytes.Clone(code)
next:
	for f, taken := range w.Forced {
		off := int(f.Off)
		if f.Func != fn {
			continue
		}
		for _, e := range edits {
			switch {
			case f.Off >= image.CodeOff(e.Hi):
				off += e.Grow()
			case f.Off >= image.CodeOff(e.Lo):
				continue next // it is what was edited
			}
		}
		long := out[off] == 0x0f
		switch {
		case !long && taken:
			out[off] = 0xeb
		case !long:
			out[off], out[off+1] = 0x66, 0x90
		case taken:
			out[off], out[off+1] = 0x90, 0xe9
		default:
			copy(out[off:], Nops(6))
		}
	}
	return out
}

// place is an instruction on the way.
type place = Jump

// step is how a place is come to.
type step struct {
	from  place
	jump  bool
	taken bool
}

// PathTo finds the conditional jumps on a shortest way from the entry of a program to an offset of one of its
// functions, and whether they are taken; ok is false if nothing leads there.
func PathTo(img *image.Image, fn, off int) (jumps map[Jump]bool, ok bool) {
	first := place{0, img.Funcs[0].Entry}
	seen := map[place]step{first: {}}
	queue := []place{first}
	entries := map[image.Addr]int{}
	for i := range img.Funcs {
		entries[img.Funcs[i].Addr+image.Addr(img.Funcs[i].Entry)] = i
	}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		if n.Func == fn && int(n.Off) == off {
			jumps = map[Jump]bool{}
			for ; n != first; n = seen[n].from {
				if s := seen[n]; s.jump {
					jumps[s.from] = s.taken
				}
			}
			return jumps, true
		}
		after(img, n, entries, func(to place, jump, taken bool) {
			if _, dup := seen[to]; !dup {
				seen[to] = step{n, jump, taken}
				queue = append(queue, to)
			}
		})
	}
	return nil, false
}

// after visits what may come after an instruction.
func after(img *image.Image, n place, entries map[image.Addr]int, visit func(to place, jump, taken bool)) {
	f := &img.Funcs[n.Func]
	if int(n.Off) >= len(f.Code) {
		return
	}
	in, err := x86.Decode(f.Code[n.Off:], f.Addr+image.Addr(n.Off))
	if err != nil {
		return
	}
	next, target := place{n.Func, n.Off + image.CodeOff(in.Len)}, place{n.Func, image.CodeOff(in.Target - f.Addr)}
	switch in.Branch {
	case x86.BranchNone, x86.BranchCallIndirect:
		if !in.Trap {
			visit(next, false, false)
		}
	case x86.BranchCond:
		visit(next, true, false)
		visit(target, true, true)
	case x86.BranchJump:
		if in.Target >= f.Addr && in.Target < f.End() {
			visit(target, false, false)
		}
	case x86.BranchCall:
		if to, ok := entries[in.Target]; ok {
			visit(place{to, img.Funcs[to].Entry}, false, false)
		}
		visit(next, false, false)
	}
}

// SeenByKernel says whether an edit of function fn changes something that the kernel relies on without executing it, ""
// if it does not: where it may enter, and the bytes that it compares before it patches them. ibt says that indirect branches
// must land on endbr64.
func SeenByKernel(img *image.Image, fn int, e *Edit, ibt bool) string {
	f := &img.Funcs[fn]
	now, ok := e.Splice(f.Code, f.Addr)
	if !ok {
		return ""
	}
	over := func(at image.CodeOff, n int) bool { return e.Lo < int(at)+n && int(at) < e.Hi && at >= 0 }
	other := func(at image.CodeOff, n int) bool { // what is at a place that the kernel knows
		end := min(int(at)+n, len(f.Code))
		return at >= 0 && int(at) < end && !(end <= len(now) && bytes.Equal(f.Code[at:end], now[at:end]))
	}
	const endbr = 4
	attach := f.Entry
	if ibt {
		if other(f.Entry, endbr) {
			return "an indirect branch enters here"
		}
		if fn == 0 && other(f.Frame.Landing, endbr) {
			return "a tail call lands here"
		}
		attach += endbr
	}
	if other(attach, image.PokeSize) {
		// Before 5.5 something else comes first.
		if in, err := x86.Decode(f.Code[attach:], f.Addr+image.Addr(attach)); err == nil && in.Len == image.PokeSize {
			return "trampolines are attached here"
		}
	}
	for i := range f.TailCalls {
		s := &f.TailCalls[i]
		if e.Kind == Doubled && e.Lo == int(s.Jump) && e.Hi == e.Lo+image.PokeSize && e.Old[:3] == "nop" {
			continue // one of two nops is patched, the other one does nothing
		}
		if s.Direct && (over(s.Jump, 5) || over(s.Bypass, 5)) {
			return "the kernel patches this"
		}
	}
	return ""
}
