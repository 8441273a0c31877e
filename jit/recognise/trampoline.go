// SPDX-License-Identifier: GPL-2.0-only

package recognise

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// RecogniseTrampoline describes machine code at an address as a trampoline: its calls, and its frame
// as far as the prologue tells. What lies between the saved rbp and what is pushed after it is not
// told apart.
func RecogniseTrampoline(name string, at image.Addr, code []byte) (*image.FuncImage, error) {
	f := &image.FuncImage{Name: name, Addr: at, Code: code, Trampoline: true}
	p := trampPrologue{f: f}
	for off := 0; off < len(code); {
		in, err := x86.Decode(code[off:], at+image.Addr(off))
		if err != nil {
			return nil, fmt.Errorf("trampoline %s: +%#x: %w", name, off, err)
		}
		if in.Branch == x86.BranchCall {
			f.Calls = append(f.Calls, image.CallSite{Insn: -1, Off: image.CodeOff(off), Target: in.Target, Func: -1})
		}
		p.step(&in)
		off += int(in.Len)
		if !p.done {
			f.Frame.Body = image.CodeOff(off)
		}
	}
	if p.size == 0 {
		return nil, fmt.Errorf("trampoline %s: %w", name, errors.New("no prologue of a trampoline"))
	}
	return f, nil
}

// trampPrologue reads "push rbp; mov rbp, rsp; sub rsp, size" and the pushes after.
type trampPrologue struct {
	f    *image.FuncImage
	next int // what is expected, 0 for push rbp
	low  int32
	size int32
	done bool
}

func (p *trampPrologue) step(in *x86.Inst) {
	if p.done || in.IsNop {
		return
	}
	fr := &p.f.Frame
	text := in.String()
	switch {
	case p.next == 0 && text == "push rbp":
		fr.Landing = -1
		fr.Slots = []image.FrameSlot{{Off: 8, Size: 8, Kind: image.SlotReturn}, {Size: 8, Kind: image.SlotSavedReg, Reg: x86.RBP}}
		p.next++
	case p.next == 0 && in.Op == "sar": // call depth tracking
	case p.next == 1 && text == "mov rbp, rsp":
		p.next++
	case p.next == 2 && in.Op == "sub":
		if _, err := fmt.Sscanf(text, "sub rsp, 0x%x", &p.size); err != nil {
			p.size, p.done = 0, true
			return
		}
		p.low = -p.size
		fr.Slots = append(fr.Slots, image.FrameSlot{Off: p.low, Size: p.size, Kind: image.SlotTraceArgs})
		p.next++
	case p.next == 3 && text == "push rax":
		p.push(image.SlotTailCallCntOrPtr, x86.RAX)
	case p.next == 3 && text == "push rbx":
		p.push(image.SlotSavedReg, x86.RBX)
		fr.Saved = append(fr.Saved, x86.RBX)
	default:
		p.done = true
	}
}

func (p *trampPrologue) push(kind image.SlotKind, r x86.Reg) {
	p.low -= 8
	p.f.Frame.Slots = append(p.f.Frame.Slots, image.FrameSlot{Off: p.low, Size: 8, Kind: kind, Reg: r})
}
