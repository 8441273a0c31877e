// SPDX-License-Identifier: GPL-2.0-only

package timing

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/emu/timing/rows"
	"github.com/tcsim/tcsim/jit/x86"
)

// kind says how the renamer treats an instruction.
type kind uint8

const (
	kindPlain    kind = iota // executed as its micro-operations say
	kindNop                  // finished at rename
	kindZero                 // zero idiom
	kindMove                 // register move that may be eliminated
	kindExchange             // exchange of registers that is eliminated
	kindAddImm               // 64-bit add of an immediate that may be eliminated
	kindLeave
	kindFence // waits for everything older, then stops issue
	kindPause // stops issue
	kindStoreFence
)

// insn is what the model needs to know of one instruction, derived once from its bytes.
type insn struct {
	kind   kind
	shape  shape
	branch x86.Branch
	rsp    rspMove
	slots  uint8 // fused micro-operations
	len    uint8
	wide   bool  // carries a 64-bit immediate
	delta  int32 // of rsp, as rsp says

	nsrc, nadr uint8
	ndst       uint8
	src        [4]uint8 // registers whose value the arithmetic or the store data needs
	adr        [2]uint8 // registers of the address
	dst        [3]uint8
	lat        [3]Cycle // of each dst, from the execution of the first arithmetic micro-operation

	readsFlags, writesFlags bool
	load, addr, data        portSet   // ports of the load, store-address and store-data micro-operations
	alu                     []portSet // all others, branches included

	size      uint8 // bytes of the memory access
	loadLat   Cycle
	late      Cycle // of leave: from rbp to its load
	imm       int64 // kindAddImm: what is added
	aluRow    portSet
	busy      Cycle // time that the divider or the locked unit is occupied; 0: pipelined
	block     Cycle // kindFence, kindPause: how long issue stops
	lock      bool
	rmwImm    bool // read-modify-write without a register source
	rmw       bool
	stackOp   bool    // changes rsp through the stack engine
	extends   bool    // its load needs an extension or a merge that the renamer does not do
	indexed   bool    // its memory operand has an index
	viaStack  bool    // its memory operand is on the stack: through push, pop and the like, rsp or rbp
	base      x86.Reg // of its memory operand
	usesRSP   bool    // reads or writes rsp otherwise
	byCL      bool    // shift by cl
	divides   bool    // by a register: what is recorded as its address is the length of the quotient
	shiftCnt  uint8   // register of the count of shlx and the like, noReg if none
	renames   bool    // its load may take its value at rename
	tableCond x86.Cond

	inst x86.Inst
	form *form
}

// shape says which of its micro-operations an instruction has that is executed as they say.
type shape uint8

const (
	shapeOther shape = iota
	shapeALU         // one that is pipelined, and no memory
	shapeLoad        // a load
	shapeStore       // a store of what is in a register, or of an immediate
)

// rspMove says what an instruction tells of rsp.
type rspMove uint8

const (
	rspStays  rspMove = iota
	rspPushed         // it has its address, and a memory operand: by delta
	rspEA             // it is delta more than the effective address
	rspAdded          // by delta
	rspLost
)

const noReg = 0xff

// lowering derives insns for one core.
type lowering struct {
	core    *Core
	forms   map[string]*form
	special map[string]*Special
}

func newLowering(c *Core) *lowering {
	l := &lowering{core: c, forms: c.byID, special: map[string]*Special{}}
	for i := range c.Special {
		l.special[c.Special[i].ID] = &c.Special[i]
	}
	return l
}

// formOf finds the row of an instruction. The error names the form that has none.
func (l *lowering) formOf(i *x86.Inst) (*form, error) {
	id := rows.Of(i)
	row := id
	if a, ok := analogues[id]; ok && l.forms[id] == nil {
		row = a
	}
	f := l.forms[row]
	if f == nil || !i.Known {
		return nil, fmt.Errorf("no timing data on %s for form %s (%s)", l.core.Name, id, i)
	}
	return f, nil
}

// lower derives the insn of a decoded instruction.
func (l *lowering) lower(i *x86.Inst) (*insn, error) {
	f, err := l.formOf(i)
	if err != nil {
		return nil, err
	}
	in := &insn{inst: *i, form: f, slots: f.slots, shiftCnt: noReg, tableCond: i.Cond, branch: i.Branch, len: i.Len}
	in.wide = f.id == "movabs_r64_imm64"
	in.operands(i)
	in.readsFlags = i.ReadsFlags != 0 && !rows.IsShift(i.Op)
	in.writesFlags = i.WritesFlags != 0
	if err := l.ports(in, f); err != nil {
		return nil, err
	}
	l.classify(in)
	if err := in.complete(); err != nil {
		return nil, fmt.Errorf("core %s: form %s (ports %q): %w", l.core.Name, f.id, f.ports, err)
	}
	in.extends = l.extends(in)
	l.latencies(in)
	in.renames = l.renames(in)
	in.shape = in.shapeOf()
	in.rsp, in.delta = in.rspMove()
	return in, nil
}

// shapeOf finds the shape of a complete insn.
func (in *insn) shapeOf() shape {
	switch {
	case in.kind != kindPlain || in.lock || in.busy != 0 || in.byCL || in.shiftCnt != noReg || in.form.fuses != "":
		return shapeOther
	case in.load == 0 && in.data == 0 && len(in.alu) == 1 && in.branch == x86.BranchNone:
		return shapeALU
	case in.load != 0 && in.data == 0 && len(in.alu) == 0:
		return shapeLoad
	case in.load == 0 && in.data != 0 && len(in.alu) == 0:
		return shapeStore
	}
	return shapeOther
}

// rspMove finds out what the insn tells of rsp.
func (in *insn) rspMove() (rspMove, int32) {
	st := &in.inst.Stack
	switch {
	case st.Any() && in.inst.HasMem:
		return rspPushed, int32(st.Delta)
	case st.Store:
		return rspEA, 0
	case st.Load:
		return rspEA, int32(st.Delta)
	case in.inst.Writes.Has(x86.RSP) && in.imm != 0 && in.src[0] == uint8(x86.RSP):
		return rspAdded, int32(in.imm)
	case in.inst.Writes.Has(x86.RSP):
		return rspLost, 0
	}
	return rspStays, 0
}

// complete reports ports that the instruction needs and its row does not have: sets of a row count as those
// of loads and stores only if they are the ones that the core names.
func (in *insn) complete() error {
	switch {
	case (in.kind == kindLeave || in.lock) && in.load == 0:
		return errors.New("no micro-operation on memory.load_ports")
	case in.data != 0 && in.addr == 0:
		return errors.New("store data without a micro-operation on memory.store_address_ports")
	case (in.kind == kindLeave || in.kind == kindStoreFence) && len(in.alu) == 0:
		return errors.New("no micro-operation but those of memory")
	}
	return nil
}

// operands sorts the registers into data sources, address registers and destinations.
func (in *insn) operands(i *x86.Inst) {
	addrSet := x86.RegSet(0)
	if i.HasMem && i.Op != "lea" {
		addrSet = addrSet.With(i.Mem.Base).With(i.Mem.Index)
		in.size = uint8(i.Mem.Size)
	}
	if i.Stack.Any() {
		addrSet = addrSet.With(i.Stack.Base)
		if !i.HasMem {
			in.size = 8
		}
		in.stackOp = i.Op != "leave"
	}
	m := &i.Mem
	if in.base = m.Base; i.Stack.Any() && !i.HasMem {
		in.base = i.Stack.Base
	}
	in.indexed = i.HasMem && m.Index != x86.RegNone
	in.viaStack = i.Stack.Any() || i.HasMem && m.Index == x86.RegNone && (m.Base == x86.RSP || m.Base == x86.RBP)
	var named x86.RegSet
	for _, o := range i.Ops() {
		if o.Kind == x86.OpReg {
			named = named.With(o.Reg)
		}
	}
	in.usesRSP = (named | addrSet&^x86.RegSetOf(i.Stack.Base)).Has(x86.RSP)
	for r := range i.Reads.All {
		if addrSet.Has(r) && int(in.nadr) < len(in.adr) {
			in.adr[in.nadr] = uint8(r)
			in.nadr++
		}
		if (named.Has(r) || !addrSet.Has(r)) && int(in.nsrc) < len(in.src) {
			in.src[in.nsrc] = uint8(r)
			in.nsrc++
		}
	}
	for r := range i.Writes.All {
		if r == x86.RSP && in.stackOp || int(in.ndst) == len(in.dst) {
			continue
		}
		in.dst[in.ndst] = uint8(r)
		in.ndst++
	}
}

// ports sorts the micro-operations of a row into load, store address, store data and others.
func (l *lowering) ports(in *insn, f *form) error {
	m := &l.core.Memory
	loads, addrs, datas := parsePorts(m.LoadPorts), parsePorts(m.StoreAddressPorts), parsePorts(m.StoreDataPorts)
	text := f.ports
	if s := l.special[f.id]; s != nil {
		if s.Ports != "" {
			text = s.Ports
		}
		if s.Slots != 0 {
			in.slots = uint8(s.Slots)
		}
	}
	i := &in.inst
	memory := i.Load || i.Store || i.Stack.Any()
	storesOnly := (i.Store || i.Stack.Store) && !i.Load && !i.Stack.Load
	for _, w := range strings.Fields(text) {
		name, count, _ := strings.Cut(w, "*")
		n := 1
		if count != "" {
			var err error
			if n, err = strconv.Atoi(count); err != nil {
				return fmt.Errorf("ports %q of form %s: %w", text, f.id, err)
			}
		}
		p := parsePorts(name)
		for range n {
			switch {
			case memory && p == loads && in.load == 0 && !(storesOnly && addrs&^loads == 0):
				in.load = p // ports that do both take the load of an instruction first
			case memory && p == loads && addrs&^loads == 0:
				in.addr = addrs // a store's address takes one of the ports of loads
			case memory && (p == addrs || p == loads):
				in.addr = p
			case memory && p == datas:
				in.data = p
			default:
				in.alu = append(in.alu, p)
			}
		}
	}
	return nil
}

// classify decides what the renamer does with the instruction.
func (l *lowering) classify(in *insn) {
	i, f, r := &in.inst, in.form, &l.core.Rename
	if f.class == "rmw" {
		in.rmw = true
		in.rmwImm = in.nsrc == 0
		if i.Mem.Index != x86.RegNone {
			in.slots++ // an indexed address splits the micro-fused pair
		}
	}
	in.lock = f.class == "atomic"
	switch {
	case f.id == "pause":
		in.kind = kindPause
	case f.id == "lfence" || f.id == "mfence" || f.id == "cpuid":
		in.kind = kindFence
	case f.id == "sfence":
		in.kind = kindStoreFence
	case i.ZeroIdiom:
		in.kind = kindZero
	case f.class == "nop":
		in.kind = kindNop
	case f.id == "leave":
		in.kind = kindLeave
	case i.Op == "xchg" && !i.HasMem && len(in.alu) == 0 && in.nsrc == 2:
		in.kind = kindExchange
	case in.eliminated():
		in.kind = kindMove
		in.aluRow = l.aluPorts()
	case r.AddImmMin != r.AddImmMax && l.addImm(in):
		in.kind = kindAddImm
		in.aluRow = l.aluPorts()
	}
	switch i.Op {
	case "shlx", "shrx", "sarx":
		in.shiftCnt = uint8(i.Operands[2].Reg)
	case "shl", "shr", "sar", "rol", "ror":
		in.byCL = i.N == 2 && i.Operands[1].Kind == x86.OpReg
	}
}

// eliminated reports whether the renamer finishes a register move by itself: a full move that takes
// no port, or a zero extension of a low byte whose latency is published as 0.
func (in *insn) eliminated() bool {
	i := &in.inst
	if i.HasMem || i.N != 2 || i.Operands[1].Kind != x86.OpReg {
		return false
	}
	return i.Op == "mov" && len(in.alu) == 0 || i.Op == "movzx" && i.Operands[1].Bits == 8 && in.form.latMin == 0
}

// extends reports whether a load is more than the move of a full register: below 4 bytes only a byte can be
// taken at rename, on cores that eliminate its zero extension between registers.
func (l *lowering) extends(in *insn) bool {
	i := &in.inst
	switch {
	case in.size >= 4:
		return strings.HasPrefix(i.Op, "movs")
	case in.size == 1 && !strings.HasPrefix(i.Op, "movs"):
		f := l.forms["movzx_r32_r8"]
		return f == nil || f.lat != 0
	}
	return in.size != 0
}

// aluPorts are the ports of a plain 64-bit addition.
func (l *lowering) aluPorts() portSet { return parsePorts(l.forms["add_r64_r64"].ports) }

// addImm recognises what an eliminating renamer treats as register plus constant.
func (l *lowering) addImm(in *insn) bool {
	i := &in.inst
	v, isImm := i.Imm()
	switch {
	case i.OpBits != 64:
		return false
	case i.Op == "lea":
		m := &i.Mem
		if m.RIPRel || m.Base == x86.RegNone || m.Index != x86.RegNone {
			return false
		}
		in.imm = m.Disp
		in.src[0], in.nsrc = uint8(m.Base), 1
		return true
	case i.HasMem || i.N == 0 || i.Operands[0].Kind != x86.OpReg:
		return false
	case i.Op == "add" && isImm:
		in.imm = v
	case i.Op == "sub" && isImm:
		in.imm = -v
	case i.Op == "inc":
		in.imm = 1
	case i.Op == "dec":
		in.imm = -1
	default:
		return false
	}
	return true
}

// renames reports whether the load of an instruction can take its value at rename: where that is no
// more than a move that the renamer eliminates.
func (l *lowering) renames(in *insn) bool {
	c := &l.core.Memory
	switch {
	case in.extends, c.RenamePlain && in.indexed:
		return false
	case in.branch == x86.BranchRet:
		return c.RenameReturns
	case in.branch != x86.BranchNone:
		return false
	case in.rmw && !in.rmwImm:
		return c.RenameRMWReg
	case in.rmw:
		return c.RenameRMW
	}
	return c.RenameLoads
}

// latencies reads the row's latencies: the smallest one is that of the data operand, the largest
// that of flags or of the upper half of a product.
func (l *lowering) latencies(in *insn) {
	f := in.form
	low := max(1, Cycle(f.latMin))
	high := max(low, Cycle(f.lat))
	tp := f.tp
	s := l.special[f.id]
	if s != nil {
		if s.Latency != 0 {
			low, high = s.Latency, s.Latency
		}
		if s.TP != 0 {
			tp = s.TP
		}
	}
	for n := range in.dst {
		in.lat[n] = low
	}
	if f.class == "mul" && in.ndst == 2 {
		in.lat[1] = high // rax before rdx in register order
	}
	in.loadLat = l.core.Memory.LoadLatency
	if f.class == "load" && len(in.alu) == 0 && f.addr > float64(in.loadLat) {
		in.loadLat = Cycle(f.addr)
	}
	if f.class == "leave" {
		in.late = max(0, Cycle(f.addr)-in.loadLat)
	}
	switch {
	case f.class == "div" || in.lock || in.kind == kindStoreFence:
		in.divides = f.class == "div" && !in.inst.HasMem
		in.busy = Cycle(tp + 0.5)
	case in.kind == kindFence:
		in.block = max(0, Cycle(tp+0.5)-l.core.Back.ToDispatch-1)
	case in.kind == kindPause:
		in.block = Cycle(tp + 0.5)
	}
	if s != nil && s.Block != 0 {
		in.block = s.Block
	}
}
