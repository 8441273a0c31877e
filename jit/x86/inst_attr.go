// SPDX-License-Identifier: GPL-2.0-only

package x86

// attr is what a mnemonic does, apart from what its operands decide.
type attr struct {
	// roles has one letter per operand: r read, w written, m read and written, a only its address
	// matters or nothing at all. Operands beyond the string are read.
	roles  string
	reads  RegSet // implicit
	writes RegSet
	fr, fw Flags
	branch Branch
	stack  StackAccess
	trap   bool
	fence  bool
	// special marks mnemonics that attributes treats by hand.
	special bool
}

const (
	arith = FlagsStatus
	noCF  = FlagsStatus &^ FlagCF
	logic = FlagsStatus
	rot   = FlagCF | FlagOF
)

const (
	setAX = RegSet(1 << RAX)
	setCX = RegSet(1 << RCX)
	setDX = RegSet(1 << RDX)
	setBX = RegSet(1 << RBX)
	setSP = RegSet(1 << RSP)
	setBP = RegSet(1 << RBP)
)

var (
	pushAccess  = StackAccess{Store: true, Base: RSP, Off: -8, Delta: -8}
	popAccess   = StackAccess{Load: true, Base: RSP, Delta: 8}
	leaveAccess = StackAccess{Load: true, Base: RBP, Delta: 8}
)

// attrs gives the attributes of each mnemonic (Intel SDM vol. 2, "Flags Affected" and "Operation"
// of each instruction). A mnemonic that is not here is decoded with Known false.
var attrs = map[string]attr{
	"mov":    {roles: "wr"},
	"movzx":  {roles: "wr"},
	"movsx":  {roles: "wr"},
	"movsxd": {roles: "wr"},
	"movbe":  {roles: "wr"},
	"movnti": {roles: "wr"},
	"lea":    {roles: "wa"},
	"bswap":  {roles: "m"},

	"add":  {roles: "mr", fw: arith},
	"sub":  {roles: "mr", fw: arith},
	"adc":  {roles: "mr", fr: FlagCF, fw: arith},
	"sbb":  {roles: "mr", fr: FlagCF, fw: arith},
	"cmp":  {roles: "rr", fw: arith},
	"test": {roles: "rr", fw: logic},
	"and":  {roles: "mr", fw: logic},
	"or":   {roles: "mr", fw: logic},
	"xor":  {roles: "mr", fw: logic},
	"not":  {roles: "m"},
	"neg":  {roles: "m", fw: arith},
	"inc":  {roles: "m", fw: noCF},
	"dec":  {roles: "m", fw: noCF},
	"adcx": {roles: "mr", fr: FlagCF, fw: FlagCF},
	"adox": {roles: "mr", fr: FlagOF, fw: FlagOF},

	"imul": {special: true, fw: arith},
	"mul":  {special: true, fw: arith},
	"div":  {special: true, fw: arith},
	"idiv": {special: true, fw: arith},
	"mulx": {roles: "wwr", reads: setDX},
	"cwd":  {reads: setAX | setDX, writes: setDX},
	"cdq":  {reads: setAX, writes: setDX},
	"cqo":  {reads: setAX, writes: setDX},
	"cbw":  {reads: setAX, writes: setAX},
	"cwde": {reads: setAX, writes: setAX},
	"cdqe": {reads: setAX, writes: setAX},

	"shl":  {roles: "mr", fw: arith},
	"sal":  {roles: "mr", fw: arith},
	"shr":  {roles: "mr", fw: arith},
	"sar":  {roles: "mr", fw: arith},
	"rol":  {roles: "mr", fw: rot},
	"ror":  {roles: "mr", fw: rot},
	"rcl":  {roles: "mr", fr: FlagCF, fw: rot},
	"rcr":  {roles: "mr", fr: FlagCF, fw: rot},
	"shld": {roles: "mrr", fw: arith},
	"shrd": {roles: "mrr", fw: arith},
	"shlx": {roles: "wrr"},
	"shrx": {roles: "wrr"},
	"sarx": {roles: "wrr"},
	"rorx": {roles: "wrr"},

	"andn":   {roles: "wrr", fw: logic},
	"bextr":  {roles: "wrr", fw: logic},
	"bzhi":   {roles: "wrr", fw: logic},
	"pdep":   {roles: "wrr"},
	"pext":   {roles: "wrr"},
	"blsr":   {roles: "wr", fw: logic},
	"blsi":   {roles: "wr", fw: logic},
	"blsmsk": {roles: "wr", fw: logic},
	"bsf":    {roles: "mr", fw: logic}, // a zero source keeps the destination
	"bsr":    {roles: "mr", fw: logic},
	"tzcnt":  {roles: "wr", fw: logic},
	"lzcnt":  {roles: "wr", fw: logic},
	"popcnt": {roles: "wr", fw: logic},
	"crc32":  {roles: "mr"},
	"bt":     {roles: "rr", fw: arith, special: true},
	"bts":    {roles: "mr", fw: arith, special: true},
	"btr":    {roles: "mr", fw: arith, special: true},
	"btc":    {roles: "mr", fw: arith, special: true},

	"xchg":       {roles: "mm", special: true},
	"xadd":       {roles: "mm", fw: arith},
	"cmpxchg":    {roles: "mr", reads: setAX, writes: setAX, fw: arith},
	"cmpxchg8b":  {roles: "m", reads: setAX | setBX | setCX | setDX, writes: setAX | setDX, fw: FlagZF},
	"cmpxchg16b": {roles: "m", reads: setAX | setBX | setCX | setDX, writes: setAX | setDX, fw: FlagZF},

	"push":   {roles: "r", reads: setSP, writes: setSP, stack: pushAccess},
	"pop":    {roles: "w", reads: setSP, writes: setSP, stack: popAccess},
	"pushfq": {reads: setSP, writes: setSP, fr: FlagsStatus | FlagDF, stack: pushAccess},
	"popfq":  {reads: setSP, writes: setSP, fw: FlagsStatus | FlagDF, stack: popAccess},
	"leave":  {reads: setBP, writes: setSP | setBP, stack: leaveAccess},
	"call":   {roles: "r", reads: setSP, writes: setSP, branch: BranchCall, stack: pushAccess},
	"ret":    {roles: "r", reads: setSP, writes: setSP, branch: BranchRet, stack: popAccess, special: true},
	"jmp":    {roles: "r", branch: BranchJump},
	"jrcxz":  {reads: setCX, branch: BranchCond},
	"jecxz":  {reads: setCX, branch: BranchCond},
	"loop":   {reads: setCX, writes: setCX, branch: BranchCond},
	"loope":  {reads: setCX, writes: setCX, fr: FlagZF, branch: BranchCond},
	"loopne": {reads: setCX, writes: setCX, fr: FlagZF, branch: BranchCond},

	"nop":         {roles: "aa"},
	"endbr64":     {},
	"pause":       {},
	"prefetcht0":  {roles: "a"},
	"prefetcht1":  {roles: "a"},
	"prefetcht2":  {roles: "a"},
	"prefetchnta": {roles: "a"},
	"prefetchw":   {roles: "a"},
	"lfence":      {fence: true},
	"mfence":      {fence: true},
	"sfence":      {fence: true},

	"int3": {trap: true},
	"ud1":  {roles: "aa", trap: true},
	"ud2":  {trap: true},
	"hlt":  {trap: true},

	"clc":    {fw: FlagCF},
	"stc":    {fw: FlagCF},
	"cmc":    {fr: FlagCF, fw: FlagCF},
	"cld":    {fw: FlagDF},
	"std":    {fw: FlagDF},
	"lahf":   {reads: setAX, writes: setAX, fr: FlagsStatus &^ FlagOF},
	"sahf":   {reads: setAX, fw: FlagsStatus &^ FlagOF},
	"rdtsc":  {writes: setAX | setDX},
	"rdtscp": {writes: setAX | setDX | setCX},
	"cpuid":  {reads: setAX | setCX, writes: setAX | setBX | setCX | setDX},
}

// condFlags are the flags that each pair of conditions reads (Intel SDM vol. 1, table B-1).
var condFlags = [8]Flags{
	CondO / 2:  FlagOF,
	CondB / 2:  FlagCF,
	CondE / 2:  FlagZF,
	CondBE / 2: FlagCF | FlagZF,
	CondS / 2:  FlagSF,
	CondP / 2:  FlagPF,
	CondL / 2:  FlagSF | FlagOF,
	CondLE / 2: FlagZF | FlagSF | FlagOF,
}

// condSuffixes are the mnemonic endings of the conditions, as GNU and LLVM print them.
var condSuffixes = [16]string{
	CondO: "o", CondNO: "no", CondB: "b", CondAE: "ae", CondE: "e", CondNE: "ne",
	CondBE: "be", CondA: "a", CondS: "s", CondNS: "ns", CondP: "p", CondNP: "np",
	CondL: "l", CondGE: "ge", CondLE: "le", CondG: "g",
}

// conds finds the condition and the attributes of jcc, setcc and cmovcc mnemonics.
var conds = func() map[string]Cond {
	m := map[string]Cond{}
	for c, s := range condSuffixes {
		m["j"+s], m["set"+s], m["cmov"+s] = Cond(c), Cond(c), Cond(c)
	}
	return m
}()

// attrOf returns the attributes of a mnemonic: ok is false if they are not known.
func attrOf(op string) (a attr, c Cond, ok bool) {
	if c, ok := conds[op]; ok {
		a := attr{fr: condFlags[c/2]}
		switch op[0] {
		case 'j':
			a.branch = BranchCond
		case 's':
			a.roles = "w"
		default:
			a.roles = "mr"
		}
		return a, c, true
	}
	a, ok = attrs[op]
	return a, CondNone, ok
}

// attributes fills everything in i that follows from mnemonic and operands.
func (i *Inst) attributes(a *attr, known bool) {
	i.Known = known && !i.Rep && !(i.HasMem && i.Mem.Addr32)
	i.Reads, i.Writes = a.reads, a.writes
	i.ReadsFlags, i.WritesFlags = a.fr, a.fw
	i.Branch, i.Stack, i.Trap, i.Fence = a.branch, a.stack, a.trap, a.fence
	i.IsNop = i.Op == "nop"
	if !known {
		i.unknownOperands()
		return
	}
	for n := range int(i.N) {
		role := byte('r')
		if n < len(a.roles) {
			role = a.roles[n]
		}
		i.operand(&i.Operands[n], role)
	}
	if i.HasMem && !i.IsNop && !i.Trap {
		i.Reads = i.Reads.With(i.Mem.Base).With(i.Mem.Index)
	}
	if a.branch == BranchCall || a.branch == BranchJump {
		i.indirect()
	}
	if a.special {
		i.special()
	}
	i.shiftByCL()
	i.zeroIdiom()
}

// unknownOperands treats every operand as read and written.
func (i *Inst) unknownOperands() {
	for n := range int(i.N) {
		i.operand(&i.Operands[n], 'm')
	}
	if i.HasMem {
		i.Reads = i.Reads.With(i.Mem.Base).With(i.Mem.Index)
	}
}

// operand adds what one operand in the given role reads and writes.
func (i *Inst) operand(o *Operand, role byte) {
	read, write := role == 'r' || role == 'm', role == 'w' || role == 'm'
	switch o.Kind {
	case OpReg:
		if read || write && o.Bits < 32 {
			i.Reads = i.Reads.With(o.Reg)
		}
		if write {
			i.Writes = i.Writes.With(o.Reg)
		}
	case OpMem:
		i.Load = i.Load || read
		i.Store = i.Store || write
	case OpOther:
		i.Known = false
	}
}

func (i *Inst) indirect() {
	if i.N == 0 || i.Operands[0].Kind == OpRel {
		return
	}
	if i.Branch == BranchCall {
		i.Branch = BranchCallIndirect
	} else {
		i.Branch = BranchJumpIndirect
	}
}

// special treats the mnemonics whose implicit operands depend on the explicit ones.
func (i *Inst) special() {
	switch i.Op {
	case "imul", "mul", "div", "idiv":
		i.multiply()
	case "xchg":
		i.Lock = i.Lock || i.HasMem
	case "bt", "bts", "btr", "btc":
		// The register form of a bit offset reaches beyond the operand (SDM vol. 2A, 3.1.1.9).
		if i.HasMem && i.Operands[1].Kind == OpReg {
			i.Known = false
		}
	case "ret":
		if v, ok := i.Imm(); ok {
			i.Stack.Delta += int32(v)
		}
	}
}

func (i *Inst) multiply() {
	switch {
	case i.Op == "imul" && i.N == 3:
		i.Reads, i.Load = 0, false
		i.operand(&i.Operands[0], 'w')
		i.operand(&i.Operands[1], 'r')
		if i.HasMem {
			i.Reads = i.Reads.With(i.Mem.Base).With(i.Mem.Index)
		}
	case i.Op == "imul" && i.N == 2:
		i.operand(&i.Operands[0], 'm')
	case i.OpBits == 8: // ax = al * r/m8; al, ah = ax / r/m8
		i.Reads |= setAX
		i.Writes |= setAX
	default:
		i.Reads |= setAX
		i.Writes |= setAX | setDX
		if i.Op == "div" || i.Op == "idiv" || i.OpBits == 16 {
			i.Reads |= setDX
		}
	}
}

func (i *Inst) shiftByCL() {
	switch i.Op {
	case "shl", "sal", "shr", "sar", "rol", "ror", "rcl", "rcr", "shld", "shrd":
		if i.N > 1 && i.Operands[i.N-1].Kind == OpReg {
			i.ReadsFlags |= i.WritesFlags
		}
	}
}

func (i *Inst) zeroIdiom() {
	if i.Op != "xor" && i.Op != "sub" {
		return
	}
	d, s := i.Operands[0], i.Operands[1]
	if d.Kind == OpReg && s.Kind == OpReg && d.Reg == s.Reg && d.Bits >= 32 {
		i.ZeroIdiom = true
		i.Reads = 0
	}
}
