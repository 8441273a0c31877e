// SPDX-License-Identifier: GPL-2.0-only

package jit

// ProgType is a kernel program type (include/uapi/linux/bpf.h, enum bpf_prog_type).
type ProgType uint32

// The program types that scenarios and captures use.
const (
	SocketFilter ProgType = 1
	Kprobe       ProgType = 2
	SchedCLS     ProgType = 3
	XDP          ProgType = 6
	Tracing      ProgType = 26
)

// MapType is a kernel map type (include/uapi/linux/bpf.h, enum bpf_map_type).
type MapType uint32

// The map types that the emulator knows.
const (
	HashMap        MapType = 1
	ArrayMap       MapType = 2
	ProgArray      MapType = 3
	PerCPUArrayMap MapType = 6
	ArenaMap       MapType = 33
)

// Map describes a map that programs refer to by its index. Sizes are in bytes.
type Map struct {
	Name       string
	Type       MapType
	KeySize    uint32
	ValueSize  uint32
	MaxEntries uint32
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
}
