// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/ranges"
	"strings"
)

// memArg is one argument of a helper.
type memArg struct {
	kind byte
	size int // of r and w, in bytes
}

// arguments reads helperSpec.args.
func (h *helperSpec) arguments() []memArg {
	var out []memArg
	for i := 0; i < len(h.args); i++ {
		a := memArg{kind: h.args[i]}
		for i+1 < len(h.args) && h.args[i+1] >= '0' && h.args[i+1] <= '9' {
			i++
			a.size = a.size*10 + int(h.args[i]-'0')
		}
		switch a.kind {
		case 'd', 'D':
			a.size = dynptrSize
		}
		out = append(out, a)
	}
	return out
}

// dynptrSize is the size of struct bpf_dynptr in bytes.
const dynptrSize = 16

// helperArgs are the arguments of each helper by its number.
var helperArgs = func() map[int32][]memArg {
	m := make(map[int32][]memArg, len(helpers))
	for n, h := range helpers {
		m[n] = h.arguments()
	}
	return m
}()

// helperAliases are the kernel functions of helpers that are not called bpf_ and the helper's name.
var helperAliases = map[string]int32{
	"bpf_user_rnd_u32": 7, "bpf_get_raw_cpu_id": 8, "bpf_get_raw_smp_processor_id": 8,
	"bpf_skb_event_output": 25, "bpf_xdp_event_output": 25, "bpf_perf_event_output_tp": 25,
	"bpf_event_output_data": 25, "bpf_perf_event_output_raw_tp": 25,
}

// mapOps are the endings of the functions of map types that the verifier calls directly.
var mapOps = []struct {
	ending string
	number int32
}{
	{"_map_lookup_percpu_elem", 195},
	{"_map_lookup_elem", 1},
	{"_map_update_elem", 2},
	{"_map_delete_elem", 3},
	{"_map_push_elem", 87},
	{"_map_pop_elem", 88},
	{"_map_peek_elem", 89},
}

var helperByName = func() map[string]int32 {
	m := make(map[string]int32, len(helpers))
	for n, h := range helpers {
		m["bpf_"+h.name] = n
	}
	return m
}()

// HelperName returns the name of a helper by its number, "" if it is not known.
func HelperName(n int32) string {
	if h, ok := helpers[n]; ok {
		return "bpf_" + h.name
	}
	return ""
}

// findHelper finds the helper that a call with this immediate reaches.
func findHelper(p *bpf.Program, imm int32) (n int32, spec helperSpec, ok bool) {
	if p.HelperNames == nil || imm == bpf.HelperTailCall {
		spec, ok = helpers[imm]
		return imm, spec, ok
	}
	name := p.HelperNames[imm]
	if n, ok = helperByName[name]; ok {
		return n, helpers[n], true
	}
	if n, ok = helperAliases[name]; ok {
		return n, helpers[n], true
	}
	for _, op := range mapOps {
		if strings.HasSuffix(name, op.ending) {
			return op.number, helpers[op.number], true
		}
	}
	if strings.HasPrefix(name, "bpf_skb_load_helper_") {
		return 0, helperSpec{name: strings.TrimPrefix(name, "bpf_"), args: "...."}, true
	}
	return 0, helperSpec{}, false
}

// callHelper follows a call of a helper, of a kernel function or a tail call.
func (x *explorer) callHelper(s *state, in bpf.Insn) error {
	if x.p.CalledName(in) == timedMayGoto {
		return nil // keeps all registers of the program
	}
	f := s.top()
	args, ret := anyArgs, unknownNumber() // of what is unknown, a stack address may be used
	if err := x.noSuchHelper(in); err != nil {
		return err
	}
	switch n, spec, ok := findHelper(x.p, in.Imm); {
	case in.Src == bpf.PseudoKfunc && in.Op == bpf.OpCall:
		args, ret = x.kfunc(x.p.Kfunc(in))
	case in.Src != 0 || in.Op != bpf.OpCall:
	case n == bpf.HelperTailCall && ok:
		if m := &f.regs[2]; m.kind == kindMap && x.p.Maps[m.mapIdx].Type != bpf.ProgArray {
			return fmt.Errorf("tail call through map %s, which is not a prog array (check_map_func_compatibility)", x.p.Maps[m.mapIdx].Name)
		}
		if err := x.tailCall(s); err != nil {
			return err
		}
		args, ret = nil, value{}
	case ok:
		if args = helperArgs[n]; n == 0 {
			args = spec.arguments()
		}
		if spec.void {
			ret = value{}
		}
		if spec.ret != kindNone {
			ret = pointer(spec.ret)
			if ret.orNull = spec.null; spec.null {
				ret.link = x.newLink()
			}
			if ret.mapIdx = f.regs[1].mapIdx; f.regs[1].kind != kindMap && ret.kind == kindMapValue {
				ret.kind = kindPointer
			}
			if m := &f.regs[1]; n == 1 && m.kind == kindMap && x.p.Maps[m.mapIdx].Inner > 0 {
				ret.kind, ret.mapIdx = kindMap, int32(x.p.Maps[m.mapIdx].Inner-1)
			}
		}
		if bounded[n] > 0 {
			ret.num.LimitResult(f.regs[bounded[n]].num.Smax, &x.rules.Ranges)
		}
		if n == helperLoop {
			x.noteLoop(s)
		}
		if n >= 1 && n <= 3 || n == 195 {
			m := x.lookups[s.pc]
			if m == nil {
				m = &mapFacts{}
				x.lookups[s.pc] = m
			}
			m.note(&f.regs[1])
		}
	}
	if !x.submitted && ret.isPointer() {
		object := ret.kind == kindPointer
		if ret = unknownNumber(); object {
			ret.typed = handedOut(x.rules)
		}
	}
	for i := range args {
		if x.strict && f.regs[i+1].kind == kindNone && in.Src == 0 {
			return fmt.Errorf("argument r%d is not initialised", i+1)
		}
		if err := x.argument(s, args[i], i); err != nil {
			return err
		}
	}
	if in.Op == bpf.OpCall && in.Src == 0 && movesPacket[in.Imm] && x.submitted {
		s.loosePackets()
	}
	if number, ok := x.callingHelper(in); ok {
		if entered, err := x.callback(s, number); entered || err != nil {
			return err
		}
	}
	for r := range 6 {
		f.regs[r] = value{}
	}
	if f.regs[0] = ret; iteratorNext(x.p.Kfunc(in)) {
		again := x.nextRound(s, s.pc+1)
		again.top().regs[0].orNull, again.top().regs[0].link = false, 0
		f.regs[0] = number(ranges.ConstScalar(0))
	}
	return nil
}

// bounded are helpers whose result is an error or at most the size that they are handed, and the argument that is the
// size (do_refine_retval_range).
var bounded = map[int32]int{45: 2, 67: 3, 114: 2, 115: 2, 141: 3}

// poisoned is the number of the helper that loaders make of an instruction whose CO-RE relocation fails.
const poisoned = 0xbad2310

// noSuchHelper refuses calls of helpers that no kernel has; rewriting refuses what this one lacks.
func (x *explorer) noSuchHelper(in bpf.Insn) error {
	if !x.strict || in.Op != bpf.OpCall || in.Src != 0 || x.p.HelperNames != nil {
		return nil
	}
	switch _, known := helpers[in.Imm]; {
	case known:
		return nil
	case in.Imm == poisoned:
		return errors.New("a path leads here, and the types that this was compiled for are not like those given: --btf names a kernel's (invalid func unknown)")
	case in.Imm == NoKfunc:
		return errors.New("a path leads to the call of a weak kernel function that is not known to exist: --btf names a kernel's types")
	}
	return fmt.Errorf("there is no helper %d (invalid func unknown)", in.Imm)
}

// NoKfunc is the number of the helper that stands for a weak kernel function that does not exist.
const NoKfunc = 0x0bad

// anyArgs are the arguments of a function that nothing is known of.
var anyArgs = []memArg{{'r', 8}, {'r', 8}, {'r', 8}, {'r', 8}, {'r', 8}}

// argument notes what a helper does to the stack through argument i, counted from 0.
func (x *explorer) argument(s *state, a memArg, i int) error {
	f := s.top()
	v := f.regs[i+1]
	if v.kind != kindStack {
		return x.hand(s, a, i)
	}
	if a.kind == '.' { // what is done with it is not known
		x.reads(s, int(v.frame), ^uint64(0))
		return nil
	}
	size := a.size
	switch a.kind {
	case 'k', 'v', 'V':
		if m := f.regs[1]; m.kind == kindMap {
			size = int(x.p.Maps[m.mapIdx].KeySize)
			if a.kind != 'k' {
				size = int(x.p.Maps[m.mapIdx].ValueSize)
			}
		}
	case 'm', 'M':
		x.needs(s, uint8(i+2))
		if err := x.maySize(&f.regs[i+2], uint8(i+2)); err != nil {
			return err
		}
		if n := f.regs[i+2]; n.kind == kindNumber && n.num.Umax <= maxStack {
			size = int(n.num.Umax)
		}
	}
	lo, hi := stackRange(&v, 0)
	if err := x.touch(s.frames[v.frame].fn, lo, hi+int64(size)); err != nil {
		return err
	}
	if !strings.ContainsRune("wDMV", rune(a.kind)) {
		x.reads(s, int(v.frame), slotBits(lo, hi+int64(size)))
	}
	x.clobber(s, &v, size, a.kind == 'V' || a.kind == 'M' || a.kind == 'w' || a.kind == 'D')
	return nil
}

// hand judges memory outside the stack that a helper is handed.
func (x *explorer) hand(s *state, a memArg, i int) error {
	f := s.top()
	size := int64(a.size)
	switch a.kind {
	case '.':
		return nil
	case 'k', 'v', 'V':
		m := f.regs[1]
		if m.kind != kindMap {
			return nil
		}
		if size = int64(x.p.Maps[m.mapIdx].KeySize); a.kind != 'k' {
			size = int64(x.p.Maps[m.mapIdx].ValueSize)
		}
	case 'm', 'M':
		if i+2 > 5 {
			return nil
		}
		n := &f.regs[i+2]
		x.needs(s, uint8(i+2))
		if err := x.maySize(n, uint8(i+2)); err != nil || n.kind != kindNumber {
			return err
		}
		size = int64(min(n.num.Umax, maxVarOff))
	}
	store := strings.ContainsRune("wDMV", rune(a.kind)) && x.p.Insns[s.pc].Src == 0 // what kernel functions write is not known
	return x.mayHand(&f.regs[i+1], uint8(i+1), size, store)
}

// clobber is an access by a helper to size bytes of stack. Before 6.13 the verifier took every
// access for a write.
func (x *explorer) clobber(s *state, v *value, size int, writes bool) {
	if x.rules.ReadOnlyArgs && !writes {
		return
	}
	lo, hi := stackRange(v, 0)
	s.frames[v.frame].fillAny(lo, hi+int64(size))
}

// tailCall notes map and key of a tail call (record_func_map, record_func_key).
func (x *explorer) tailCall(s *state) error {
	f := s.top()
	x.needs(s, 3)
	c := x.calls[s.pc]
	if c == nil {
		c = &tailCallFacts{}
		x.calls[s.pc] = c
	}
	c.note(&f.regs[2])
	k := &f.regs[3]
	c.way(&f.regs[2], k)
	known := k.isConst() && f.regs[2].kind == kindMap && k.num.Umin < uint64(x.p.Maps[f.regs[2].mapIdx].MaxEntries)
	switch {
	case !known:
		c.keyPoisoned = true
	case c.keySeen && uint64(c.key) != k.num.Umin:
		c.keyPoisoned = true
	default:
		c.key = uint32(k.num.Umin)
	}
	c.keySeen = true
	switch {
	case !x.rules.TailReturn:
	case f.callback:
		return errors.New("a tail call directly in a callback (cannot tail call within callback)")
	case len(s.frames) > 1:
		// The callee of a tail call that is taken returns to this function's caller.
		taken := x.fork(s, s.pc)
		taken.top().regs[0] = unknownNumber()
		_, err := x.exit(taken)
		return err
	}
	return nil
}
