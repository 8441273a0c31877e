// SPDX-License-Identifier: GPL-2.0-only

package recognise

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// ReloadFlaws looks at every call of another function of the program, whether a run reaches it or not: where
// both keep a counter in their frames, the caller must load its own, or its pointer, into rax before.
func ReloadFlaws(img *image.Image) ([]SiteFlaw, error) {
	var out []SiteFlaw
	for i := range img.Funcs {
		f := &img.Funcs[i]
		if !handsOver(f) {
			continue
		}
		c, err := decodeAll(f.Code, f.Addr)
		if err != nil {
			return nil, fmt.Errorf("function %d (%s): %w", i, f.Name, err)
		}
		for _, call := range f.Calls {
			if call.Func >= 0 && handsOver(&img.Funcs[call.Func]) && !img.Funcs[call.Func].ExceptionCB && !c.loadsCounter(f, call.Off) {
				out = append(out, SiteFlaw{Func: i, Off: call.Off, Text: fmt.Sprintf("%s is called without tail_call_cnt in rax", img.Funcs[call.Func].Name)})
			}
		}
	}
	return out, nil
}

// handsOver reports whether a function keeps what it gets in rax.
func handsOver(f *image.FuncImage) bool {
	return f.Frame.Counter.Form == image.CounterValue || f.Frame.Counter.Form == image.CounterPtr
}

// loadsCounter reports whether the last instruction before a call that gives rax its value loads the counter, into rax or a
// register that is copied to it. Calls and branches on the way leave something else in it, but in a register that the
// prologue has filled for all of the function.
func (c *decodedCode) loadsCounter(f *image.FuncImage, call image.CodeOff) bool {
	i, ok := c.at(call)
	reg := x86.RAX
	for i--; ok && i >= 0; i-- {
		in := &c.insns[i]
		if in.Branch != x86.BranchNone {
			return false
		}
		if !in.Writes.Has(reg) || keepsValue(in) {
			continue
		}
		if from, ok := copied(in); ok {
			if reg = from; c.holdsCounter(f, reg) {
				return true
			}
			continue
		}
		at := image.CodeOff(0)
		if in.HasMem {
			at = image.CodeOff(in.Mem.Disp) - image.CodeOff(f.Frame.Counter.Off)
		}
		wide := in.OpBits == 64 || f.Frame.Counter.Form == image.CounterValue && in.OpBits == 32
		return in.Op == "mov" && in.Load && in.Mem.Base == x86.RBP && in.Mem.Index == x86.RegNone && wide && (at == 0 || at == -4)
	}
	return false
}

// holdsCounter reports whether a register that no program uses, and calls keep, gets its value in the prologue alone, from
// rax or from where that was pushed: a design may keep its counter, or the pointer to it, there. What that value is, only
// runs show.
func (c *decodedCode) holdsCounter(f *image.FuncImage, reg x86.Reg) bool {
	if reg != x86.R12 {
		return false
	}
	filled := false
	for i := range c.insns {
		in := &c.insns[i]
		if !in.Writes.Has(reg) || in.Op == "pop" {
			continue
		}
		from, copies := copied(in)
		fromStack := in.Op == "mov" && in.Load && in.OpBits == 64 && (in.Mem.Base == x86.RSP || in.Mem.Base == x86.RBP)
		if c.off(i) >= f.Frame.Body || !(copies && from == x86.RAX || fromStack) {
			return false
		}
		filled = true
	}
	return filled
}
