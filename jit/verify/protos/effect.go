// SPDX-License-Identifier: GPL-2.0-only

package protos

import "github.com/tcsim/tcsim/jit/bpf"

// MovingPacket are the helpers that may move the packet (bpf_helper_changes_pkt_data in net/core/filter.c).
var MovingPacket = map[int32]bool{
	9: true, 10: true, 11: true, 13: true, 18: true, 19: true, 31: true, 38: true, 39: true, 43: true, 44: true, 50: true, 54: true, 62: true, 65: true,
	73: true, 74: true, 75: true, 76: true, 90: true, 91: true,
}

// Acquiring are the helpers whose result is to be given back (is_acquire_function), Casting those whose result belongs to
// the reference of their argument (is_ptr_cast_function).
var (
	Acquiring = map[int32]bool{84: true, 85: true, 99: true, 131: true, 194: true}
	Casting   = map[int32]bool{95: true, 96: true, 136: true, 137: true, 138: true, 139: true, 140: true, 178: true, 196: true}
)

// ReadsPacket reports whether programs of a type hand addresses in the packet to helpers (may_access_direct_pkt_data).
func ReadsPacket(t bpf.ProgType) bool {
	switch t {
	case bpf.LWTIn, bpf.LWTOut, bpf.LWTSeg6Local, bpf.SkReuseport, bpf.FlowDissector, bpf.CGroupSKB, bpf.Extension:
		return true
	}
	return WritesPacket(t)
}

// WritesPacket reports whether programs of a type store into the packet.
func WritesPacket(t bpf.ProgType) bool {
	switch t {
	case bpf.SchedCLS, bpf.SchedACT, bpf.XDP, bpf.LWTXmit, bpf.SkSKB, bpf.SkMsg, bpf.CGroupSockopt, bpf.Extension:
		return true
	}
	return false
}

// Releasing are the helpers that give back their argument (OBJ_RELEASE).
var Releasing = map[int32]bool{86: true, 132: true, 133: true, 194: true, 199: true, 200: true}

// Bounded are helpers whose result is an error or at most the size that they are handed, and the argument that is the
// size (do_refine_retval_range).
var Bounded = map[int32]int{45: 2, 67: 3, 114: 2, 115: 2, 141: 3}
