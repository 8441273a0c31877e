// SPDX-License-Identifier: GPL-2.0-only

package explain

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Kernel is what code of a design finds around it, and what is true of the design.
type Kernel struct {
	// Names are what code calls and jumps to.
	Names map[image.Addr]string
	// Routines are those of the design that count in the kernel, and Counters the displacements from the gs base of the
	// variables that code names to them.
	Routines map[image.Addr]image.RoutineKind
	Counters []image.Addr
	Limit    uint32 // of tail calls
	// Where indirect tail calls read, from the struct bpf_array in rsi and the struct bpf_prog in the slot.
	MaxEntries, Ptrs, BPFFunc int32
	// Landing is where tail calls enter a program, from its bpf_func; -1 if that is not known.
	Landing image.CodeOff
	// Hands says that the counter, or a pointer to it, goes to functions that are called and to the next program in rax.
	Hands bool
	// Anew says that functions that are called begin with a counter of 0.
	Anew bool
	// FP is the register that programs' accesses through r10 go by, in functions without a private stack.
	FP x86.Reg
	// CPU is the displacement of the kernel's variable this_cpu_off.
	CPU image.Addr
	// EmptyCounts says that a tail call to an empty slot is counted.
	EmptyCounts bool
}

// Promises executes the code that the design of a function owns, from where it is entered to the program's first instruction,
// each exit and each tail call, and returns where that does not do what the description of the function promises: the
// frame and what is in it, registers that the caller gets back, what is counted and where control goes. It compares with no
// code, and knows no design. Exception callbacks, which take over other frames, are not looked at. It errors if the code does
// not decode.
func Promises(img *image.Image, fn int, k *Kernel) ([]Difference, error) {
	f := &img.Funcs[fn]
	ret := retOf(f)
	if f.ExceptionCB || f.Trampoline || ret == noSlot {
		return nil, nil
	}
	l, err := list(f.Code, f.Addr)
	if err != nil {
		return nil, err
	}
	p := &promises{tails: hasTailCalls(img), l: l, f: f, k: k, sub: fn != 0, ret: ret, low: 0}
	for i := range f.Frame.Slots {
		p.low = min(p.low, f.Frame.Slots[i].Off)
	}
	p.begins()
	if len(p.out) > 0 {
		return p.out, nil // nothing else can be expected
	}
	if img.Program != nil {
		p.exits(img.Program)
	}
	for i := range f.TailCalls {
		p.tailCall(&f.TailCalls[i])
	}
	p.calls(img)
	return p.out, nil
}

// noSlot is no offset of a slot.
const noSlot int32 = -1 << 31

// retOf is where the address lies at which the function returns, from rbp; noSlot if the frame is not known.
func retOf(f *image.FuncImage) int32 {
	ret := noSlot
	for i := range f.Frame.Slots {
		if s := &f.Frame.Slots[i]; s.Kind == image.SlotReturn {
			ret = max(ret, s.Off)
		}
	}
	return ret
}

// promises looks at one function.
type promises struct {
	l        *listing
	f        *image.FuncImage
	k        *Kernel
	sub      bool
	tails    bool  // some function of the program has a tail call
	ret, low int32 // of the return address and the lowest slot, from rbp
	out      []Difference
	bodies   [tries]*world // by number
}

// In how many states each piece is executed.
const (
	tries = 32 // tail calls
	few   = 8  // of code that compares nothing
)

func (p *promises) note(place Place, off image.CodeOff, format string, args ...any) {
	p.out = append(p.out, Difference{Place: place, Off: off, Text: fmt.Sprintf(format, args...)})
}

// Where things are that a frame refers to.
const (
	returnAt  = stackTop - 0x1000          // of the address at which the function returns
	counterP  = stackTop - 0x800           // a counter of another frame
	mapAt     = uint64(0xffff888100000000) // struct bpf_array
	progAt    = uint64(0xffffc90001000000) // struct bpf_prog in the slot
	codeAt    = uint64(0xffffffffc1000000) // and its code
	outside   = uint64(0xffffffff81234567) // where the function returns to
	contextAt = uint64(0xffff888200000000) // what is in rdi
	argument  = uint64(0x5a5a000000000000) // arguments after that, by register
	kept0     = uint64(0x1234000000000000) // what the caller has in registers that it gets back, by register
	wrapped   = uint64(0xffff888300000000) // the context, where the caller passes something around it
)

// world is a state with what it began with.
type world struct {
	*machine
	count   uint64 // that is handed over
	byPtr   bool   // by a pointer to counterP
	before  map[uint64]byte
	cell    uint64 // the kernel's counter that a routine used last
	fetched bool   // a routine counts before it is known whether the tail call is taken
}

var keptOnly = kept &^ x86.RegSetOf(x86.RSP, x86.RBP)

// enter is a state in which the function is entered: from outside or by a call, or by a tail call.
func (p *promises) enter(n uint64, landing bool) *world {
	w := &world{machine: newMachine(n, numbers{})}
	w.flags &^= x86.FlagDF
	for r := range kept.All {
		w.regs[r] = kept0 + uint64(r)
	}
	for i, r := range []x86.Reg{x86.RSI, x86.RDX, x86.RCX, x86.R8} {
		w.regs[r] = argument + uint64(i)
	}
	w.regs[x86.RDI] = contextAt
	w.store(returnAt, 8, outside)
	w.regs[x86.RSP] = returnAt
	w.count = n % uint64(p.k.Limit+1)
	handed := landing || p.sub && p.f.Frame.Counter.Form != image.CounterNone
	frame := &p.f.Frame
	if handed && p.k.Hands {
		w.byPtr = frame.Counter.Form == image.CounterPtr && (n%2 == 0 || !p.either(landing))
		if w.regs[x86.RAX] = w.count << p.shift(); w.byPtr {
			w.regs[x86.RAX] = counterP
		}
	}
	w.store(counterP, 8, w.count)
	p.setKernel(w, 7)
	if frame.RunCtx && !landing && !p.sub {
		w.byPtr = true
		w.regs[x86.RDI] = wrapped
		w.store(wrapped, 8, contextAt)
		w.store(wrapped+8, 8, counterP)
	}
	if landing {
		p.hand(w)
	}
	w.remember()
	return w
}

// shift is by how many bits the count lies higher in what is handed over in rax than it would have to: what is pushed is
// the whole slot.
func (p *promises) shift() (bits uint) {
	c := &p.f.Frame.Counter
	for i := range p.f.Frame.Slots {
		if s := &p.f.Frame.Slots[i]; c.Form == image.CounterValue && c.Off >= s.Off && c.Off < s.Off+s.Size {
			bits = 8 * uint((c.Off-s.Off)%8)
		}
	}
	return bits
}

// either reports whether a tail call hands over a count or a pointer to it.
func (p *promises) either(landing bool) bool {
	if !landing {
		return false
	}
	for i := range p.f.Frame.Slots {
		if p.f.Frame.Slots[i].Kind == image.SlotTailCallCntOrPtr {
			return true
		}
	}
	return false
}

// rbp is what rbp is in the body.
func (p *promises) rbp() uint64 { return returnAt - uint64(int64(p.ret)) }

// left is what a tail call leaves in rsp.
func (p *promises) left() uint64 {
	if p.f.Frame.Reused {
		return p.rbp() + uint64(int64(p.low))
	}
	return p.rbp() - uint64(p.f.Frame.Kept)
}

// hand makes the frame that a tail call hands over.
func (p *promises) hand(w *world) {
	w.regs[x86.RBP], w.regs[x86.RSP] = p.rbp(), p.left()
	if at := p.fp(); at != 0 {
		w.regs[p.k.FP] = at
	}
	for i := range p.f.Frame.Slots {
		s := &p.f.Frame.Slots[i]
		at := p.rbp() + uint64(int64(s.Off))
		if at < w.regs[x86.RSP] {
			continue
		}
		switch s.Kind {
		case image.SlotSavedReg:
			w.store(at, 8, kept0+uint64(s.Reg))
		case image.SlotFrameLink:
			w.store(at, 8, p.linked())
		case image.SlotTailCallPtr:
			w.store(at, 8, counterP)
			w.byPtr = true
		}
	}
	if c := &p.f.Frame.Counter; c.Form == image.CounterValue && !p.k.Hands {
		w.store(p.rbp()+uint64(int64(c.Off)), int(c.Size), w.count)
	}
}

// linked is where the caller's rbp is saved.
func (p *promises) linked() uint64 {
	for i := range p.f.Frame.Slots {
		if s := &p.f.Frame.Slots[i]; s.Kind == image.SlotSavedReg && s.Reg == x86.RBP {
			return p.rbp() + uint64(int64(s.Off))
		}
	}
	return 0
}

func (w *world) remember() {
	w.before = maps.Clone(w.mem)
}

// begins executes the code from where the function is entered to its first instruction.
func (p *promises) begins() {
	entries := []bool{false}
	if p.f.Frame.Landing >= 0 && !p.sub {
		entries = append(entries, true)
	}
	for _, landing := range entries {
		from, name := p.f.Entry, "entered"
		if landing {
			from, name = p.f.Frame.Landing, "entered by a tail call"
		}
		for n := range uint64(few) {
			w := p.enter(n, landing)
			why := ""
			if at, err := p.walk(w, from, stops{p.f.Frame.Body: true}, noSlotOff); err != nil {
				why = err.Error()
			} else if at != p.f.Frame.Body {
				why = "it does not come to the program's first instruction"
			} else {
				why = p.framed(w, landing)
			}
			if why != "" {
				p.note(Prologue, from, "where it is %s: %s", name, why)
				break
			}
		}
	}
}

// framed says what is wrong with the state in which the body begins.
func (p *promises) framed(w *world, landing bool) string {
	f := &p.f.Frame
	if w.regs[x86.RBP] != p.rbp() {
		return "rbp is not that of its frame"
	}
	if want := p.rbp() + uint64(int64(p.low)); w.regs[x86.RSP] != want {
		return fmt.Sprintf("rsp is %+d bytes from where its frame ends", int64(w.regs[x86.RSP]-want))
	}
	saved := x86.RegSet(0)
	for i := range f.Slots {
		s := &f.Slots[i]
		at := p.rbp() + uint64(int64(s.Off))
		switch s.Kind {
		case image.SlotSavedReg:
			saved = saved.With(s.Reg)
			if w.load(at, 8) != kept0+uint64(s.Reg) {
				return fmt.Sprintf("the caller's %v is not at rbp%+d", s.Reg, s.Off)
			}
		case image.SlotFrameLink:
			if w.load(at, 8) != p.linked() {
				return fmt.Sprintf("the address of the saved rbp is not at rbp%+d", s.Off)
			}
		}
	}
	if w.load(returnAt, 8) != outside {
		return "the address at which it returns is another"
	}
	for r := range (keptOnly &^ saved).All {
		if w.regs[r] != kept0+uint64(r) {
			return fmt.Sprintf("%v, which the caller gets back, is not saved and is another", r)
		}
	}
	if why := p.pointed(w); why != "" {
		return why
	}
	if w.regs[x86.RDI] != contextAt {
		return "rdi is not the context any more"
	}
	for i, r := range []x86.Reg{x86.RSI, x86.RDX, x86.RCX, x86.R8} {
		if p.sub && w.regs[r] != argument+uint64(i) {
			return fmt.Sprintf("the argument in %v is another", r)
		}
	}
	if why := p.counts(w, landing); why != "" {
		return why
	}
	return p.strays(w, 0, 0)
}

// pointed says what is wrong with the registers that the body's accesses go by.
func (p *promises) pointed(w *world) string {
	f := &p.f.Frame
	if f.PrivateFP != 0 && w.regs[x86.R9] != uint64(f.PrivateFP)+w.load(gsAt+uint64(p.k.CPU), 8) {
		return "r9 is not the end of this CPU's private stack"
	}
	if at := p.fp(); at != 0 && w.regs[p.k.FP] != at {
		return fmt.Sprintf("%v is not the end of the program's stack", p.k.FP)
	}
	return ""
}

// fp is the end of the program's stack, if accesses go by a register of its own that is not saved and restored with rbp; 0
// if they do not.
func (p *promises) fp() uint64 {
	if p.k.FP == x86.RBP {
		return 0
	}
	for i := range p.f.Frame.Slots {
		if s := &p.f.Frame.Slots[i]; s.Kind == image.SlotBPFStack {
			return p.rbp() + uint64(int64(s.Off+s.Size))
		}
	}
	return 0
}

// counter is where the counter is from the body, 0 if that is not in memory that the code shows.
func (p *promises) counter(w *world) uint64 {
	c := &p.f.Frame.Counter
	switch c.Form {
	case image.CounterValue:
		return p.rbp() + uint64(int64(c.Off))
	case image.CounterPtr:
		return w.load(p.rbp()+uint64(int64(c.Off)), 8)
	case image.CounterGS:
		return gsAt + uint64(int64(c.Off))
	}
	return 0
}

// counts says what is wrong with the counter where the body begins.
func (p *promises) counts(w *world, landing bool) string {
	c := &p.f.Frame.Counter
	at := p.counter(w)
	if want := p.begun(landing); w.kernelCount(p) != want {
		return fmt.Sprintf("the kernel's tail_call_cnt is %d, not %d", w.kernelCount(p), want)
	}
	if c.Form == image.CounterNone || c.Form == image.CounterGS {
		return ""
	}
	for i := range p.f.Frame.Slots {
		if s := &p.f.Frame.Slots[i]; s.Kind == image.SlotTailCallPtr && w.load(p.rbp()+uint64(int64(s.Off)), 8) != at {
			return fmt.Sprintf("rbp%+d does not hold its pointer to tail_call_cnt", s.Off)
		}
	}
	anew := !landing && !p.f.Frame.RunCtx && (!p.sub || p.k.Anew || !p.k.Hands)
	switch {
	case w.byPtr && at != counterP:
		return "its pointer to tail_call_cnt is not the one that it got"
	case w.byPtr:
		return ""
	case len(p.k.Routines) > 0 && p.inKernel(at):
		return ""
	case at < w.regs[x86.RSP] || at >= returnAt:
		return "its pointer to tail_call_cnt does not lead into its frame"
	case anew && w.load(at, int(c.Size)) != 0:
		return "tail_call_cnt does not begin at 0"
	case !anew && (p.k.Hands || p.f.Frame.Reused) && w.load(at, int(c.Size)) != w.count:
		return "tail_call_cnt is not what it got"
	}
	return ""
}

// strays says where memory was written that is not the function's: what lies below rsp, the frame where it is made, and the
// n bytes of the counter at a are.
func (p *promises) strays(w *world, a uint64, n int) string {
	if w.flags&x86.FlagDF != 0 {
		return "the direction flag is set"
	}
	floor := p.rbp() + uint64(int64(p.low))
	for at, b := range w.mem {
		old, ok := w.before[at]
		if !ok {
			old = w.initial(at)
		}
		switch {
		case b == old, at >= a && at < a+uint64(n):
		case at >= gsAt-1<<32 && at < gsAt+1<<32: // variables of the kernel's own
		case at < returnAt && at >= floor-0x100 && (n == 0 || at < w.regs[x86.RSP]):
		default:
			return "it writes to memory that is not its own"
		}
	}
	return ""
}

// stops are where walking ends.
type stops map[image.CodeOff]bool

// noSlotOff is no offset of an instruction.
const noSlotOff image.CodeOff = -1

// Ends of a walk that leaves the function, with what stands in to of errOut.
type left struct {
	to  uint64
	ret bool
}

// Error makes it an end of walk.
func (l *left) Error() string { return fmt.Sprintf("it leaves the function for %#x", l.to) }

// walk executes from an offset on until it comes to one of the stops, which it returns. skip is an instruction that
// counts as a nop. The error is a *left where control leaves the function.
func (p *promises) walk(w *world, from image.CodeOff, at stops, skip image.CodeOff) (image.CodeOff, error) {
	i, ok := p.l.at[from]
	if !ok {
		return 0, errors.New("no instruction begins there")
	}
	ends := map[int]image.CodeOff{}
	for off := range at {
		n, ok := p.l.at[off]
		if !ok {
			return 0, errors.New("no instruction begins where it should come to")
		}
		ends[n] = off
	}
	for range maxSteps {
		if off, ok := ends[i]; ok {
			return off, nil
		}
		if i < 0 || i >= len(p.l.insns) {
			return 0, errors.New("it goes on after its end, or in the middle of an instruction")
		}
		in := &p.l.insns[i]
		if p.l.off(i) == skip {
			i++
			continue
		}
		next, err := p.step(w, in, i)
		if err != nil {
			return 0, err
		}
		i = next
	}
	return 0, errors.New("it does not come to an end")
}

// step executes one instruction and returns the position of the next.
func (p *promises) step(w *world, in *x86.Inst, i int) (next int, err error) {
	to, inside := p.l.target(in)
	switch in.Branch {
	case x86.BranchNone:
		if in.Load && !in.IsNop && !p.readable(w.address(in)) {
			return 0, fmt.Errorf("%s: it reads what is not its own", in.String())
		}
		if err := w.exec(in); err != nil {
			return 0, fmt.Errorf("%s: %w", in.String(), err)
		}
		return i + 1, nil
	case x86.BranchCond:
		if in.Cond == x86.CondNone || !inside {
			return 0, fmt.Errorf("%s: %w", in.String(), errUnknown)
		}
		if w.cond(in.Cond) {
			return to, nil
		}
		return i + 1, nil
	case x86.BranchJump:
		if inside {
			return to, nil
		}
		return 0, p.leave(w, in)
	case x86.BranchJumpIndirect:
		return 0, &left{to: w.read(in, 0)}
	case x86.BranchRet:
		v := w.load(w.regs[x86.RSP], 8)
		w.regs[x86.RSP] += 8
		if v >= uint64(p.l.addr) && v < uint64(p.l.addr)+uint64(p.l.size) {
			n, ok := p.l.at[image.CodeOff(v-uint64(p.l.addr))]
			if !ok {
				return 0, errors.New("it returns into the middle of an instruction")
			}
			return n, nil
		}
		return 0, &left{to: v, ret: true}
	}
	return p.call(w, in, i, to, inside)
}

// readable reports whether code of a design may read at an address: frames, what tail calls look at, variables of the
// kernel's own.
func (p *promises) readable(a uint64) bool {
	const most = 4096 // bytes of a structure, and of a frame
	for _, at := range []uint64{mapAt, progAt, wrapped} {
		if a >= at && a < at+most {
			return true
		}
	}
	return a >= p.rbp()-most && a < counterP+8 || a >= gsAt-1<<32 && a < gsAt+1<<32
}

// call executes a call: of code of its own, or of something that the kernel names.
func (p *promises) call(w *world, in *x86.Inst, i, to int, inside bool) (next int, err error) {
	if in.Branch == x86.BranchCall && inside {
		w.regs[x86.RSP] -= 8
		w.store(w.regs[x86.RSP], 8, uint64(in.Next()))
		return to, nil
	}
	if in.Branch != x86.BranchCall || p.k.Routines[in.Target] == 0 {
		return 0, fmt.Errorf("%s: the kernel has nothing there that this code may call", in.String())
	}
	if kind, ok := p.k.Routines[in.Target]; ok {
		p.routine(w, kind)
		return i + 1, nil
	}
	w.regs[x86.RAX] = number(hash(w.seed, uint64(i)))
	return i + 1, nil
}

// leave is a jump out of the function: to a thunk that returns or jumps through a register, or to other code.
func (p *promises) leave(w *world, in *x86.Inst) error {
	name := p.k.Names[in.Target]
	if strings.Contains(name, "return_thunk") {
		v := w.load(w.regs[x86.RSP], 8)
		w.regs[x86.RSP] += 8
		return &left{to: v, ret: true}
	}
	if _, reg, ok := strings.Cut(name, "thunk"); ok {
		for r := x86.RAX; r <= x86.R15; r++ {
			if strings.HasSuffix(reg, "_"+strings.ToLower(r.String())) {
				return &left{to: w.regs[r]}
			}
		}
	}
	return &left{to: uint64(in.Target)}
}

// body is a state in the body of the function: number n of those that its entry leads to.
func (p *promises) body(n uint64) *world {
	if p.bodies[n] == nil {
		from, landing := p.f.Entry, false
		if at := p.f.Frame.Landing; n%2 == 1 && at >= 0 && !p.sub && p.either(true) {
			from, landing = at, true
		}
		w := p.enter(n, landing)
		if _, err := p.walk(w, from, stops{p.f.Frame.Body: true}, noSlotOff); err != nil {
			panic(fmt.Sprintf("BUG: the body was reached, and is not any more: %v", err))
		}
		p.leaveBody(w, n)
		p.bodies[n] = w
	}
	w, m := *p.bodies[n], *p.bodies[n].machine
	w.machine = &m
	m.mem = maps.Clone(m.mem)
	return &w
}

// leaveBody puts something else into registers that the body may use.
func (p *promises) leaveBody(w *world, n uint64) {
	saved := x86.RegSet(0)
	for i := range p.f.Frame.Slots {
		if s := &p.f.Frame.Slots[i]; s.Kind == image.SlotSavedReg {
			saved = saved.With(s.Reg)
		}
	}
	for r := x86.RAX; r <= x86.R15; r++ {
		if r != x86.RSP && r != x86.RBP && (!kept.Has(r) || saved.Has(r)) {
			w.regs[r] = hash(n, 77, uint64(r))
		}
	}
	if at := p.fp(); at != 0 {
		w.regs[p.k.FP] = at
	}
	w.flags, w.cell, w.fetched = x86.Flags(hash(n, 78))&x86.FlagsStatus, 0, false
}

// exits executes each exit.
func (p *promises) exits(prog *bpf.Program) {
	for i := 0; i+1 < len(p.f.InsnOff); i++ {
		if in := prog.Insns[int(p.f.FirstInsn)+i]; in.Op != bpf.OpExit {
			continue
		}
		off := p.f.InsnOff[i]
		for n := range uint64(few) {
			w := p.body(n)
			w.remember()
			r0 := w.regs[x86.RAX]
			_, err := p.walk(w, off, nil, noSlotOff)
			if why := p.returned(w, err, r0); why != "" {
				p.note(Body, off, "where it returns: %s", why)
				break
			}
		}
	}
}

// returned says what is wrong with how the function returns.
func (p *promises) returned(w *world, err error, r0 uint64) string {
	out := new(left)
	switch {
	case !errors.As(err, &out):
		return fmt.Sprint(err)
	case !out.ret:
		return out.Error()
	case out.to != outside || w.regs[x86.RSP] != returnAt+8:
		return "it does not return to its caller, or with another rsp"
	case w.regs[x86.RAX] != r0:
		return "its result is another"
	}
	if why := p.restored(w); why != "" {
		return why
	}
	if w.regs[x86.RBP] != kept0+uint64(x86.RBP) {
		return "the caller gets another rbp back"
	}
	return p.strays(w, returnAt, 1)
}

func (p *promises) restored(w *world) string {
	for r := range keptOnly.All {
		if w.regs[r] != kept0+uint64(r) {
			return fmt.Sprintf("the caller gets another %v back", r)
		}
	}
	return ""
}

// calls looks at the calls that the description names.
func (p *promises) calls(img *image.Image) {
	for i := range p.f.Calls {
		c := &p.f.Calls[i]
		to := c.Target
		if c.Func >= 0 {
			to = img.Funcs[c.Func].Addr + image.Addr(img.Funcs[c.Func].Entry)
		}
		n, ok := p.l.at[c.Off]
		if !ok || n >= len(p.l.insns) || p.l.off(n) != c.Off || p.l.insns[n].Branch != x86.BranchCall || p.l.insns[n].Target != to {
			p.note(Body, c.Off, "a call of %#x is expected here", uint64(to))
		}
	}
}
