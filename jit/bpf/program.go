// SPDX-License-Identifier: GPL-2.0-only

package bpf

// ProgType is a kernel program type (include/uapi/linux/bpf.h, enum bpf_prog_type).
type ProgType uint32

// The program types that scenarios, object files and captures use.
const (
	SocketFilter  ProgType = 1
	Kprobe        ProgType = 2
	SchedCLS      ProgType = 3
	SchedACT      ProgType = 4
	Tracepoint    ProgType = 5
	XDP           ProgType = 6
	CGroupSKB     ProgType = 8
	LWTIn         ProgType = 10
	LWTOut        ProgType = 11
	LWTXmit       ProgType = 12
	RawTracepoint ProgType = 17
	Tracing       ProgType = 26
)

// SKB reports whether programs of the type see a struct __sk_buff.
func (t ProgType) SKB() bool {
	switch t {
	case SocketFilter, SchedCLS, SchedACT, CGroupSKB, LWTIn, LWTOut, LWTXmit:
		return true
	}
	return false
}

// LinkLayer reports whether programs of a type that sees a struct __sk_buff get the packet with its
// Ethernet header (is_l2 in bpf_prog_test_run_skb, net/bpf/test_run.c).
func (t ProgType) LinkLayer() bool { return t == SchedCLS || t == SchedACT }

// MapType is a kernel map type (include/uapi/linux/bpf.h, enum bpf_map_type).
type MapType uint32

// The map types that the emulator knows.
const (
	HashMap          MapType = 1
	ArrayMap         MapType = 2
	ProgArray        MapType = 3
	PerfEventArray   MapType = 4
	PerCPUHashMap    MapType = 5
	PerCPUArrayMap   MapType = 6
	LRUHashMap       MapType = 9
	LRUPerCPUHashMap MapType = 10
	LPMTrie          MapType = 11
	ArrayOfMaps      MapType = 12
	HashOfMaps       MapType = 13
	DevMap           MapType = 14
	CPUMap           MapType = 16
	XSKMap           MapType = 17
	DevMapHash       MapType = 25
	RingBuf          MapType = 27
	ArenaMap         MapType = 33
)

// Hash reports whether a map has keys of any kind and keeps what programs store, as a hash does.
func (t MapType) Hash() bool {
	return t == HashMap || t == PerCPUHashMap || t == LRUHashMap || t == LRUPerCPUHashMap
}

// Opaque reports whether programs only hand a map to helpers and never see what it holds.
func (t MapType) Opaque() bool {
	switch t {
	case PerfEventArray, RingBuf, DevMap, DevMapHash, CPUMap, XSKMap:
		return true
	}
	return false
}

// Map describes a map that programs refer to by its index. Sizes are in bytes.
type Map struct {
	Name       string
	Type       MapType
	KeySize    uint32
	ValueSize  uint32
	MaxEntries uint32
	// Frozen is the value of an array of one entry that nobody changes, programs and user space
	// included, so that the verifier knows what loads from it give; "" if it may change.
	Frozen string
	// Inner is one more than the index of a map such as those in a map of maps, 0 for other maps.
	Inner int
}

// Program is one program after the verifier: its functions concatenated, the entry first, dead
// code removed, divisions guarded; or one as users write it, which Rewrite turns into the former.
// Calls to subprograms hold the distance to the callee from the next slot in Imm. Analyse turns
// Programs into what the JIT proper needs.
//
// A Program is pure data: neither Analyse nor Compile changes it.
type Program struct {
	Name  string
	Type  ProgType
	Insns []Insn
	Funcs []Func // in order of Start; Funcs[0] is the entry and starts at 0
	Maps  []Map  // shared by all programs of a scenario; ld_imm64 with PseudoMap refers to it

	// Submitted is what the verifier was given and made this program of, nil if that is unknown or
	// if it is this program. Its walk over the calls saw tail calls that it removed later.
	Submitted *Program
	// HelperNames are the kernel functions that helper calls reach, by Imm of the call, where Imm
	// is no helper number: in what bpf_prog_info reports it is a distance. nil otherwise.
	HelperNames map[int32]string
	// Kfuncs are the kernel functions that calls with PseudoKfunc name by index, as long as Imm of
	// such a call is an index and not in HelperNames.
	Kfuncs []string
}

// Func is where one function of a Program begins.
type Func struct {
	Name  string
	Start InsnIndex
	// Origin is where the function begins in Program.Submitted: -1 if the verifier added it. It
	// means nothing without Submitted.
	Origin InsnIndex
	// ExceptionCB marks the function that bpf_throw calls with the cookie (the program's exception
	// callback); at most one function has it, and nothing calls that.
	ExceptionCB bool
	// Global says that the function is verified on its own (BTF linkage global): its callers know nothing
	// of what it returns, and a program can replace it. The zero value is a static function, which is
	// followed from every call.
	Global bool
	// Params are the parameters of a global function, by which it is verified and called.
	Params []Param
}

// Param is a parameter of a global function, as its BTF has it (btf_prepare_func_args).
type Param struct {
	Kind ParamKind
	// Size of the memory in bytes, ParamMemory only.
	Size int32
	// Nullable says that the memory may be missing.
	Nullable bool
}

// ParamKind says what a parameter is.
type ParamKind uint8

// The kinds.
const (
	ParamNumber  ParamKind = iota
	ParamContext           // the program's context
	ParamMemory            // an address of memory that the function reads and writes
	ParamPointer           // any other address
)
