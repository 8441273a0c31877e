// SPDX-License-Identifier: GPL-2.0-only

package recognise

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
)

// Fragment is a piece of a function around one instruction, as the "Code:" line of a kernel log has it: neither
// the prologue nor the end need be there.
type Fragment struct {
	Insns []x86.Inst
	At    int // position of the marked instruction in Insns
	// Sure is the position of the first instruction on which every way of decoding agrees: where instructions
	// begin before the mark is not recorded.
	Sure int
	// Steps say what each instruction is to a tail call, Sites which of them: -1 for none.
	Steps []Step
	Of    []int
	Sites []FragmentSite
}

// FragmentSite is what a fragment shows of one tail call. Positions are -1 for what it does not show.
type FragmentSite struct {
	First, Limit, Bump, Jump int // positions in Insns: the first shown, the branch on the limit, the store, the jump
	Counter                  image.Counter
	// Above says that the branch is ja and not jae, so that the limit is one more than what it compares with.
	Above    bool
	Compared uint32 // the constant, if Limit is shown
	Landing  image.CodeOff
	Offsets  kernels.Offsets
	Direct   bool
	// Called says that a routine of the kernel is asked for the counter.
	Called bool
}

// Step is what an instruction does in a tail call.
type Step uint8

// The steps, in the order in which most designs take them.
const (
	StepNone    Step = iota
	StepBounds       // is the index in bounds?
	StepLimit        // is the limit reached?
	StepCount        // the counter is incremented
	StepSlot         // the slot is read and tested
	StepUnwind       // the frame is taken down
	StepTarget       // where the other program begins is computed
	StepJump         // it is entered
	StepSkipped      // what is jumped over while the slot is empty, or patched
)

var stepNames = [...]string{
	StepNone: "", StepBounds: "bounds", StepLimit: "limit", StepCount: "count", StepSlot: "slot", StepUnwind: "unwind",
	StepTarget: "target", StepJump: "jump", StepSkipped: "bypass",
}

// String returns a word such as "limit", "" for StepNone.
func (s Step) String() string { return stepNames[s] }

// ErrNoInstruction says that the bytes at the mark are no instruction, or are cut.
var ErrNoInstruction = errors.New("no instruction at the mark")

// DecodeAround decodes code at addr of which the instruction at mark is known to begin there. whole says that
// code[0] is the beginning of an instruction too. What does not decode after the mark ends the fragment.
func DecodeAround(code []byte, mark int, addr image.Addr, whole bool) (*Fragment, error) {
	if mark < 0 || mark >= len(code) {
		return nil, fmt.Errorf("mark at %d of %d bytes: %w", mark, len(code), ErrNoInstruction)
	}
	f := &Fragment{}
	var after []x86.Inst
	for off := mark; off < len(code); {
		in, err := x86.Decode(code[off:], addr+image.Addr(off))
		if err != nil {
			break
		}
		after = append(after, in)
		off += int(in.Len)
	}
	if len(after) == 0 {
		return nil, fmt.Errorf("%.16x: %w", code[mark:], ErrNoInstruction)
	}
	befores := ways(code[:mark], addr, whole)
	agreed := agreed(befores, mark, addr)
	for _, before := range append(befores, nil) {
		if before == nil && f.Insns != nil || before == nil && mark > 0 && hasWay(befores) {
			continue
		}
		g := &Fragment{Insns: slices.Concat(before, after), At: len(before)}
		for g.Sure < g.At && int(g.Insns[g.Sure].PC-addr) < agreed {
			g.Sure++
		}
		g.findSites()
		if f.Insns == nil || f.Of[f.At] < 0 && g.Of[g.At] >= 0 {
			f = g
		}
	}
	return f, nil
}

func hasWay(ways [][]x86.Inst) bool {
	return slices.ContainsFunc(ways, func(w []x86.Inst) bool { return w != nil })
}

// agreed returns from which offset on all ways have instructions beginning at the same places.
func agreed(ways [][]x86.Inst, size int, addr image.Addr) (from int) {
	var first map[int]bool
	for start, insns := range ways {
		if insns == nil {
			continue
		}
		begins := map[int]bool{}
		for i := range insns {
			begins[int(insns[i].PC-addr)] = true
		}
		if first == nil {
			first, from = begins, start
			continue
		}
		for off := range size {
			if first[off] != begins[off] {
				from = max(from, off+1)
			}
		}
	}
	return from
}

// ways decodes code from each place where it can begin so that an instruction ends with it: nil where none does. Ways
// with instructions that no JIT emits count only if there are no others.
func ways(code []byte, addr image.Addr, whole bool) [][]x86.Inst {
	starts := min(len(code), x86.MaxInstLen+1)
	if whole {
		starts = min(starts, 1)
	}
	odd, usual := make([][]x86.Inst, starts), make([][]x86.Inst, starts)
	found := false
	for start := range starts {
		insns, ok := decodeExactly(code[start:], addr+image.Addr(start))
		if !ok {
			continue
		}
		odd[start] = insns
		if !slices.ContainsFunc(insns, func(in x86.Inst) bool { return !in.Known || in.HasMem && in.Mem.Addr32 || in.Rep }) {
			usual[start], found = insns, true
		}
	}
	if found {
		return usual
	}
	return odd
}

// decodeExactly decodes all of the code; ok is false if the last instruction does not end with it.
func decodeExactly(code []byte, addr image.Addr) (insns []x86.Inst, ok bool) {
	for off := 0; off < len(code); {
		in, err := x86.Decode(code[off:], addr+image.Addr(off))
		if err != nil {
			return nil, false
		}
		insns = append(insns, in)
		off += int(in.Len)
	}
	return insns, true
}

// findSites gives instructions their steps.
func (f *Fragment) findSites() {
	f.Steps, f.Of = make([]Step, len(f.Insns)), make([]int, len(f.Insns))
	for i := range f.Of {
		f.Of[i] = -1
	}
	for i := 0; i < len(f.Insns); i++ {
		s := FragmentSite{First: i, Limit: -1, Bump: -1, Jump: -1}
		at, ok := f.begins(&s, i)
		if !ok {
			continue
		}
		end, ok := f.walk(&s, at)
		if !ok {
			for k := i; k < len(f.Insns); k++ {
				f.Steps[k] = StepNone
			}
			continue
		}
		s.First = f.boundsBefore(&s, i)
		for k := s.First; k < end; k++ {
			f.Of[k] = len(f.Sites)
		}
		f.Sites = append(f.Sites, s)
		i = end - 1
	}
}

// begins reports whether a tail call, or what a cut fragment has of one, can begin at position i, and returns the
// position after what was read.
func (f *Fragment) begins(s *FragmentSite, i int) (next int, ok bool) {
	if n, ok := f.limit(s, i); ok {
		return n, true
	}
	return i, slotLoad(&f.Insns[i]) || f.jumpsOn(i)
}

// limit reads the comparison of the counter with the limit that begins at position i: a load, or a call, the
// comparison and the branch.
func (f *Fragment) limit(s *FragmentSite, i int) (next int, ok bool) {
	if i+2 >= len(f.Insns) {
		return i, false
	}
	load, test, branch := &f.Insns[i], &f.Insns[i+1], &f.Insns[i+2]
	imm, isImm := test.Imm()
	if !isImm || test.Op != "cmp" || branch.Branch != x86.BranchCond || imm < 0 || imm > 127 {
		return i, false
	}
	switch branch.Cond {
	case x86.CondA, x86.CondAE:
	case x86.CondE:
		if load.Branch != x86.BranchCall {
			return i, false
		}
	default:
		return i, false
	}
	inRAX := test.Operands[0].Kind == x86.OpReg && test.Operands[0].Reg == x86.RAX
	atRAX := test.HasMem && test.Mem.Base == x86.RAX && test.Mem.Index == x86.RegNone && test.Mem.Disp == 0
	own := load.Op == "mov" && load.Load && load.Mem.Base == x86.RBP && load.Mem.Index == x86.RegNone && load.Writes.Has(x86.RAX)
	switch {
	case own && inRAX && load.OpBits == test.OpBits:
		s.Counter = image.Counter{Form: image.CounterValue, Off: int32(load.Mem.Disp), Size: uint8(load.OpBits / 8)}
	case own && atRAX && load.OpBits == 64:
		s.Counter = image.Counter{Form: image.CounterPtr, Off: int32(load.Mem.Disp), Size: uint8(test.Mem.Size)}
	case load.Branch == x86.BranchCall && (inRAX || atRAX):
		s.Called = true
	default:
		return i, false
	}
	s.Limit, s.Above, s.Compared = i+2, branch.Cond == x86.CondA, uint32(imm)
	f.Steps[i], f.Steps[i+1], f.Steps[i+2] = StepLimit, StepLimit, StepLimit
	return i + 3, true
}

func slotLoad(in *x86.Inst) bool {
	return (in.Load || in.Op == "lea") && in.HasMem && in.Mem.Base == x86.RSI && in.Mem.Index == x86.RDX && in.Mem.Scale == 8
}

// jumpsOn reports whether position i begins the end of an indirect tail call: bpf_func is loaded, the landing added.
func (f *Fragment) jumpsOn(i int) bool {
	load := &f.Insns[i]
	if load.Op != "mov" || !load.Load || load.OpBits != 64 || load.Operands[0].Kind != x86.OpReg || load.Mem.Base != load.Operands[0].Reg {
		return false
	}
	if i+1 >= len(f.Insns) { // cut
		return i > 0 && f.Steps[i-1] != StepNone
	}
	add := &f.Insns[i+1]
	imm, ok := add.Imm()
	return ok && add.Op == "add" && add.Operands[0].Reg == load.Operands[0].Reg && !add.HasMem && imm > 0 && imm < 128
}

// walk reads a tail call from position i on to its jump, and returns the position after it. It reports false if
// the code is not one.
func (f *Fragment) walk(s *FragmentSite, i int) (end int, ok bool) {
	s.Direct = true
	for ; i < len(f.Insns); i++ {
		in := &f.Insns[i]
		if s.Limit >= 0 && in.PC >= f.Insns[s.Limit].Target {
			return i, s.Jump >= 0
		}
		if s.Jump >= 0 {
			return i, true
		}
		step := f.step(s, i)
		if step == StepNone {
			return i, false
		}
		f.Steps[i] = step
		switch step {
		case StepSlot:
			s.Direct = false
		case StepTarget:
			s.Direct = false
		case StepJump:
			s.Jump = i
		}
	}
	return i, s.Limit >= 0 || s.Jump >= 0 || !s.Direct && s.Offsets.ArrayPtrs != 0
}

// step says what the instruction at position i of a tail call does, StepNone if no tail call has it.
func (f *Fragment) step(s *FragmentSite, i int) Step {
	in := &f.Insns[i]
	imm, isImm := in.Imm()
	rax := in.N > 0 && in.Operands[0].Kind == x86.OpReg && in.Operands[0].Reg == x86.RAX
	switch {
	case in.Op == "add" && isImm && imm == 1 && rax, in.Op == "inc" && rax:
		return StepCount
	case in.Store && in.HasMem && (in.Mem.Base == x86.RBP && s.Counter.Form == image.CounterValue && int32(in.Mem.Disp) == s.Counter.Off ||
		in.Load && in.Mem.Base == x86.RAX && in.Mem.Disp == 0):
		s.Bump = i
		return StepCount
	case slotLoad(in):
		s.Offsets.ArrayPtrs = int32(in.Mem.Disp)
		return StepSlot
	case in.Op == "test" || in.Op == "cmp" && isImm && imm == 0 || in.Branch == x86.BranchCond:
		return StepSlot
	case i > 0 && f.Insns[i-1].Op == "lea" && slotLoad(&f.Insns[i-1]) && in.Op == "mov" && in.Load:
		return StepSlot
	case in.Op == "pop", in.Writes.Has(x86.RSP) && (in.Op == "add" || in.Op == "lea" || in.Op == "mov"):
		return StepUnwind
	case f.jumpsOn(i):
		s.Offsets.ProgBPFFunc = int32(in.Mem.Disp)
		return StepTarget
	case in.Op == "add" && isImm && in.OpBits == 64 && !in.HasMem && imm > 0 && imm < 128:
		s.Landing = image.CodeOff(imm)
		return StepTarget
	case in.Branch == x86.BranchJumpIndirect, in.Branch == x86.BranchCall && in.Target == in.PC+12:
		return StepJump
	case in.Branch == x86.BranchJump && in.Len == 5 || in.IsNop && in.Len == 5:
		return f.patched(s, i)
	case in.Fence:
		return StepTarget
	}
	return StepNone
}

// patched tells the two places of a direct tail call apart that updates of its slot patch.
func (f *Fragment) patched(s *FragmentSite, i int) Step {
	in := &f.Insns[i]
	last := s.Limit >= 0 && in.Next() >= f.Insns[s.Limit].Target
	if last || f.Steps[i-min(i, 1)] == StepUnwind || in.Branch == x86.BranchJump && !s.Direct {
		return StepJump
	}
	return StepSkipped
}

// boundsBefore takes the test of the index before position i to the tail call, and returns where that begins.
func (f *Fragment) boundsBefore(s *FragmentSite, i int) int {
	if i > 0 && s.Called && f.Insns[i-1].Op == "mov" && f.Insns[i-1].Len == 10 && f.Insns[i-1].Writes.Has(x86.RAX) {
		i-- // the address of the counter
		f.Steps[i] = StepLimit
	}
	if i < 2 {
		return i
	}
	jump, test := &f.Insns[i-1], &f.Insns[i-2]
	if jump.Branch != x86.BranchCond || test.Op != "cmp" || s.Limit >= 0 && jump.Target != f.Insns[s.Limit].Target ||
		s.Limit < 0 && s.Direct {
		return i
	}
	s.Direct = false
	if test.HasMem {
		s.Offsets.MapMaxEntries = int32(test.Mem.Disp)
	}
	f.Steps[i-1], f.Steps[i-2] = StepBounds, StepBounds
	for i -= 2; i > 0; i-- {
		in := &f.Insns[i-1]
		trunc := in.Is("mov", x86.RDX, x86.RDX) && in.OpBits == 32
		load := in.Op == "mov" && in.Load && in.Mem.Base == x86.RSI && !test.HasMem
		if !trunc && !load {
			return i
		}
		f.Steps[i-1] = StepBounds
	}
	return i
}

// Held is where the counter is when a fragment's marked instruction comes next.
type Held uint8

// The places.
const (
	HeldInFrame Held = iota // only where the frame has it
	HeldInEAX               // in the low half of rax, counted as far as Counted says
	HeldInUpper             // in the upper half of rax: the slot was popped into it
	HeldAtRAX               // where rax points
	HeldPopped              // in rax or where that points: the two kinds of slot of hier-6.12 look alike
)

// Held returns where the counter of the tail call is that the marked instruction belongs to.
func (f *Fragment) Held() Held {
	n := f.Of[f.At]
	if n < 0 {
		return HeldInFrame
	}
	s := &f.Sites[n]
	held, pops := HeldInFrame, 0
	for i := s.First; i < f.At; i++ {
		in := &f.Insns[i]
		switch {
		case !in.Writes.Has(x86.RAX):
		case in.Is("pop", x86.RAX):
			pops++
			switch {
			case s.Counter.Form == image.CounterValue && s.Counter.Size == 4 && s.Counter.Off%8 != 0:
				held = HeldInUpper
			case s.Counter.Form == image.CounterPtr:
				held = HeldPopped
			}
		case in.Op == "add" || in.Op == "inc":
		case in.Op == "mov" && in.Load && in.Mem.Base == x86.RBP && int32(in.Mem.Disp) == s.Counter.Off:
			if held = HeldInEAX; s.Counter.Form == image.CounterPtr {
				held = HeldAtRAX
			}
		default:
			held = HeldInFrame
		}
	}
	return held
}

// Counted reports whether the tail call of the marked instruction is counted already, and Passed whether it has
// passed the comparison with the limit. ok is false if the fragment does not show that, or the instruction belongs
// to no tail call.
func (f *Fragment) Counted() (counted, passed, ok bool) {
	n := f.Of[f.At]
	if n < 0 {
		return false, false, false
	}
	s := &f.Sites[n]
	counted = s.Bump >= 0 && s.Bump < f.At
	if s.Counter.Form == image.CounterValue && s.Bump >= f.At { // add stands before the store
		counted = false
	}
	return counted, s.Limit >= 0 && s.Limit < f.At, s.Limit >= 0
}
