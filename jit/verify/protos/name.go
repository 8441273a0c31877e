// SPDX-License-Identifier: GPL-2.0-only

package protos

import (
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
)

// helperAliases are the kernel functions of helpers that are not called bpf_ and the helper's name.
var helperAliases = map[string]int32{
	"bpf_user_rnd_u32": 7, "bpf_get_raw_cpu_id": 8, "bpf_get_raw_smp_processor_id": 8,
	"bpf_skb_event_output": 25, "bpf_xdp_event_output": 25, "bpf_perf_event_output_tp": 25,
	"bpf_for_each_array_elem": 164, "bpf_for_each_hash_elem": 164, "bpf_event_output_data": 25, "bpf_perf_event_output_raw_tp": 25,
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
	m := make(map[string]int32, len(Helpers))
	for n, h := range Helpers {
		m["bpf_"+h.Name] = n
	}
	return m
}()

// HelperName returns the name of a helper by its number, "" if it is not known.
func HelperName(n int32) string {
	if h, ok := Helpers[n]; ok {
		return "bpf_" + h.Name
	}
	return ""
}

// HelperByName returns the number of the helper that a kernel function is; ok is false for any other.
func HelperByName(name string) (n int32, ok bool) {
	if n, ok = helperByName[name]; !ok {
		n, ok = helperAliases[name]
	}
	return n, ok
}

// FindHelper finds the helper that a call with this immediate reaches.
func FindHelper(p *bpf.Program, imm int32) (n int32, spec Helper, ok bool) {
	if p.HelperNames == nil || imm == bpf.HelperTailCall {
		spec, ok = Helpers[imm]
		return imm, spec, ok
	}
	name := p.HelperNames[imm]
	if n, ok = helperByName[name]; ok {
		return n, Helpers[n], true
	}
	if n, ok = helperAliases[name]; ok {
		return n, Helpers[n], true
	}
	for _, op := range mapOps {
		if strings.HasSuffix(name, op.ending) {
			return op.number, Helpers[op.number], true
		}
	}
	if strings.HasPrefix(name, "bpf_skb_load_helper_") {
		return 0, Helper{Name: strings.TrimPrefix(name, "bpf_"), Args: "...."}, true
	}
	return 0, Helper{}, false
}
