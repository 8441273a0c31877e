// SPDX-License-Identifier: GPL-2.0-only

package emit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/verify/shape"
	"github.com/tcsim/tcsim/jit/x86"
)

// ErrNotJITed is wrapped by the error of Compile for a program whose size does not settle within
// the kernel's number of passes, so that the kernel runs no machine code for it either.
var ErrNotJITed = errors.New("the image does not settle within the passes")

// compiler is the state of one Compile.
type compiler struct {
	v      *verify.Verified
	t      *Config
	env    image.Env
	design Design
	fns    []*Func
	regs   [16]x86.Reg // by BPF register; RegNone where there is none
	// fpShift is added to offsets of accesses that name BPF_REG_FP, and to what is moved from it.
	fpShift int32
	syms    map[string]image.Addr
	// arena and arenaUser are where the kernel and user space see the program's arena; 0 without one.
	arena, arenaUser image.Addr
}

// Compile translates a verified program for a design. It does what bpf_int_jit_compile and do_jit
// (arch/x86/net/bpf_jit_comp.c) and jit_subprogs (kernel/bpf/verifier.c) do, byte for byte: all
// functions are brought to their final size first, then placed, then emitted with the addresses
// of each other. The code is in the state directly after loading with empty prog arrays.
func Compile(v *verify.Verified, t *Config, d Design, env image.Env) (*image.Image, error) {
	return (&compiler{v: v, t: t, env: env, design: d}).compile()
}

func (c *compiler) compile() (*image.Image, error) {
	if c.t.Limit < 1 || c.t.Limit > MaxLimit {
		return nil, fmt.Errorf("tail call limit %d is not in 1..%d", c.t.Limit, MaxLimit)
	}
	if c.t.Emit.AX != 11 && c.t.Emit.AX != 12 {
		return nil, fmt.Errorf("BPF_REG_AX is r%d, expected 11 or 12", c.t.Emit.AX)
	}
	c.regs = bpfRegs(c.t)
	if s, ok := c.design.Code.(FramePointer); ok {
		c.regs[bpf.RegFP], c.fpShift = s.FP()
	}
	if err := c.findArena(); err != nil {
		return nil, err
	}
	if err := c.split(); err != nil {
		return nil, err
	}
	for _, f := range c.fns {
		if err := f.settle(); err != nil {
			return nil, err
		}
	}
	img := &image.Image{Program: c.v.Program, Limit: c.t.Limit, Funcs: make([]image.FuncImage, len(c.fns))}
	entry := c.cfiSize()
	for i, f := range c.fns {
		var err error
		if f.addr, err = c.env.Place(i, f.size, entry); err != nil {
			return nil, fmt.Errorf("place function %d (%s): %w", i, f.Info.Name, err)
		}
	}
	for i, f := range c.fns {
		f.img = &img.Funcs[i]
		if err := f.emit(); err != nil {
			return nil, err
		}
	}
	return img, nil
}

// split makes the functions of the program and checks that they cover its instructions.
func (c *compiler) split() error {
	if len(c.v.Funcs) == 0 {
		return errors.New("no functions")
	}
	next := bpf.InsnIndex(0)
	for i, info := range c.v.Funcs {
		if info.Start != next || info.End <= info.Start || int(info.End) > len(c.v.Insns) {
			return fmt.Errorf("function %d (%s) has slots [%d, %d), expected them to start at %d in %d slots",
				i, info.Name, info.Start, info.End, next, len(c.v.Insns))
		}
		if info.StackDepth < 0 || info.StackDepth > maxStackDepth {
			return fmt.Errorf("function %d (%s) has a stack depth of %d bytes", i, info.Name, info.StackDepth)
		}
		next = info.End
		f, err := newFunc(c, i, info)
		if err != nil {
			return fmt.Errorf("function %d (%s): %w", i, info.Name, err)
		}
		c.fns = append(c.fns, f)
	}
	if err := shape.Admit(&c.t.Verifier, c.v.Insns, c.v.Funcs); err != nil {
		return err
	}
	if int(next) != len(c.v.Insns) {
		return fmt.Errorf("instructions from slot %d on belong to no function", next)
	}
	return nil
}

// maxStackDepth is far above MAX_BPF_STACK (512), which only the verifier enforces.
const maxStackDepth = 1 << 20

// symbol returns the address of a kernel symbol, which can have an offset after "+", asking env
// once.
func (c *compiler) symbol(name string) (image.Addr, error) {
	if a, ok := c.syms[name]; ok {
		return a, nil
	}
	base, offset, hasOffset := strings.Cut(name, "+")
	a, err := c.env.Symbol(base)
	if err != nil {
		return 0, err
	}
	if hasOffset {
		n, err := strconv.ParseUint(offset, 0, 32)
		if err != nil {
			return 0, fmt.Errorf("offset of symbol %q: %w", name, err)
		}
		a += image.Addr(n)
	}
	if c.syms == nil {
		c.syms = make(map[string]image.Addr)
	}
	c.syms[name] = a
	return a, nil
}

// hasCallThunk says whether a helper function has a thunk that accounts for calls.
func (c *compiler) hasCallThunk(target image.Addr) bool {
	for _, name := range c.t.Emit.CallThunks {
		// A place without the function has no thunk of it.
		if a, err := c.symbol(name); err == nil && a == target {
			return true
		}
	}
	return false
}

// fail wraps an error about the instruction in slot i of the program.
func (c *compiler) fail(i bpf.InsnIndex, err error) error {
	return bpf.ErrorAt(c.v.Insns, i, err)
}

// Func is one function while it is compiled.
type Func struct {
	c      *compiler
	Config *Config
	idx    int
	Info   verify.FuncInfo
	insns  []bpf.Insn

	// What the prologue and the frame depend on.
	Sub       bool
	Reachable bool  // the function carries a tail call counter
	Depth     int32 // stack depth rounded up to 8
	saved     [4]bool
	saveR12   bool
	// privateFP is what r10 is, before this CPU's offset is added, in a function with a private stack of privateSize bytes.
	privateFP   image.Addr
	privateSize int32
	regs        *[16]x86.Reg // by BPF register
	drawn       []int        // random numbers drawn before each instruction; nil without blinding

	// plan[i] is the size of instruction i without its jump; addrs as in do_jit: addrs[0] is the
	// end of the prologue, addrs[i+1] the end of instruction i as of the last pass.
	plan    []insnPlan
	addrs   []int32
	cleanup int32 // offset of the epilogue
	padding bool
	size    int

	// Labels of the tail call sequences, from their start (jit_context.tail_call_*_label).
	directLabel, indirectLabel int

	addr image.Addr
	img  *image.FuncImage // nil while sizes are found
}

func newFunc(c *compiler, idx int, info verify.FuncInfo) (*Func, error) {
	f := &Func{c: c, Config: c.t, idx: idx, Info: info, insns: c.v.Insns[info.Start:info.End], Sub: idx != 0, regs: &c.regs}
	f.Depth = (info.StackDepth + 7) &^ 7
	// detect_reg_usage: any appearance of R6..R9 in a register field counts, also in the second
	// half of ld_imm64 and in dead code. A tail call in the function makes it carry a counter.
	f.Reachable = info.TailCallReachable || f.HasTailCall()
	for i := range f.insns {
		in := &f.insns[i]
		if r := in.Dst - 6; r < 4 {
			f.saved[r] = true
		}
		if r := in.Src - 6; r < 4 {
			f.saved[r] = true
		}
	}
	f.saveR12, f.drawn = c.arena != 0, f.blinds()
	if v := f.Config.Variant; v != nil && v.Depth != nil {
		f.Depth = v.Depth(info.StackDepth)
	}
	if v := f.Config.Variant; v != nil && v.Saved != nil {
		f.saved = v.Saved(f.saved)
	}
	return f, f.special()
}

// calleeSaved are the x86 registers of R6 to R9.
var calleeSaved = [4]x86.Reg{x86.RBX, x86.R13, x86.R14, x86.R15}

// HasTailCall says that there is a tail call in the function itself.
func (f *Func) HasTailCall() bool {
	for i := range f.insns {
		if f.insns[i].Op == bpf.OpTailCall {
			return true
		}
	}
	return false
}
