// SPDX-License-Identifier: GPL-2.0-only

package splat

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
	"github.com/tcsim/tcsim/jit/x86"
)

// Analysis is what a report tells of BPF.
type Analysis struct {
	Report *Report
	// Ctx is the context that has BPF in it, nil if none has.
	Ctx *Context
	// Frames are the functions of BPF programs that the unwinder is sure of, without the one of RIP, the outermost
	// first; Outer is what called the first, its Func "" if that is not in the log.
	Frames []Place
	Outer  Place
	// Hooks are the trampolines through which functions were called, by the index of the caller in Frames, -1 for Outer.
	Hooks map[int]Hook
	// skipped says that a caller is not in Frames.
	skipped bool
	// Inside says that RIP is in a function of a BPF program, by name or by its code.
	Inside bool
	// Code is what the Code: line decodes to, nil without one; Base is the offset in the function of its byte 0.
	Code *recognise.Fragment
	Base image.CodeOff
	Site *recognise.FragmentSite // the tail call that RIP is in, nil if it is in none
	// Seen is the site that shows the design: Site, or another one in the code.
	Seen *recognise.FragmentSite
	// Designs are those of kernels that such a site can be of, or of proposals if it can be of no kernel's. Targets are
	// the listed ones that emit it, Proposals those that no kernel has.
	Designs            design.Set
	Targets, Proposals []string
	Counter            Counter
	// Position is which tail call it is, nil if that cannot be said.
	Position *Position
	Missing  []string // what cannot be said, with the reason
}

// Counter is where tail_call_cnt is at the moment of the report, and its value.
type Counter struct {
	Where string // "" if the code does not show it
	Value uint64
	Known bool
	// Counted says that the tail call that RIP is in is counted already.
	Counted bool
}

// codeBase is where code is decoded of which the log does not have the address: no branch of it wraps around.
const codeBase image.Addr = 0xffff_ffff_c000_0000

// Analyse says what a report tells.
func Analyse(r *Report) *Analysis {
	a := &Analysis{Report: r}
	if r.Foreign != "" {
		a.miss("this is a report of %s: only x86-64 is read", r.Foreign)
		return a
	}
	a.choose()
	if a.Ctx == nil {
		a.miss("no function of a BPF program is in it: names such as bpf_prog_0123456789abcdef_name, which need net.core.bpf_jit_kallsyms")
		return a
	}
	a.frames()
	a.decode()
	a.design()
	a.counter()
	a.position()
	return a
}

func (a *Analysis) miss(format string, args ...any) {
	a.Missing = append(a.Missing, fmt.Sprintf(format, args...))
}

// choose takes the innermost context with BPF in it.
func (a *Analysis) choose() {
	for i := range a.Report.Contexts {
		c := &a.Report.Contexts[i]
		if c.User {
			continue
		}
		_, inside := c.RIP.BPF()
		bpf := inside || c.RIP.Func == "" && c.RIP.Addr != 0 && showsTailCall(c)
		for k := range c.Frames {
			_, ok := c.Frames[k].BPF()
			bpf = bpf || ok
		}
		if bpf {
			a.Ctx = c
			return
		}
	}
}

// showsTailCall reports whether the code around RIP is that of a tail call, whatever its name.
func showsTailCall(c *Context) bool {
	if c.Mark < 0 {
		return false
	}
	f, err := recognise.DecodeAround(c.Code, c.Mark, codeBase, false)
	return err == nil && len(f.Sites) > 0
}

// frames takes the functions of BPF programs from the call trace.
func (a *Analysis) frames() {
	c := a.Ctx
	_, a.Inside = c.RIP.BPF()
	a.Inside = a.Inside || c.RIP.Func == ""
	a.Hooks = map[int]Hook{}
	for i := len(c.Frames) - 1; i >= 0; i-- {
		p := &c.Frames[i]
		if p.Guess {
			continue
		}
		_, ok := p.BPF()
		trampoline, hooked := c.hooked(i)
		switch {
		case ok && hooked:
			a.hook(i, trampoline)
		case ok:
			a.Frames = append(a.Frames, *p)
		case len(a.Frames) == 0 && (!p.trampoline() || a.Outer.Func == ""):
			a.Outer = *p
		}
	}
}

// decode decodes the Code: line as far as it is of the function.
func (a *Analysis) decode() {
	c := a.Ctx
	if !a.Inside {
		a.miss("the processor was in %s, which is no BPF program: Code: is not of the program", c.RIP.name())
		return
	}
	switch {
	case len(c.Code) == 0 && c.NoCode != "":
		a.miss("no code: the log says %q", c.NoCode)
		return
	case len(c.Code) == 0:
		a.miss("no Code: line: which instruction it was, the design and the counter are not known")
		return
	case c.Mark < 0:
		a.miss("no byte of Code: is marked as <xx>: where RIP is among them is not known")
		return
	}
	code, mark, at := c.Code, c.Mark, codeBase
	a.Base = c.RIP.Off - image.CodeOff(mark)
	if c.RIP.Func == "" {
		a.Base = -image.CodeOff(mark)
	} else if a.Base < 0 { // bytes before the function
		code, mark, a.Base = code[-a.Base:], mark+int(a.Base), 0
	}
	if end := c.RIP.Size - int(a.Base); c.RIP.Size > 0 && end > mark && end < len(code) {
		code = code[:end]
	}
	f, err := recognise.DecodeAround(code, mark, at, c.RIP.Func != "" && a.Base == 0)
	if err != nil {
		a.miss("Code: cannot be decoded: %v", err)
		return
	}
	a.Code = f
	if n := f.Of[f.At]; n >= 0 {
		a.Site = &f.Sites[n]
	}
	for i := range f.Sites {
		if s := &f.Sites[i]; a.Seen == nil || s == a.Site {
			a.Seen = s
		}
	}
	if a.Seen == nil {
		a.miss("no tail call is in the code around RIP: the design is not shown")
	}
}

// name is a place in words.
func (p *Place) name() string {
	if p.Func != "" {
		return p.Func
	}
	if p.Addr != 0 {
		return fmt.Sprintf("%#x", uint64(p.Addr))
	}
	return "an unknown place"
}

// String is a place as logs have it.
func (p *Place) String() string {
	if p.Func == "" {
		return p.name()
	}
	return fmt.Sprintf("%s+%#x/%#x", p.Func, int(p.Off), p.Size)
}

// design finds the targets whose tail calls look like the one shown.
func (a *Analysis) design() {
	s := a.Seen
	if s == nil || s.Limit < 0 && s.Landing == 0 {
		return
	}
	var proposed design.Set
	for _, t := range targets() {
		if !emits(t, s) {
			continue
		}
		if t.Version == (kernels.Version{}) {
			proposed |= design.SetOf(t.Design)
			a.Proposals = append(a.Proposals, t.Name)
			continue
		}
		a.Designs |= design.SetOf(t.Design)
		a.Targets = append(a.Targets, t.Name)
	}
	if a.Designs == 0 {
		a.Designs, a.Targets, a.Proposals = proposed, a.Proposals, nil
	}
	if a.Designs == 0 {
		a.miss("the tail call is of no design that is known")
	}
}

// targets are the listed ones.
var targets = sync.OnceValue(func() (out []*jit.Target) {
	for _, name := range jit.TargetNames() {
		if t, err := jit.TargetByName(name); err == nil {
			out = append(out, t)
		}
	}
	return out
})

// emits reports whether a target's tail calls can look like a site.
func emits(t *jit.Target, s *recognise.FragmentSite) bool {
	if s.Landing != 0 {
		if l, err := t.Landing(); err != nil || l != s.Landing {
			return false
		}
	}
	o := t.Offsets
	if n := s.Offsets.ArrayPtrs; n != 0 && n != o.ArrayPtrs {
		return false
	}
	if n := s.Offsets.ProgBPFFunc; n != 0 && n != o.ProgBPFFunc {
		return false
	}
	if s.Limit < 0 {
		return true
	}
	if s.Above != t.Emit.LimitAbove {
		return false
	}
	traits := t.Design.Traits()
	p := traits.Shape.Counter
	switch {
	case p.Base == 0 && !s.Called: // shown by its prologue only
		return s.Counter.Form == image.CounterPtr && traits.Handover == design.HandPointer
	case p.Base == design.CounterCalled:
		return s.Called
	case s.Called || p.Base == 0 || p.Form != s.Counter.Form || p.Size != s.Counter.Size:
		return false
	case p.Base == design.CounterRBP:
		return p.Off == s.Counter.Off
	case p.Base == design.CounterStack:
		depth := p.Off - s.Counter.Off
		return depth >= 0 && depth%8 == 0
	}
	return true
}

// LimitOf is how many tail calls pass the comparison of a site that shows one.
func LimitOf(s *recognise.FragmentSite) uint32 {
	if s.Above {
		return s.Compared + 1
	}
	return s.Compared
}

// counter finds the counter and its value.
func (a *Analysis) counter() {
	s := a.Seen
	if s == nil || s.Limit < 0 {
		return
	}
	c := &a.Counter
	rax, hasRAX := a.Ctx.Regs.Get(x86.RAX)
	held := recognise.HeldInFrame
	if a.Site != nil {
		held = a.Code.Held()
		c.Counted, _, _ = a.Code.Counted()
		c.Counted = c.Counted || a.added()
	}
	switch held {
	case recognise.HeldInEAX:
		c.Where, c.Value, c.Known = "eax", uint64(uint32(rax)), hasRAX
	case recognise.HeldInUpper:
		c.Where, c.Value, c.Known = "the upper half of rax, which the frame's slot was popped into", rax>>32, hasRAX
	case recognise.HeldAtRAX:
		c.Where = "where rax points"
		if hasRAX {
			a.load(image.Addr(rax), s.Counter.Size)
		}
	case recognise.HeldPopped:
		c.Where = "rax, or where it points"
		switch {
		case hasRAX && rax <= uint64(LimitOf(s)):
			c.Where, c.Value, c.Known = "rax: the function was the first of the invocation, whose frame has the counter", rax, true
		case hasRAX:
			c.Where = "where rax points"
			a.load(image.Addr(rax), s.Counter.Size)
		}
	default:
		a.inFrame(s)
	}
	if !c.Known && c.Where != "" {
		a.miss("tail_call_cnt (%s): the log does not have that value", c.Where)
	}
	if c.Known && c.Value > uint64(LimitOf(s))+1 {
		a.miss("the counter would be %d, more than the limit lets it be: it is not what the code is expected to have there", c.Value)
		c.Known = false
	}
}

// added reports whether the increment in a register is done, its store not yet.
func (a *Analysis) added() bool {
	for i := a.Site.First; i < a.Code.At; i++ {
		if in := &a.Code.Insns[i]; a.Code.Steps[i] == recognise.StepCount && in.Writes.Has(x86.RAX) {
			return true
		}
	}
	return false
}

// inFrame reads the counter by rbp.
func (a *Analysis) inFrame(s *recognise.FragmentSite) {
	c := &a.Counter
	rbp, ok := a.Ctx.Regs.Get(x86.RBP)
	switch s.Counter.Form {
	case image.CounterValue:
		c.Where = fmt.Sprintf("[rbp%+d]", s.Counter.Off)
		if ok && a.framed() {
			a.load(image.Addr(rbp)+image.Addr(int64(s.Counter.Off)), s.Counter.Size)
		}
	case image.CounterPtr:
		c.Where = fmt.Sprintf("where [rbp%+d] points", s.Counter.Off)
		if p, has := a.word(image.Addr(rbp) + image.Addr(int64(s.Counter.Off))); ok && has && a.framed() {
			a.load(image.Addr(p), s.Counter.Size)
		}
	default:
		c.Where = "outside the stack, where a routine of the kernel knows it"
	}
}

// framed reports whether rbp is that of the function: code around RIP would show that it is set up later.
func (a *Analysis) framed() bool {
	for i := a.Code.At; i < len(a.Code.Insns); i++ {
		if a.Code.Insns[i].Is("mov", x86.RBP, x86.RSP) {
			return false
		}
	}
	return true
}

// load reads the counter from the words of the stack that the log has.
func (a *Analysis) load(at image.Addr, size uint8) {
	w, ok := a.word(at &^ 7)
	if !ok {
		return
	}
	if a.Counter.Value = w; size == 4 {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], w)
		a.Counter.Value = uint64(binary.LittleEndian.Uint32(b[at&4:]))
	}
	a.Counter.Known = true
}

// word returns a word of the stack.
func (a *Analysis) word(at image.Addr) (uint64, bool) {
	rsp, ok := a.Ctx.Regs.Get(x86.RSP)
	if n := (uint64(at) - rsp) / 8; ok && uint64(at) >= rsp && n < uint64(len(a.Ctx.Stack)) && (uint64(at)-rsp)%8 == 0 {
		return a.Ctx.Stack[n], true
	}
	return 0, false
}
