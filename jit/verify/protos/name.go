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
	"bpf_get_socket_cookie_sock": 46, "bpf_get_socket_cookie_sock_addr": 46, "bpf_get_socket_cookie_sock_ops": 46, "bpf_get_socket_ptr_cookie": 46,
	"bpf_sk_setsockopt": 49, "bpf_sock_addr_setsockopt": 49, "bpf_sock_ops_setsockopt": 49, "bpf_unlocked_sk_setsockopt": 49,
	"bpf_skb_fib_lookup": 69, "bpf_xdp_fib_lookup": 69,
	"bpf_get_netns_cookie_sock": 122, "bpf_get_netns_cookie_sock_addr": 122, "bpf_get_netns_cookie_sock_ops": 122,
	"bpf_get_netns_cookie_sk_msg": 122, "bpf_get_netns_cookie_sockopt": 122,
	"bpf_get_func_ip_kprobe": 173, "bpf_get_func_ip_kprobe_multi": 173, "bpf_get_func_ip_uprobe_multi": 173, "bpf_get_func_ip_tracing": 173,
	"bpf_get_attach_cookie_trace": 174, "bpf_get_attach_cookie_pe": 174, "bpf_get_attach_cookie_tracing": 174,
	"bpf_get_attach_cookie_kprobe_multi": 174, "bpf_get_attach_cookie_uprobe_multi": 174,
	"queue_stack_map_push_elem": 87, "queue_map_pop_elem": 88, "stack_map_pop_elem": 88, "queue_map_peek_elem": 89, "stack_map_peek_elem": 89,
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
