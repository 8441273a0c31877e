// SPDX-License-Identifier: GPL-2.0-only

package live

import (
	"fmt"

	"github.com/cilium/ebpf/btf"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
)

// signature is what a function is declared to take: true for the context of the program, false for a
// number of 8 bytes. nil stands for a function whose type is not needed.
type signature []bool

// contextNames are the types that the verifier takes for a program's context (btf_is_prog_ctx_type,
// kernel/bpf/btf.c).
var contextNames = map[bpf.ProgType]string{bpf.SocketFilter: "__sk_buff", bpf.SchedCLS: "__sk_buff", bpf.XDP: "xdp_md"}

// typesOf makes type information with one function type for each function. Functions with a signature
// are global: only those can be replaced or called for an exception, and of those that are traced the
// kernel believes the number of arguments.
func typesOf(p *capture.Prog, sigs []signature, context string) (*btf.Handle, []uint32, error) {
	var b btf.Builder
	result := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	number := &btf.Int{Name: "long long", Size: 8, Encoding: btf.Signed}
	ctx := &btf.Pointer{Target: &btf.Struct{Name: context, Size: 4, Members: []btf.Member{{Name: "first", Type: result}}}}
	var ids []uint32
	for i, f := range p.Funcs {
		proto := &btf.FuncProto{Return: result}
		linkage := btf.StaticFunc
		for n, isCtx := range sigs[i] {
			linkage = btf.GlobalFunc
			param := btf.FuncParam{Name: fmt.Sprintf("arg%d", n), Type: number}
			if isCtx {
				param.Type = ctx
			}
			proto.Params = append(proto.Params, param)
		}
		fn := &btf.Func{Name: identifier(f.Name), Type: proto, Linkage: linkage}
		if i == 0 {
			fn.Tags = callbackTag(p)
		}
		id, err := b.Add(fn)
		if err != nil {
			return nil, nil, err
		}
		ids = append(ids, uint32(id))
	}
	h, err := btf.NewHandle(&b)
	if err != nil {
		return nil, nil, fmt.Errorf("load type information: %w", err)
	}
	return h, ids, nil
}

// callbackTag is the declaration tag of an entry function that names the exception callback
// (bpf_find_exception_callback_insn_off, kernel/bpf/verifier.c).
func callbackTag(p *capture.Prog) []string {
	for _, f := range p.Funcs {
		if f.ExceptionCB {
			return []string{"exception_callback:" + identifier(f.Name)}
		}
	}
	return nil
}

// signatures returns what the functions of program n take, nil for those that nothing is attached to.
func (l *Loaded) signatures(n int) []signature {
	out := make([]signature, len(l.sc.Progs[n].Funcs))
	for i, f := range l.sc.Progs[n].Funcs {
		if f.ExceptionCB {
			out[i] = signature{false} // the cookie
		}
	}
	for i := range l.sc.Progs {
		a := l.sc.Progs[i].Attach
		switch {
		case a == nil || a.Kernel != "":
		case a.Prog == n && a.Func < len(out):
			out[a.Func] = l.signature(n, a.Func)
		case i == n && a.Kind == capture.KindReplace: // takes what it replaces takes
			out[0] = l.signature(a.Prog, a.Func)
		}
	}
	return out
}

// signature finds out what a function takes: the scenario says nothing of types.
func (l *Loaded) signature(prog, fn int) signature {
	p := l.sc.Submitted(prog)
	sig := make(signature, len(jit.FuncArgs(p, fn)))
	sig[0] = contextNames[p.Type] != "" && (fn == 0 || takesContext(p, fn))
	return sig
}

// takesContext reports whether the first argument of a function is the context: the function tail calls
// with it, or its callers do not put a number there.
func takesContext(p *bpf.Program, fn int) bool {
	start, end := p.Funcs[fn].Start, bpf.InsnIndex(len(p.Insns))
	if fn+1 < len(p.Funcs) {
		end = p.Funcs[fn+1].Start
	}
	for i := bpf.InsnIndex(0); int(i) < len(p.Insns); i++ {
		in := &p.Insns[i]
		switch {
		case in.Op == bpf.OpLdImm64:
			i++
		case in.Op != bpf.OpCall:
		case in.Src == 0 && in.Imm == bpf.HelperTailCall && i >= start && i < end:
			return true
		case in.Src == bpf.PseudoCall && i+1+bpf.InsnIndex(in.Imm) == start && numberBefore(p.Insns[:i]):
			return false
		}
	}
	return true
}

// numberBefore reports whether the last instruction that writes R1 puts a number there.
func numberBefore(insns []bpf.Insn) bool {
	const (
		classMask = 0x07
		movReg    = 0xbf
	)
	for i := len(insns) - 1; i >= 0; i-- {
		in := &insns[i]
		switch class := in.Op & classMask; {
		case in.Dst != 1, class == 2, class == 3, class == 5, class == 6: // stores and jumps write no register
		default:
			return in.Op != movReg
		}
	}
	return false
}
