// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"math/big"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
)

// File is one capture: what one kernel did with a set of programs.
type File struct {
	Name      string // as opened
	Header    Header
	Scenarios []Scenario
	Symbols   Symbols
}

// Header describes the kernel, see "Header line" in fixtures/kernels/README.md.
type Header struct {
	Format        int
	Set, Variant  string
	Kernel        kernels.KernelInfo
	CPUs          int
	Sysctl        map[string]string
	CallBase      image.Addr // address of __bpf_call_base
	Scenarios     int        // number of scenario lines
	DefaultInputs []uint64
	RunData       []byte
	// Offsets are those of the kernel's own type information; nil if the capture has none (format 1).
	Offsets *kernels.Offsets
	// Context is where the kernel's own type information has the fields of contexts; nil if the capture
	// has none (formats 1 and 2).
	Context *kernels.ContextLayout
}

// Symbols are the addresses of kernel symbols. For per-CPU variables it is the displacement from
// the gs base.
type Symbols struct {
	Addr    map[string]image.Addr
	Aliases map[string][]string // other names of the same address
}

// State is a state of a scenario's programs.
type State uint8

// The states in the order in which a capture goes through them.
const (
	Empty     State = iota // all programs loaded, prog arrays empty
	Populated              // prog arrays as in Scenario.ProgArrays
	Traced                 // all tracing programs attached
	Deleted                // all prog array entries deleted again
	Replaced               // then all programs attached that replace a function (format 3)
	NumStates
)

// States returns all states in order.
func States() []State {
	var all []State
	for s := Empty; s < NumStates; s++ {
		all = append(all, s)
	}
	return all
}

var stateNames = [NumStates]string{
	Empty: "empty", Populated: "populated", Traced: "traced", Deleted: "deleted", Replaced: "replaced",
}

// String returns the state's name in the format.
func (s State) String() string {
	if s < NumStates {
		return stateNames[s]
	}
	return "unknown state"
}

// Scenario is one or more programs with their maps.
type Scenario struct {
	Line        int // in the file
	Name        string
	Category    string
	ProgType    bpf.ProgType
	Maps        []Map
	Progs       []Prog
	ProgArrays  []Slot  // contents in state Populated
	Inputs      []Input // input slots that differ from Header.DefaultInputs
	Run         *Run    // the test run in state Populated
	RunTraced   *Run    // the same with all tracing programs attached; nil without any
	Trampolines []Trampoline
	Error       string
	// Source is the scenario file that the programs were made of, and then there is no io map; ""
	// otherwise (format 2).
	Source string
	// Object is the object file that the programs were made of, as Source is (format 3).
	Object []byte
	// Found says that the programs were loaded by others and captured as they were: state Empty is then
	// that with ProgArrays filled, and there is no other.
	Found  bool
	Played []Played // what the kernel itself made of Source or Object; nil if it did not run them
}

// HasSource reports whether the scenario holds what its programs were made of, so that it can be played.
func (s *Scenario) HasSource() bool { return s.Source != "" || s.Object != nil }

// Played is one run of a scenario's source in the kernel, or one update that the kernel refused.
type Played struct {
	Action int    // index into scenarios.Built.Actions
	Error  string // errno of BPF_PROG_TEST_RUN, or of the update (format 3)
	Retval uint32
	Values []MapValue // contents of the maps afterwards, as far as they are not zero
}

// Errno is an error number by its name, such as "EBUSY": what a kernel says that refuses something.
type Errno string

// Error returns the name.
func (e Errno) Error() string { return string(e) }

// MapValue is one element of a map.
type MapValue struct {
	Map        int // index into Scenario.Maps
	Key, Value []byte
}

// Map is a map and where the kernel had it. Addresses that no image contains are 0.
type Map struct {
	bpf.Map
	Addr      image.Addr // struct bpf_map
	ValueAddr image.Addr // first value
}

// Slot is one entry of a prog array.
type Slot struct {
	Map  int // index into Scenario.Maps
	Key  uint32
	Prog int // index into Scenario.Progs
}

// Input is the initial value of one input slot of the io map.
type Input struct {
	N     int
	Value uint64
}

// Run is a test run of the kernel's own.
type Run struct {
	Prog    int
	Skipped string // why it was not run
	Error   string // errno of BPF_PROG_TEST_RUN
	Retval  uint32
	Out     []uint64 // output slots up to the last that is not zero
}

// Prog is one program of a scenario. Most of it is absent if the kernel refused the program.
type Prog struct {
	Name      string
	LoadError string // errno and verifier log; empty if accepted
	Tag       string
	// Insns are the instructions as submitted, with map indexes in ld_imm64. They are unknown of a
	// program that others loaded: then there are none, and slots of Insns are slots of Xlated.
	Insns     []bpf.Insn
	Xlated    []bpf.Insn // as reported back, see Scenario.Xlated
	Funcs     []Func     // compiled functions, the entry first
	Removed   []RemovedFunc
	InsnMap   []InsnPos
	TailCalls []TailCall
	MapsAt    []MapAt
	Refs      [NumStates][]Ref // states other than Empty: only what Empty does not have
	Undecoded []FuncOff
	Attach    *Attach // programs that trace or replace a function
	// Type is the program's own type where it is not Scenario.ProgType and Attach does not say it; 0 if it is
	// (format 3).
	Type bpf.ProgType
	// AttachType is the expected attach type that it was loaded with, Sleepable and Frags are flags of the load (format
	// 3). What traces or replaces functions of other programs has it from Attach.
	AttachType       uint32
	AttachTo         string // what of the kernel it was loaded for, as bpf.Program has it (format 3)
	Sleepable, Frags bool
	Kfuncs           []string // kernel functions that calls with src_reg 2 name by index
}

// Func is a compiled function.
type Func struct {
	Name  string
	Start bpf.InsnIndex // first slot in Prog.Insns; -1 if the verifier added the function
	Addr  image.Addr
	Len   int // in bytes
	// ExceptionCB marks the exception callback of a program in submitted form. Files do not have it: of
	// compiled programs it follows from the code.
	ExceptionCB bool
	image       [NumStates][]byte
}

// Code returns the function's machine code in a state. The caller must not change it.
func (f *Func) Code(s State) []byte {
	if c := f.image[s]; c != nil {
		return c
	}
	return f.image[Empty]
}

// Recorded reports whether the capture has separate code for the state, which is the case for
// Empty and where the code differs from Empty.
func (f *Func) Recorded(s State) bool { return f.image[s] != nil }

// RemovedFunc is a function that only dead code called.
type RemovedFunc struct {
	Name  string
	Start bpf.InsnIndex // in Prog.Insns
}

// InsnPos says where the code of an instruction begins.
type InsnPos struct {
	Insn   bpf.InsnIndex // slot in Prog.Insns
	Xlated bpf.InsnIndex // slot in Prog.Xlated
	Func   int
	Off    image.CodeOff
}

// TailCall is the start of a tail call sequence.
type TailCall struct {
	Func   int
	Off    image.CodeOff
	Direct bool
}

// MapAt is a movabs that loads a map's address.
type MapAt struct {
	Func  int
	Off   image.CodeOff
	Map   int
	Value int64 // -1: the constant is the map's Addr, else ValueAddr plus this many bytes
}

// Ref is an operand that depends on addresses.
type Ref struct {
	Func   int           // 0 in trampolines
	Off    image.CodeOff // of the instruction
	Imm    image.CodeOff // of the operand
	Kind   string        // call, jmp, jcc, gs, gs-rip, rip; movabs in trampolines
	Target image.Addr
	Sym    string
}

// FuncOff is a place in the code of a program.
type FuncOff struct {
	Func int
	Off  image.CodeOff
}

// KindReplace is the kind of programs that replace a function (BPF_PROG_TYPE_EXT, format 3).
const KindReplace = "freplace"

// Attach says what a program traces or replaces.
type Attach struct {
	Kind   string // fentry, fexit, fmod_ret, KindReplace
	Prog   int
	Func   int
	Kernel string // if set, a kernel function instead of Prog and Func
}

// Trampoline is the trampoline of one traced function while the programs of Attached are attached to it.
type Trampoline struct {
	Prog, Func int
	Kernel     string // if set, Prog and Func mean nothing
	// Attached are indexes into Scenario.Progs, in the order in which they were attached. nil stands for all
	// that trace the function, in the order of Scenario.Progs (formats 1 and 2). Trampolines are in the order
	// of time: a later one of the same function took the place of an earlier.
	Attached []int
	Site     Site
	Addr     image.Addr
	Len      int
	Image    []byte
	Refs     []Ref
	Error    string // why there is no image
}

// Site is the patched instruction of a traced function.
type Site struct {
	Off           image.CodeOff
	Before, After []byte
}

// Taken returns how many tail calls succeeded in a run of a scenario of the categories tail and
// hier: the programs count their own entries in the output slots 0 to 7.
func (r *Run) Taken() *big.Int {
	sum := new(big.Int)
	for i, v := range r.Out {
		if i == 8 {
			break
		}
		sum.Add(sum, new(big.Int).SetUint64(v))
	}
	return sum.Sub(sum, big.NewInt(1))
}
