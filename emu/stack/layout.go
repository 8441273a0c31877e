// SPDX-License-Identifier: GPL-2.0-only

package stack

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Reader returns n bytes of emulated memory at a. It fails if they are not all mapped.
type Reader func(a image.Addr, n int) ([]byte, error)

// Input is a moment of a run: the machine has stopped directly before the instruction at RIP.
type Input struct {
	Code          *trace.Code
	Mem           Reader
	RIP, RSP, RBP image.Addr
	Acts          []trace.Activation // as Recorder.StackAt returns them
	// Fill is what the machine fills a new stack with: a word of a BPF stack that still has this
	// value was not written. 0 if there is no such value.
	Fill uint64
	// Past are the events of the run until now, if what lies below rsp is wanted too.
	Past []trace.Event
}

const bpfStack = "BPF stack"

// MaxBytes is the size of the largest stack that Dump accepts.
const MaxBytes = 1 << 20

// Layout is what lies between rsp and the outside caller's frame. It is data: it keeps no memory
// of the machine.
type Layout struct {
	RIP    trace.Hex `json:"rip"`
	RSP    trace.Hex `json:"rsp"`
	RBP    trace.Hex `json:"rbp"`
	Where  string    `json:"where"`  // function+offset of RIP
	Caller string    `json:"caller"` // the outside caller
	Frames []Frame   `json:"frames"` // the outermost first
	Slots  []Slot    `json:"slots"`  // from high addresses to low
	// Stale is what functions that have returned left below rsp, if it was asked for.
	Stale []Slot `json:"stale,omitempty"`
}

// Frame is one activation with its piece of the stack.
type Frame struct {
	Activation int       `json:"activation"`
	Func       string    `json:"func"`
	From       string    `json:"from,omitempty"` // whose frame a tail call took over
	FromNumber int       `json:"from_activation,omitempty"`
	Top        trace.Hex `json:"top"` // where the return address lies
	Base       trace.Hex `json:"rbp"` // rbp in the body
	First      int       `json:"first_slot"`
	End        int       `json:"end_slot"` // after the last slot
}

// Slot is 8 bytes of the stack, or a run of equal words of a BPF stack.
type Slot struct {
	Addr  trace.Hex `json:"addr"`
	Size  int       `json:"size"` // in bytes
	Value trace.Hex `json:"value"`
	// Frame is an index into Layout.Frames, Owner says the same in words.
	Frame   int    `json:"frame"`
	Owner   string `json:"owner"`
	Label   string `json:"label"`   // what a drawing writes into the box
	Meaning string `json:"meaning"` // in words
	// Count is tail_call_cnt, for slots that hold it.
	Count *uint64 `json:"tail_call_cnt,omitempty"`
	// Ptr is true for tail_call_cnt_ptr: Value is an address.
	Ptr bool `json:"ptr,omitempty"`
}

// Dump makes the layout. It fails if memory cannot be read, or if the registers and activations
// do not belong together.
func Dump(in Input) (*Layout, error) {
	l := &Layout{
		RIP: trace.Hex(in.RIP), RSP: trace.Hex(in.RSP), RBP: trace.Hex(in.RBP), Where: in.Code.Where(in.RIP),
	}
	if len(in.Acts) == 0 {
		return nil, fmt.Errorf("stack at %s: no function is active", l.Where)
	}
	top := in.Acts[0].Top
	if top+8 < top || in.RSP > top+8 || top+8-in.RSP > MaxBytes {
		return nil, fmt.Errorf("stack at %s: rsp %#x is not in the %d bytes below the outside caller's frame at %#x",
			l.Where, uint64(in.RSP), MaxBytes, uint64(top+8))
	}
	for i := range in.Acts {
		a := &in.Acts[i]
		if i > 0 && a.Top >= in.Acts[i-1].Top || a.Top+8 < in.RSP {
			return nil, fmt.Errorf("stack at %s: the frame of %s #%d at %#x is not between the one before and rsp",
				l.Where, a.Fn, a.N, uint64(a.Top))
		}
	}
	mem, err := in.Mem(in.RSP, int(top+8-in.RSP))
	if err != nil {
		return nil, fmt.Errorf("stack at %s: %w", l.Where, err)
	}
	d := dumper{Input: in, l: l, mem: mem}
	caller := in.Acts[0].ReturnTo
	if caller == 0 && top >= in.RSP {
		caller = image.Addr(d.word(top))
	}
	l.Caller = in.Code.Where(caller)
	for i := range in.Acts {
		low := in.RSP
		if i+1 < len(in.Acts) {
			low = in.Acts[i+1].Top + 8
		}
		d.frame(i, low)
	}
	d.stale(in.Past)
	return l, nil
}

type dumper struct {
	Input
	l   *Layout
	mem []byte // from RSP
}

// frame adds the slots of activation i, which reach down to low.
func (d *dumper) frame(i int, low image.Addr) {
	a := &d.Acts[i]
	f := Frame{
		Activation: a.N, Func: a.Fn.String(), Top: trace.Hex(a.Top), Base: trace.Hex(a.RBP), First: len(d.l.Slots),
	}
	if a.From != nil {
		f.From, f.FromNumber = a.From.String(), a.FromN
	}
	for at := a.Top; at >= low && at <= a.Top; at -= 8 {
		s := Slot{Addr: trace.Hex(at), Size: 8, Value: d.word(at), Frame: i, Owner: fmt.Sprintf("%s #%d", f.Func, a.N)}
		d.describe(&s, i, at)
		d.l.Slots = append(d.l.Slots, s)
	}
	d.fold(f.First, a)
	f.End = len(d.l.Slots)
	d.l.Frames = append(d.l.Frames, f)
}

func (d *dumper) word(a image.Addr) trace.Hex {
	return trace.Hex(binary.LittleEndian.Uint64(d.mem[a-d.RSP:]))
}

// fp is the program's frame pointer, r10, in the frame of a.
func (d *dumper) fp(a *trace.Activation) image.Addr { return a.RBP + image.Addr(int64(a.Frame().FP)) }

// slotAt returns what the function says of its word at a.
func slotAt(a *trace.Activation, at image.Addr) image.FrameSlot {
	if at == a.Top {
		return image.FrameSlot{Kind: image.SlotReturn, Size: 8}
	}
	off := int32(int64(at - a.RBP))
	for _, s := range a.Frame().Slots {
		if off >= s.Off && off < s.Off+s.Size {
			return s
		}
	}
	return image.FrameSlot{Off: off, Size: 8}
}

// describe fills label and meaning of the word at at in frame i.
func (d *dumper) describe(s *Slot, i int, at image.Addr) {
	a := &d.Acts[i]
	caller := "the outside caller"
	from := i - 1
	for from >= 0 && d.Acts[from].Hooked {
		from-- // it has called the trampoline with the registers of its caller
	}
	if from >= 0 {
		caller = d.l.Frames[from].Func + fmt.Sprintf(" #%d", d.Acts[from].N)
	}
	if a.Via == trace.ViaHelper {
		caller = d.Code.Where(image.Addr(d.word(a.Top)))
	}
	fs := slotAt(a, at)
	switch fs.Kind {
	case image.SlotReturn:
		s.Label, s.Meaning = "rip", "return address: "+d.Code.Where(image.Addr(s.Value))
	case image.SlotSavedReg:
		s.Label, s.Meaning = fs.Reg.String(), "saved "+fs.Reg.String()+" of "+caller
	case image.SlotBPFStack:
		s.Label, s.Meaning = fmt.Sprintf("fp-%d", int64(d.fp(a)-at)), bpfStack
		if d.Fill != 0 && uint64(s.Value) == d.Fill {
			s.Meaning = bpfStack + ", not written"
		}
	case image.SlotTailCallCnt:
		d.counter(s, a, at)
	case image.SlotTailCallPtr:
		s.pointer()
	case image.SlotTailCallCntOrPtr:
		if d.isPointer(s.Value) {
			s.pointer()
		} else {
			d.counter(s, a, at)
		}
	case image.SlotFrameLink:
		s.Label, s.Meaning = "rbp'", "address of the saved rbp, for unwinders"
	case image.SlotTraceReturn:
		s.Label, s.Meaning = "ret", "return value of the traced function"
	case image.SlotTraceArgs:
		s.Label, s.Meaning = fmt.Sprintf("arg%d", (int64(at-a.RBP)-int64(fs.Off))/8+1), "argument of the traced function"
	case image.SlotTraceCount:
		s.Label, s.Meaning = "nargs", "number of arguments"
	case image.SlotTraceCtx:
		s.Label, s.Meaning = "ctx", "run context of tracing programs"
	case image.SlotPad:
		s.Label, s.Meaning = "pad", "not used"
	default:
		s.Label, s.Meaning = "?", "not part of the frame as described"
		if len(a.Frame().Slots) == 0 {
			s.Meaning = "nothing is known of the frame"
		} else if i+1 < len(d.Acts) && d.Acts[i+1].Via == trace.ViaHelper {
			d.helper(s, a, &d.Acts[i+1], at)
		}
	}
}

// helper describes a word of the frame of a helper that a called and that called callback.
func (d *dumper) helper(s *Slot, a, callback *trace.Activation, at image.Addr) {
	s.Meaning = "frame of " + d.Code.Where(image.Addr(d.word(callback.Top)))
	switch a.RBP + image.Addr(int64(a.FrameLow())) - at {
	case 8:
		s.Label, s.Meaning = "rip", "return address: "+d.Code.Where(image.Addr(s.Value))
	case 16:
		s.Label, s.Meaning = "rbp", fmt.Sprintf("saved rbp of %s #%d", a.Fn, a.N)
	}
}

func (s *Slot) pointer() { s.Label, s.Meaning, s.Ptr = "tcc_ptr", "tail_call_cnt_ptr", true }

// isPointer tells a pointer to a counter from a count: it points into the stack that is shown. A
// design that has both in one slot tells them apart by magnitude.
func (d *dumper) isPointer(v trace.Hex) bool {
	return image.Addr(v) >= d.RSP-MaxBytes && image.Addr(v) <= d.Acts[0].Top
}

// counter describes tail_call_cnt, which may be only the upper half of its slot.
func (d *dumper) counter(s *Slot, a *trace.Activation, at image.Addr) {
	v := uint64(s.Value)
	half := ""
	c := a.Frame().Counter
	if c.Form == image.CounterValue && c.Size == 4 {
		if a.RBP+image.Addr(int64(c.Off)) == at+4 {
			v >>= 32
			half = " (upper half)"
		} else {
			v &= 1<<32 - 1
		}
	}
	if c.Form == image.CounterPtr && c.Size == 4 {
		v &= 1<<32 - 1 // the upper half is whatever was pushed, or lay there
	}
	s.Label, s.Count = "tcc", &v
	s.Meaning = fmt.Sprintf("tail_call_cnt, its value is %d%s", v, half)
}

// fold joins neighbours of a BPF stack that hold the same value.
func (d *dumper) fold(first int, a *trace.Activation) {
	s := d.l.Slots
	for i := first; i < len(s); i++ {
		j := i + 1
		for j < len(s) && strings.HasPrefix(s[i].Meaning, bpfStack) && s[j].Meaning == s[i].Meaning && s[j].Value == s[i].Value {
			j++
		}
		if j == i+1 {
			continue
		}
		n := j - i
		s[i].Addr = s[j-1].Addr
		s[i].Size = 8 * n
		what := fmt.Sprintf("each %#x", uint64(s[i].Value))
		switch uint64(s[i].Value) {
		case 0:
			what = "all zero"
		case d.Fill:
			what = "not written"
		}
		s[i].Label = fmt.Sprintf("fp-%d..", int64(d.fp(a)-image.Addr(s[i].Addr)))
		s[i].Meaning = fmt.Sprintf("%s, %d bytes, %s", bpfStack, 8*n, what)
		s = slices.Delete(s, i+1, j)
	}
	d.l.Slots = s
}

// isBase reports whether s is the slot that the frame pointer of f points to.
func isBase(s *Slot, f *Frame) bool {
	return s.Addr == f.Base && s.Label == x86.RBP.String()
}
