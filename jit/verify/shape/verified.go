// SPDX-License-Identifier: GPL-2.0-only

package shape

import "github.com/tcsim/tcsim/jit/bpf"

// Verified is a program with everything the verifier tells the JIT.
type Verified struct {
	Program *bpf.Program
	// Insns are Program.Insns with each tail call turned into OpTailCall, Imm being the index into
	// Pokes plus one (direct) or 0 (indirect), and with the function's index in Imm of each
	// PseudoCall call. Slots are the same.
	Insns []bpf.Insn
	Funcs []FuncInfo
	Pokes []PokeDesc
	// Arena is the index into Program.Maps of the program's arena plus one, 0 without one
	// (bpf_prog_aux.arena).
	Arena int
	// Met says for each slot what the analysis met there on all its paths: kinds of addresses, outcomes of jumps, ends of
	// paths. The bits only say whether two programs were followed alike.
	Met []uint32
}

// Name is the program's name, "program" if it has none.
func (v *Verified) Name() string {
	if v.Program == nil || v.Program.Name == "" {
		return "program"
	}
	return v.Program.Name
}

// Guarded reports whether slot i is a load through an address that may be bad (BPF_PROBE_MEM).
func (v *Verified) Guarded(i bpf.InsnIndex) bool {
	in := v.Insns[i]
	mode := in.Op & bpf.ModeMask
	return in.Class() == bpf.ClassLDX && (mode == bpf.ModeProbeMem || mode == bpf.ModeProbeMemSX)
}

// PokeDesc is a tail call with a constant key (struct bpf_jit_poke_descriptor).
type PokeDesc struct {
	Insn bpf.InsnIndex
	Map  int // index into Program.Maps
	Key  uint32
}

// KernelFunc names the kernel function that a call reaches, "" if the number in the call says where it is
// (image.Env.Helper).
func (v *Verified) KernelFunc(in bpf.Insn) string {
	if p := v.Program; p != nil && in.Src == bpf.PseudoKfunc {
		if _, known := p.HelperNames[in.Imm]; !known {
			return p.Kfunc(in)
		}
	}
	return ""
}

// Stats are figures of a verification, as the kernel's log has them.
type Stats struct {
	Insns      int `json:"insns"`       // instructions followed
	States     int `json:"states"`      // checkpoints
	PeakStates int `json:"peak_states"` // most checkpoints at one time
	Alive      int `json:"-"`           // checkpoints at the end
	// Stack is how many bytes of BPF stack the deepest chain of calls uses, as the kernel counts them.
	Stack int32 `json:"stack"`
}

// guardedMode is the mode of a load that is guarded against faults; bpf_prog_info hides it.
var guardedMode = map[uint8]uint8{bpf.ModeMem: bpf.ModeAbs, bpf.ModeMemSX: bpf.ModeInd}

// arenaMode is the mode of an access to an arena; bpf_prog_info hides it but for atomics.
var arenaMode = map[uint8]uint8{
	bpf.ModeMem: bpf.ModeProbe32, bpf.ModeProbe32: bpf.ModeProbe32, bpf.ModeMemSX: bpf.ModeArenaSX, bpf.ModeAtomic: bpf.ModeProbeAtomic, bpf.ModeProbeAtomic: bpf.ModeProbeAtomic,
}

// Guarded is the opcode of a load that is guarded.
func Guarded(op uint8) uint8 { return op&^bpf.ModeMask | guardedMode[op&bpf.ModeMask] }

// InArena is the opcode of an access to an arena.
func InArena(op uint8) uint8 { return op&^bpf.ModeMask | arenaMode[op&bpf.ModeMask] }
