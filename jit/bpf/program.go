// SPDX-License-Identifier: GPL-2.0-only

package bpf

import (
	"slices"
	"strconv"
)

// ProgType is a kernel program type (include/uapi/linux/bpf.h, enum bpf_prog_type).
type ProgType uint32

// The program types, as Linux 7.3 has them.
const (
	SocketFilter          ProgType = 1
	Kprobe                ProgType = 2
	SchedCLS              ProgType = 3
	SchedACT              ProgType = 4
	Tracepoint            ProgType = 5
	XDP                   ProgType = 6
	PerfEvent             ProgType = 7
	CGroupSKB             ProgType = 8
	CGroupSock            ProgType = 9
	LWTIn                 ProgType = 10
	LWTOut                ProgType = 11
	LWTXmit               ProgType = 12
	SockOps               ProgType = 13
	SkSKB                 ProgType = 14
	CGroupDevice          ProgType = 15
	SkMsg                 ProgType = 16
	RawTracepoint         ProgType = 17
	CGroupSockAddr        ProgType = 18
	LWTSeg6Local          ProgType = 19
	LircMode2             ProgType = 20
	SkReuseport           ProgType = 21
	FlowDissector         ProgType = 22
	CGroupSysctl          ProgType = 23
	RawTracepointWritable ProgType = 24
	CGroupSockopt         ProgType = 25
	Tracing               ProgType = 26
	StructOps             ProgType = 27
	Extension             ProgType = 28
	LSM                   ProgType = 29
	SkLookup              ProgType = 30
	Syscall               ProgType = 31
	Netfilter             ProgType = 32
)

// progTypes are the names of the types in scenario files, on command lines and in messages.
var progTypes = map[ProgType]string{
	SocketFilter: "socket", Kprobe: "kprobe", SchedCLS: "tc", SchedACT: "action", Tracepoint: "tracepoint", XDP: "xdp",
	PerfEvent: "perf_event", CGroupSKB: "cgroup_skb", CGroupSock: "cgroup_sock", LWTIn: "lwt_in", LWTOut: "lwt_out",
	LWTXmit: "lwt_xmit", SockOps: "sockops", SkSKB: "sk_skb", CGroupDevice: "cgroup_dev", SkMsg: "sk_msg",
	RawTracepoint: "raw_tracepoint", CGroupSockAddr: "cgroup_sock_addr", LWTSeg6Local: "lwt_seg6local",
	LircMode2: "lirc_mode2", SkReuseport: "sk_reuseport", FlowDissector: "flow_dissector", CGroupSysctl: "cgroup_sysctl",
	RawTracepointWritable: "raw_tracepoint_writable", CGroupSockopt: "cgroup_sockopt", Tracing: "tracing",
	StructOps: "struct_ops", Extension: "extension", LSM: "lsm", SkLookup: "sk_lookup", Syscall: "syscall",
	Netfilter: "netfilter",
}

// String returns the name of the type, or its number if it is unknown.
func (t ProgType) String() string {
	if name, ok := progTypes[t]; ok {
		return name
	}
	return strconv.Itoa(int(t))
}

// ProgTypeByName finds a type by its name; ok is false if there is none.
func ProgTypeByName(name string) (t ProgType, ok bool) {
	for t, n := range progTypes {
		if n == name {
			return t, true
		}
	}
	return 0, false
}

// ProgTypeNames returns the names of all types in the order of their numbers.
func ProgTypeNames() []string {
	var names []string
	for t := SocketFilter; t <= Netfilter; t++ {
		names = append(names, progTypes[t])
	}
	return names
}

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
	SockMap          MapType = 15
	CPUMap           MapType = 16
	XSKMap           MapType = 17
	SockHash         MapType = 18
	QueueMap         MapType = 22
	StackMap         MapType = 23
	DevMapHash       MapType = 25
	RingBuf          MapType = 27
	UserRingBuf      MapType = 31
	ArenaMap         MapType = 33
)

// Hash reports whether a map has keys of any kind and keeps what programs store, as a hash does.
func (t MapType) Hash() bool {
	return t == HashMap || t == PerCPUHashMap || t == LRUHashMap || t == LRUPerCPUHashMap
}

// Opaque reports whether what a map holds is outside of what programs see of it here: they hand it to
// helpers. Maps of sockets, cgroups, stack traces and of the like are so.
func (t MapType) Opaque() bool {
	switch t {
	case HashMap, ArrayMap, ProgArray, PerCPUHashMap, PerCPUArrayMap, LRUHashMap, LRUPerCPUHashMap, LPMTrie,
		ArrayOfMaps, HashOfMaps, ArenaMap:
		return false
	}
	return true
}

// Map describes a map that programs refer to by its index. Sizes are in bytes.
type Map struct {
	Name       string
	Type       MapType
	KeySize    uint32
	ValueSize  uint32
	MaxEntries uint32
	// Frozen is the value of an array of one entry that nothing changes, programs and user space
	// included, so that the verifier knows what loads from it give; "" if it may change.
	Frozen string
	// Inner is one more than the index of a map such as those in a map of maps, 0 for other maps.
	Inner int
	// NoRead and NoWrite say that programs may not load from values, or store into them (BPF_F_WRONLY_PROG,
	// BPF_F_RDONLY_PROG).
	NoRead, NoWrite bool
	// Varies says of an array in a map of maps that others there may have another number of entries (BPF_F_INNER_MAP).
	Varies bool
	// Special are the parts of a value that only helpers touch, nil if they are not known.
	Special *Special
	// BTF holds the types of keys and values for a kernel that is asked to make the map, as raw type information; KeyType
	// and ValueType are their ids. "" if they are not known.
	BTF                string
	KeyType, ValueType uint32
}

// Untyped returns the map without BTF: what captures keep of it.
func (m Map) Untyped() Map {
	m.BTF, m.KeyType, m.ValueType, m.Special, m.NoRead, m.NoWrite, m.Varies = "", 0, 0, nil, false, false, false
	return m
}

// Special are the parts of the values of a map that only helpers touch (struct btf_record).
type Special struct{ Fields []SpecialField }

// SpecialField is one of them: Size bytes at Off.
type SpecialField struct {
	Kind SpecialKind
	Off  int64
	Size int64
	Type string // of a pointer: the structure that it leads to
	To   int64  // of SpecialUser: how many bytes that has
	// Own is the type id of a structure of the program's own that a pointer leads to, or that a list or a tree is made of; 0
	// means none. Node is where in that the node is.
	Own  int32
	Node int64
	// PerCPU says of a pointer that every processor has an object of its own.
	PerCPU bool
}

// SpecialKind says what a part of a value is.
type SpecialKind uint8

// The kinds.
const (
	SpecialLock    SpecialKind = iota + 1
	SpecialResLock             // one that may fail
	SpecialTimer
	SpecialWork
	SpecialListHead
	SpecialTreeRoot
	SpecialOther     // what else is the kernel's
	SpecialPointer   // of an object, with a reference
	SpecialUntrusted // of an object, without
	SpecialUser      // of memory of user space
	SpecialListNode
	SpecialTreeNode
	SpecialRefCount
)

// Find returns where the part of a kind is; ok is false if there is none.
func (s *Special) Find(k SpecialKind) (off int64, ok bool) {
	for _, f := range s.Fields {
		if f.Kind == k {
			return f.Off, true
		}
	}
	return 0, false
}

// At returns the first part that size bytes at off touch, nil if there is none.
func (s *Special) At(off, size int64) *SpecialField {
	for i := range s.Fields {
		if f := &s.Fields[i]; off < f.Off+f.Size && f.Off < off+size {
			return f
		}
	}
	return nil
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
	// Symbols are the symbols of the kernel that 16-byte loads with PseudoSymbol name by index.
	Symbols []KernelSymbol
	// Signatures are what BTF says of kernel functions, by name. One without an entry may be given
	// anything and returns a number.
	Signatures map[string]Signature

	// What prog arrays tell programs apart by, besides the type; see Owners in package scenarios.
	AttachType uint32 // enum bpf_attach_type the loader expects
	AttachTo   string // the function or type that a tracing program is attached to
	Sleepable  bool
	// Hook is what BTF says of the function that a program is attached to, nil if it is not known.
	Hook *Signature
	// Objects is what BTF says of the kernel's structures, nil if it is not known.
	Objects Objects
	// Owned is what the program's own BTF says, nil if there is none.
	Owned Owned
	Frags bool // knows XDP packets of several fragments
	// NotGPL says that the license lets the program call nothing that is for programs under the GPL.
	NotGPL bool

	// Source are the source lines of the instructions, in order of Insn; nil if they are not known.
	Source []SourceLine
}

// MapsUsed returns the maps that instructions of the program refer to, sorted.
func (p *Program) MapsUsed() []int {
	var out []int
	for i := InsnIndex(0); int(i) < len(p.Insns); i += p.Insns[i].Width() {
		in := p.Insns[i]
		if in.IsLdImm64() && (in.Src == PseudoMap || in.Src == PseudoMapValue) && in.Imm >= 0 && !slices.Contains(out, int(in.Imm)) {
			out = append(out, int(in.Imm))
		}
	}
	slices.Sort(out)
	return out
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
	// Params are the parameters of a global function, by which it is verified and called, and of a program that
	// replaces one.
	Params []Param
	// Void says that a function returns nothing, by its BTF; a program may where its hook asks for nothing (struct_ops
	// and LSM).
	Void bool
	// Address says that a function returns neither a number nor nothing, by its BTF.
	Address bool
	// Stack is how many bytes of stack the verifier counts at least; 0 is what its instructions use.
	Stack int32
}

// Signature is what BTF says of a kernel function.
type Signature struct {
	Params []Param
	// Pointer says that it returns an address or null, Void that it returns nothing; else a number.
	Pointer, Void bool
	// Type is the structure that a Pointer leads to, "" if it leads to none or that is unknown.
	Type string
	// Untyped says that a Pointer is void *.
	Untyped bool
	// Size is how many bytes of memory a Pointer leads to that is no structure, 0 if it is one or unknown.
	Size int32
}

// KernelSymbol is a variable or function of the kernel whose address a program has.
type KernelSymbol struct {
	Name string
	Kind SymbolKind
	// Type is the structure that is there, of SymbolObject; Size is that of what is there in bytes, 0 if it is not known.
	Type string
	Size int32
	// PerCPU says that every processor has one of its own.
	PerCPU bool
}

// SymbolKind says what is there.
type SymbolKind uint8

// The kinds.
const (
	SymbolAddress SymbolKind = iota // nothing is known of it
	SymbolObject
	SymbolMemory
)

// Param is a parameter of a global function, as its BTF has it (btf_prepare_func_args).
type Param struct {
	Kind ParamKind
	// Size of the memory in bytes, ParamMemory only.
	Size int32
	// Nullable says that the memory may be missing.
	Nullable bool
	// Name is the name of a kernel function's parameter, whose ending says more of it; Type is the structure that it
	// leads to, Opaque that this holds more than numbers.
	Name, Type string
	Opaque     bool
	// Mixed says that a tag of the parameter stands with others and does not go with any.
	Mixed bool
}

// ParamKind says what a parameter is.
type ParamKind uint8

// The kinds.
const (
	ParamNumber    ParamKind = iota
	ParamContext             // the program's context
	ParamMemory              // an address of memory that the function reads and writes
	ParamPointer             // any other address
	ParamDynptr              // a dynptr
	ParamUntrusted           // any address or number, through which the function loads guarded against faults
)

// FrozenAt is what a load of size bytes at an offset of the map's value gives, sign extended or not; ok is false if it may change
// or lies outside.
func (m *Map) FrozenAt(at int64, size int, signed bool) (v uint64, ok bool) {
	if at < 0 || at+int64(size) > int64(len(m.Frozen)) {
		return 0, false
	}
	for i := size - 1; i >= 0; i-- {
		v = v<<8 | uint64(m.Frozen[at+int64(i)])
	}
	if shift := 64 - 8*uint(size); signed {
		v = uint64(int64(v<<shift) >> shift)
	}
	return v, true
}
