// SPDX-License-Identifier: GPL-2.0-only

package protos

import (
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
)

// Helpers that take maps of some types only, and types of maps that are for some helpers only
// (check_map_func_compatibility, kernel/bpf/verifier.c). What user space alone does is not in it.
var (
	byMap = map[bpf.MapType][]int32{
		bpf.ProgArray: {12}, bpf.PerfEventArray: {22, 25, 111, 55, 121}, bpf.RingBuf: {130, 131, 134, 198, 199, 200},
		userRingBuf: {209}, stackTrace: {27}, cgroupArray: {33, 37}, cgroupStorage: {81}, perCPUCGroupStorage: {81},
		bpf.DevMap: {51, 1}, bpf.DevMapHash: {51, 1}, bpf.CPUMap: {51}, bpf.XSKMap: {51, 1},
		bpf.ArrayOfMaps: {1}, bpf.HashOfMaps: {1}, bpf.SockMap: {52, 53, 60, 82, 1}, bpf.SockHash: {72, 70, 71, 82, 1},
		reuseportArray: {82}, bpf.QueueMap: {87, 88, 89}, bpf.StackMap: {87, 88, 89}, bloomFilter: {87, 89},
		skStorage: {107, 108, 194}, inodeStorage: {145, 146, 194}, taskStorage: {156, 157, 194}, cgroupLocal: {210, 211, 194},
	}
	byHelper = map[int32][]bpf.MapType{
		12: {bpf.ProgArray}, 22: {bpf.PerfEventArray}, 25: {bpf.PerfEventArray}, 55: {bpf.PerfEventArray}, 111: {bpf.PerfEventArray}, 121: {bpf.PerfEventArray},
		130: {bpf.RingBuf}, 131: {bpf.RingBuf}, 134: {bpf.RingBuf}, 198: {bpf.RingBuf}, 209: {userRingBuf}, 27: {stackTrace},
		33: {cgroupArray}, 37: {cgroupArray}, 51: {bpf.DevMap, bpf.DevMapHash, bpf.CPUMap, bpf.XSKMap},
		52: {bpf.SockMap}, 53: {bpf.SockMap}, 60: {bpf.SockMap}, 70: {bpf.SockHash}, 71: {bpf.SockHash}, 72: {bpf.SockHash},
		81: {cgroupStorage, perCPUCGroupStorage}, 82: {reuseportArray, bpf.SockMap, bpf.SockHash},
		87: {bpf.QueueMap, bpf.StackMap, bloomFilter}, 88: {bpf.QueueMap, bpf.StackMap}, 89: {bpf.QueueMap, bpf.StackMap, bloomFilter},
		195: {bpf.PerCPUArrayMap, bpf.PerCPUHashMap, bpf.LRUPerCPUHashMap},
		107: {skStorage}, 108: {skStorage}, 145: {inodeStorage}, 146: {inodeStorage}, 156: {taskStorage}, 157: {taskStorage},
		210: {cgroupLocal}, 211: {cgroupLocal},
	}
)

// Map types that nothing else in this program tells apart (enum bpf_map_type).
const (
	stackTrace, cgroupArray, cgroupStorage, reuseportArray, perCPUCGroupStorage = 7, 8, 19, 20, 21
	skStorage, inodeStorage, taskStorage, bloomFilter                           = 24, 28, 29, 30
	userRingBuf, cgroupLocal                                                    = 31, 32
)

// Together reports whether a helper takes a map of a type, in a program of a type.
func Together(helper int32, m bpf.MapType, p bpf.ProgType, attach uint32, v *kernels.Verifier) bool {
	if helpers, some := byMap[m]; some && !slices.Contains(helpers, helper) && !updatesSockets(helper, m, p, attach, v) {
		return false
	}
	types, some := byHelper[helper]
	return !some || slices.Contains(types, m)
}

// updatesSockets is may_update_sockmap.
func updatesSockets(helper int32, m bpf.MapType, p bpf.ProgType, attach uint32, v *kernels.Verifier) bool {
	if m != bpf.SockMap && m != bpf.SockHash || helper != 2 && helper != 3 {
		return false
	}
	switch p {
	case bpf.Tracing:
		return attach == AttachIter
	case bpf.SockOps:
		return helper == 3
	case bpf.SkReuseport, bpf.SkLookup, bpf.Extension:
		return true
	case bpf.SocketFilter, bpf.SchedCLS, bpf.SchedACT, bpf.XDP, bpf.FlowDissector:
		return !v.OwnersUpdateSockets
	}
	return false
}

// Special are the structures that only helpers touch (btf_get_field_type, kernel/bpf/btf.c).
var Special = map[string]bpf.SpecialKind{
	"bpf_spin_lock": bpf.SpecialLock, "bpf_res_spin_lock": bpf.SpecialResLock, "bpf_timer": bpf.SpecialTimer, "bpf_wq": bpf.SpecialWork,
	"bpf_list_head": bpf.SpecialListHead, "bpf_rb_root": bpf.SpecialTreeRoot, "bpf_list_node": bpf.SpecialListNode,
	"bpf_rb_node": bpf.SpecialTreeNode, "bpf_refcount": bpf.SpecialRefCount, "bpf_task_work": bpf.SpecialOther,
}

// MapStructs are the kernel's structures of maps whose fields programs may read (map_btf_id of their bpf_map_ops).
var MapStructs = map[bpf.MapType]string{
	bpf.ArrayMap: "bpf_array", bpf.PerCPUArrayMap: "bpf_array", bpf.ProgArray: "bpf_array", bpf.PerfEventArray: "bpf_array",
	cgroupArray: "bpf_array", bpf.ArrayOfMaps: "bpf_array", bpf.HashMap: "bpf_htab", bpf.PerCPUHashMap: "bpf_htab",
	bpf.LRUHashMap: "bpf_htab", bpf.LRUPerCPUHashMap: "bpf_htab", bpf.HashOfMaps: "bpf_htab", bpf.LPMTrie: "lpm_trie",
	stackTrace: "bpf_stack_map", bpf.QueueMap: "bpf_queue_stack", bpf.StackMap: "bpf_queue_stack", bpf.DevMap: "bpf_dtab", bpf.DevMapHash: "bpf_dtab",
	bpf.CPUMap: "bpf_cpu_map", bpf.SockMap: "bpf_stab", bpf.SockHash: "bpf_shtab", bpf.RingBuf: "bpf_ringbuf_map", userRingBuf: "bpf_ringbuf_map",
}
