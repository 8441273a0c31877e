// SPDX-License-Identifier: GPL-2.0-only

package splat

import (
	"encoding/hex"
	"fmt"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/recognise"
)

// Facts are what a report tells, for JSON and for text. Fields are in the order of their names.
type Facts struct {
	CPU      int            `json:"cpu"` // -1 if unknown
	Code     []CodeFacts    `json:"code,omitempty"`
	Counter  *CounterFacts  `json:"counter,omitempty"`
	Designs  []string       `json:"designs,omitempty"`
	Foreign  string         `json:"architecture,omitempty"` // of another kind than x86-64
	Frames   []FrameFacts   `json:"frames,omitempty"`       // of BPF programs, the innermost first
	Headers  []string       `json:"headers,omitempty"`
	Kernel   string         `json:"kernel,omitempty"`
	Line     int            `json:"line"`
	Missing  []string       `json:"missing,omitempty"`
	Position *PositionFacts `json:"position,omitempty"`
	Proposed []string       `json:"proposals,omitempty"` // targets that no kernel has
	RIP      *FrameFacts    `json:"rip,omitempty"`
	Regs     []RegFacts     `json:"registers,omitempty"`
	Stack    []SlotFacts    `json:"stack,omitempty"` // from high addresses to low
	Stuck    float64        `json:"stuck_seconds,omitempty"`
	TailCall *SiteFacts     `json:"tail_call,omitempty"`
	Targets  []string       `json:"targets,omitempty"`
	Task     string         `json:"task,omitempty"`
}

// CodeFacts is one instruction.
type CodeFacts struct {
	Bytes string `json:"bytes"`
	Guess bool   `json:"guess,omitempty"` // another way of decoding does not have it
	Mark  bool   `json:"mark,omitempty"`  // the next one to be executed
	Off   int    `json:"off"`             // from the function's beginning; from RIP if that is unknown
	Step  string `json:"step,omitempty"`
	Text  string `json:"text"`
}

// FrameFacts is a place in a function.
type FrameFacts struct {
	Addr string `json:"addr,omitempty"`
	Func string `json:"func,omitempty"`
	Name string `json:"name,omitempty"` // of a BPF function, without tag
	Off  int    `json:"off"`
	Size int    `json:"size,omitempty"`
	Tag  string `json:"tag,omitempty"`
	// Through is the trampoline by which the function that it calls was entered.
	Through string `json:"through,omitempty"`
}

// SiteFacts is the tail call that RIP is in, or the one beside it that shows the design.
type SiteFacts struct {
	Compared uint32 `json:"compared_with,omitempty"`
	Counted  bool   `json:"counted"`
	Inside   bool   `json:"inside"`
	Kind     string `json:"kind"` // direct or indirect
	Landing  int    `json:"landing,omitempty"`
	Limit    uint32 `json:"limit,omitempty"`
	Passed   bool   `json:"passed_limit"`
	Step     string `json:"step,omitempty"` // of the marked instruction
	Test     string `json:"test,omitempty"` // ja or jae
}

// CounterFacts is the counter.
type CounterFacts struct {
	Slot  string  `json:"slot"`
	Value *uint64 `json:"value,omitempty"`
	Where string  `json:"where"`
}

// PositionFacts is a Position.
type PositionFacts struct {
	Before   int      `json:"before_frames"`
	Branches []string `json:"branches,omitempty"`
	Digits   []int    `json:"digits,omitempty"` // the outermost first
	If       string   `json:"if,omitempty"`
	Inside   bool     `json:"inside"`
	Left     string   `json:"left"`
	No       string   `json:"no"`
	Percent  float64  `json:"percent"`
	Seconds  float64  `json:"seconds,omitempty"`
	Total    string   `json:"total"`
}

// RegFacts is a register.
type RegFacts struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Facts returns what the analysis found.
func (a *Analysis) Facts() Facts {
	r := a.Report
	f := Facts{CPU: r.CPU, Headers: r.Headers, Kernel: r.Kernel, Line: r.Line, Missing: a.Missing, Stuck: r.Stuck, Task: r.Task, Foreign: r.Foreign}
	if a.Ctx == nil {
		return f
	}
	if (a.Ctx.RIP != Place{}) {
		rip := frameFacts(&a.Ctx.RIP)
		f.RIP = &rip
	}
	for i := len(a.Frames) - 1; i >= 0; i-- {
		fr := frameFacts(&a.Frames[i])
		if h, ok := a.Hooks[i]; ok {
			fr.Through = h.Trampoline.String()
		}
		f.Frames = append(f.Frames, fr)
	}
	for i := range a.Ctx.Regs.Value {
		if reg := regs[i]; a.Ctx.Regs.Known.Has(reg) {
			f.Regs = append(f.Regs, RegFacts{reg.String(), fmt.Sprintf("%#016x", a.Ctx.Regs.Value[i])})
		}
	}
	for _, d := range a.Designs.Designs() {
		f.Designs = append(f.Designs, d.String())
	}
	f.Targets, f.Proposed = a.Targets, a.Proposals
	a.codeFacts(&f)
	a.siteFacts(&f)
	if p := a.Position; p != nil {
		q := &PositionFacts{
			Before: p.Before, Digits: p.Digits, If: p.If, Inside: p.Inside, Left: p.Left().String(), No: p.No.String(),
			Percent: p.Percent(), Seconds: p.Seconds, Total: p.Total.String(),
		}
		for _, b := range p.Branches {
			q.Branches = append(q.Branches, fmt.Sprintf("%+#x", int(b)))
		}
		f.Position = q
	}
	f.Stack = a.stack()
	return f
}

func frameFacts(p *Place) FrameFacts {
	f := FrameFacts{Func: p.Func, Off: int(p.Off), Size: p.Size}
	if p.Addr != 0 {
		f.Addr = fmt.Sprintf("%#x", uint64(p.Addr))
	}
	if s, ok := p.BPF(); ok {
		f.Tag, f.Name = s.Tag, s.Name
	}
	return f
}

// codeFacts lists the code.
func (a *Analysis) codeFacts(f *Facts) {
	if a.Code == nil {
		return
	}
	at := 0 // in Ctx.Code
	if skip := int(a.Ctx.RIP.Off) - a.Ctx.Mark; a.Ctx.RIP.Func != "" && skip < 0 {
		at = -skip
	}
	for i := range a.Code.Insns {
		in := &a.Code.Insns[i]
		off := int(a.Offset(i) - a.Base)
		f.Code = append(f.Code, CodeFacts{
			Bytes: hex.EncodeToString(a.Ctx.Code[at+off : at+off+int(in.Len)]), Guess: i < a.Code.Sure, Mark: i == a.Code.At,
			Off: int(a.Offset(i)), Step: a.Code.Steps[i].String(), Text: a.insnText(i),
		})
	}
}

// Offset is where instruction i of the code is: from the beginning of the function, or from RIP where that has no name.
func (a *Analysis) Offset(i int) image.CodeOff {
	return image.CodeOff(a.Code.Insns[i].PC-codeBase) + a.Base
}

// insnText is an instruction with branches by offset.
func (a *Analysis) insnText(i int) string {
	in := &a.Code.Insns[i]
	if !in.Branch.Direct() {
		return in.String()
	}
	to := int(int64(in.Target-codeBase)) + int(a.Base)
	if size := a.Ctx.RIP.Size; a.Ctx.RIP.Func != "" && (to < 0 || size > 0 && to >= size) {
		return fmt.Sprintf("%s %+#x, out of the function", in.Op, to)
	}
	return fmt.Sprintf("%s %+#x", in.Op, to)
}

// siteFacts says what the tail call shows.
func (a *Analysis) siteFacts(f *Facts) {
	s := a.Seen
	if s == nil {
		return
	}
	q := &SiteFacts{Inside: a.Site != nil, Kind: "indirect", Landing: int(s.Landing)}
	if s.Direct {
		q.Kind = "direct"
	}
	if s.Limit >= 0 {
		q.Compared, q.Limit, q.Test = s.Compared, LimitOf(s), "jae"
		if s.Above {
			q.Test = "ja"
		}
	}
	if a.Site != nil {
		q.Step = a.Code.Steps[a.Code.At].String()
		_, q.Passed, _ = a.Code.Counted()
		q.Counted = a.Counter.Counted
	}
	f.TailCall = q
	if a.Counter.Where == "" {
		return
	}
	f.Counter = &CounterFacts{Slot: slotText(s), Where: a.Counter.Where}
	if a.Counter.Known {
		v := a.Counter.Value
		f.Counter.Value = &v
	}
}

// slotText says where the frame has the counter.
func slotText(s *recognise.FragmentSite) string {
	bits := map[uint8]string{4: "dword", 8: "qword"}[s.Counter.Size]
	switch {
	case s.Called:
		return "not in the frame"
	case s.Counter.Form == image.CounterPtr:
		return fmt.Sprintf("pointer at [rbp%+d] to a %s", s.Counter.Off, bits)
	}
	return fmt.Sprintf("%s at [rbp%+d]", bits, s.Counter.Off)
}
