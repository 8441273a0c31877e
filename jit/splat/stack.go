// SPDX-License-Identifier: GPL-2.0-only

package splat

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// regs are the registers by number.
var regs = func() (out [16]x86.Reg) {
	for i := range out {
		out[i] = x86.Reg(i)
	}
	return out
}()

// SlotFacts is a piece of the stack.
type SlotFacts struct {
	Addr    string `json:"addr,omitempty"` // "" if the log does not tell
	Label   string `json:"label"`          // what a drawing writes into the box
	Meaning string `json:"meaning"`
	Value   string `json:"value,omitempty"`
	frame   int    // of which BPF function, from 0 for the outermost
	base    bool   // the saved rbp: the frame's own part begins below
	again   bool   // the word above has the same value, and means as little
}

// stack lists what the log tells of the stack: a return address and a saved rbp for each function of a program, the
// words that are printed, and the registers.
func (a *Analysis) stack() []SlotFacts {
	if !a.Inside && len(a.Frames) == 0 {
		return nil
	}
	var out []SlotFacts
	names := make([]string, 0, len(a.Frames)+1)
	for i := range a.Frames {
		names = append(names, a.Frames[i].short())
	}
	if a.Inside {
		names = append(names, a.Ctx.RIP.short())
	}
	rbp, known := a.Ctx.Regs.Get(x86.RBP)
	known = known && a.Inside && a.Code != nil && a.framed()
	for i, name := range names {
		last := i == len(names)-1
		from := a.Outer.String()
		if i > 0 {
			from = a.Frames[i-1].inShort()
		}
		if h, ok := a.Hooks[i-1]; ok {
			out = append(out, h.slots(i, from)...)
			from = h.Trampoline.String()
		}
		ret, saved := SlotFacts{Label: "rip", frame: i}, SlotFacts{Label: "rbp", frame: i, base: true}
		ret.Meaning, saved.Meaning = "return address: "+from, "saved rbp of the caller"
		if last && known {
			a.place(&ret, image.Addr(rbp+8))
			a.place(&saved, image.Addr(rbp))
		}
		out = append(out, ret)
		if last && a.Inside && a.Code != nil && !a.framed() {
			continue // the frame is not there yet
		}
		out = append(out, saved)
		out = append(out, a.below(i, name, last && known)...)
	}
	return out
}

// slots lists what lies between a caller and the body of a traced function.
func (h *Hook) slots(frame int, caller string) []SlotFacts {
	return []SlotFacts{
		{Label: "rip", frame: frame, Meaning: "return address: " + caller},
		{Label: "rip", frame: frame, Meaning: "return address: " + h.Entry.inShort() + ", after the call of the trampoline"},
		{Label: "rbp", frame: frame, base: true, Meaning: "saved rbp of the caller"},
		{Label: "?", frame: frame, Meaning: "arguments and saved registers of " + h.Trampoline.Func + ": the size is not in the log"},
	}
}

// below lists the part of a frame that is the function's own.
func (a *Analysis) below(i int, name string, known bool) []SlotFacts {
	if known {
		return a.own(i, name)
	}
	s := SlotFacts{Label: "?", frame: i, Meaning: "stack and saved registers of " + name + ": the size is not in the log"}
	if p := a.Position; p != nil && p.Digits != nil && i < len(p.Digits) {
		s.Meaning = fmt.Sprintf("stack of %s with tail_call_cnt = %d: the size is not in the log", name, p.Before+i)
	}
	return []SlotFacts{s}
}

// own lists the innermost frame from rbp to rsp, word by word where that is not long.
func (a *Analysis) own(i int, name string) []SlotFacts {
	rbp, _ := a.Ctx.Regs.Get(x86.RBP)
	rsp, ok := a.Ctx.Regs.Get(x86.RSP)
	var out []SlotFacts
	if !ok || rsp > rbp || rbp-rsp > 1024 {
		return nil
	}
	for at := rbp - 8; at >= rsp && at < rbp; at -= 8 {
		s := SlotFacts{Label: "", frame: i, Meaning: "stack or saved register of " + name}
		a.place(&s, image.Addr(at))
		if c := a.Seen; c != nil && c.Limit >= 0 && c.Counter.Form != image.CounterNone && at-rbp == uint64(int64(c.Counter.Off))&^7 {
			s.Label, s.Meaning = "tcc", "tail_call_cnt"
			if c.Counter.Form == image.CounterPtr {
				s.Label, s.Meaning = "tcc_ptr", "tail_call_cnt_ptr"
			}
		}
		if n := len(out); n > 0 && s.Label == "" && out[n-1].Label == "" && out[n-1].Value == s.Value {
			s.again = true
		}
		out = append(out, s)
	}
	return out
}

// place gives a slot its address, and its value if the log has it.
func (a *Analysis) place(s *SlotFacts, at image.Addr) {
	s.Addr = fmt.Sprintf("%#x", uint64(at))
	if w, ok := a.word(at); ok {
		s.Value = fmt.Sprintf("%#016x", w)
	}
}

// short is a function without bpf_prog_ and tag, if the program has a name.
func (p *Place) short() string {
	if s, ok := p.BPF(); ok {
		return s.String()
	}
	return p.name()
}

func (p *Place) inShort() string { return fmt.Sprintf("%s+%#x", p.short(), int(p.Off)) }
