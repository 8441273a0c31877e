// SPDX-License-Identifier: GPL-2.0-only

package shape

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/form"
)

// checker collects what is wrong with the form of a program: what makes following it meaningless.
type checker struct {
	p     *bpf.Program
	funcs []FuncInfo
	errs  []error
	regs  uint8 // number of registers that instructions may name
	half  []bool
	later bool // what is wrong with operands is found where a path leads (explorer.form)
	start map[bpf.InsnIndex]int
}

func (c *checker) bad(i bpf.InsnIndex, format string, args ...any) {
	c.errs = append(c.errs, bpf.ErrorAt(c.p.Insns, i, fmt.Errorf(format, args...)))
}

// Form returns the functions' bounds, or all mistakes in the form of a program whose instructions name registers below
// regs. later is how a kernel looks at one before it follows paths: it counts functions (add_subprog), and leaves out what
// it looks at where a path leads only.
func Form(p *bpf.Program, regs uint8, later bool) ([]FuncInfo, error) {
	c := &checker{p: p, regs: regs, later: later, start: map[bpf.InsnIndex]int{}}
	if !c.layout() {
		return nil, errors.Join(c.errs...)
	}
	c.half = make([]bool, len(p.Insns))
	for i, in := range p.Insns {
		if !c.half[i] && in.IsLdImm64() && i+1 < len(p.Insns) {
			c.half[i+1] = true
		}
	}
	for fn := range c.funcs {
		c.function(fn)
	}
	if len(c.errs) == 0 {
		c.recursion()
	}
	return c.funcs, errors.Join(c.errs...)
}

// layout finds the functions.
func (c *checker) layout() bool {
	p := c.p
	if len(p.Insns) == 0 {
		c.errs = append(c.errs, errors.New("the program has no instructions"))
		return false
	}
	if len(p.Funcs) == 0 || p.Funcs[0].Start != 0 {
		c.errs = append(c.errs, errors.New("the first function does not start at insn 0"))
		return false
	}
	if n := len(p.Funcs); n > maxFuncs && c.later {
		c.errs = append(c.errs, fmt.Errorf("too many subprograms: %d functions, and kernels take no more than %d (E2BIG)", n, maxFuncs))
		return false
	}
	for i, f := range p.Funcs {
		end := bpf.InsnIndex(len(p.Insns))
		if i+1 < len(p.Funcs) {
			end = p.Funcs[i+1].Start
		}
		if f.Start < 0 || end <= f.Start || int(end) > len(p.Insns) {
			c.errs = append(c.errs, fmt.Errorf("function %d (%s) starts at insn %d and ends at %d of %d", i, f.Name, f.Start, end, len(p.Insns)))
			return false
		}
		c.start[f.Start] = i
		c.funcs = append(c.funcs, FuncInfo{Name: f.Name, Start: f.Start, End: end})
	}
	return true
}

func (c *checker) function(fn int) {
	f := c.funcs[fn]
	last := f.Start
	for i := f.Start; i < f.End; i++ {
		if c.half[i] {
			if i == f.Start {
				c.bad(i-1, "its second half belongs to another function")
			} else if h := c.p.Insns[i]; h.Op != 0 || h.Dst != 0 || h.Src != 0 || h.Off != 0 {
				c.bad(i-1, "bad second half %v", h)
			}
			continue
		}
		last = i
		c.insn(f, i)
	}
	fall, _, _ := form.Flow(c.p.Insns, last)
	if c.regs == NumRegs && c.p.Insns[last].Op == bpf.OpCall && c.p.Throws() {
		fall = false // the verifier has removed what followed a call that does not return
	}
	if fall {
		c.bad(last, "function %d (%s) does not end with exit or jump", fn, f.Name)
	}
}

func (c *checker) insn(f FuncInfo, i bpf.InsnIndex) {
	in := c.p.Insns[i]
	switch {
	case !in.Known() || c.later && !in.Written():
		c.bad(i, "unknown opcode %#02x", in.Op)
		return
	case c.later && in.Class() == bpf.ClassLDX && in.Imm != 0: // resolve_pseudo_ldimm64
		c.bad(i, "BPF_LDX uses reserved fields")
		return
	case c.later && in.Op == bpf.OpCall && in.Src == bpf.PseudoKfunc && in.Off != 0: // add_kfunc_call
		c.bad(i, "a kernel function of module %d, and no module is given (kfunc offset > 0 without fd_array is invalid)", in.Off)
		return
	}
	if why := in.Malformed(c.regs == NumRegs); why != "" && !c.later {
		c.bad(i, "%s", why)
		return
	}
	if in.IsLdImm64() {
		c.constant(f, i)
	}
	pseudo := in.IsLdImm64() || in.Op == bpf.OpCall
	if in.Dst >= c.regs || !pseudo && in.Src >= c.regs {
		c.bad(i, "there is no register r%d", max(in.Dst, in.Src))
		return
	}
	if _, writes := in.RegUse(); writes&(1<<10) != 0 && !c.later {
		c.bad(i, "r10 is read only")
	}
	if to, ok := in.Callee(i); ok {
		if _, ok := c.start[to]; !ok {
			c.bad(i, "no function starts at insn %d", to)
		}
		return
	}
	if _, to, jumps := form.Flow(c.p.Insns, i); jumps {
		switch {
		case to < f.Start || to >= f.End:
			c.bad(i, "jump out of its function, to insn %d", to)
		case c.half[to]:
			c.bad(i, "jump into the middle of insn %d", to-1)
		}
	}
}

// Fields refuses values in fields that instructions do not use, wherever they are (check_insn_fields).
func Fields(p *bpf.Program) error {
	var errs []error
	for i := bpf.InsnIndex(0); int(i) < len(p.Insns); i += p.Insns[i].Width() {
		if why := p.Insns[i].Reserved(); why != "" {
			errs = append(errs, bpf.ErrorAt(p.Insns, i, errors.New(why)))
		}
	}
	return errors.Join(errs...)
}

func (c *checker) constant(f FuncInfo, i bpf.InsnIndex) {
	in := c.p.Insns[i]
	if i+1 >= f.End {
		c.bad(i, "the second half is missing")
		return
	}
	if in.Src != bpf.PseudoMap && in.Src != bpf.PseudoMapValue {
		return
	}
	if in.Imm < 0 || int(in.Imm) >= len(c.p.Maps) {
		c.bad(i, "map %d does not exist: there are %d", in.Imm, len(c.p.Maps))
		return
	}
	m := &c.p.Maps[in.Imm]
	if off := uint32(c.p.Insns[i+1].Imm); in.Src == bpf.PseudoMapValue && (m.Type != bpf.ArrayMap || m.MaxEntries != 1 || off >= m.ValueSize) {
		c.bad(i, "map %s has no value with a fixed address at offset %d (array_map_direct_value_addr)", m.Name, off)
	}
}

// recursion finds calls that lead back to their own function.
func (c *checker) recursion() {
	const (
		fresh = iota
		active
		done
	)
	mark := make([]uint8, len(c.funcs))
	var visit func(fn int)
	visit = func(fn int) {
		mark[fn] = active
		f := c.funcs[fn]
		for i := f.Start; i < f.End; i++ {
			if at, ok := c.p.Insns[i].Callee(i); ok && !c.half[i] && c.p.Insns[i].IsSubCall() {
				switch to := c.start[at]; mark[to] {
				case fresh:
					visit(to)
				case active:
					c.bad(i, "recursive call of function %d (%s)", to, c.funcs[to].Name)
				}
			}
		}
		mark[fn] = done
	}
	for fn := range c.funcs {
		if mark[fn] == fresh {
			visit(fn)
		}
	}
}

// Results refuses functions without a result that make tail calls or load from the packet by BPF_LD_ABS: these end
// them with one (check_btf_func, since 5.10).
func Results(p *bpf.Program, funcs []FuncInfo) error {
	for n, f := range funcs {
		if n == 0 || !p.Funcs[n].Void {
			continue
		}
		for i := f.Start; i < f.End; i += p.Insns[i].Width() {
			switch in := p.Insns[i]; {
			case in.Op == bpf.OpCall && in.Src == 0 && in.Imm == bpf.HelperTailCall:
				return bpf.ErrorAt(p.Insns, i, errors.New("tail_call is only allowed in functions that return 'int'"))
			case in.Class() == bpf.ClassLD && !in.IsLdImm64():
				return bpf.ErrorAt(p.Insns, i, errors.New("LD_ABS is only allowed in functions that return 'int'"))
			}
		}
	}
	return nil
}

// Reachable refuses instructions that no jump leads to (check_cfg).
func Reachable(p *bpf.Program) error {
	var errs []error
	seen := make([]bool, len(p.Insns))
	var work []bpf.InsnIndex
	for _, f := range p.Funcs {
		work = append(work, f.Start)
	}
	for len(work) > 0 {
		i := work[len(work)-1]
		work = work[:len(work)-1]
		if int(i) >= len(seen) || seen[i] {
			continue
		}
		seen[i] = true
		fall, to, jumps := form.Flow(p.Insns, i)
		if fall {
			work = append(work, i+p.Insns[i].Width())
		}
		if jumps {
			work = append(work, to)
		}
	}
	for i := bpf.InsnIndex(0); int(i) < len(seen); i += p.Insns[i].Width() {
		if !seen[i] {
			errs = append(errs, bpf.ErrorAt(p.Insns, i, errors.New("no path leads here")))
		}
	}
	return errors.Join(errs...)
}
