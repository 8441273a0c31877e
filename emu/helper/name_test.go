// SPDX-License-Identifier: GPL-2.0-only

package helper_test

import (
	"testing"

	"github.com/tcsim/tcsim/emu/helper"
)

// A helper has several functions in a kernel, for types of programs and of maps; a function that is like none is not modelled.
func TestByName(t *testing.T) {
	for name, want := range map[string]string{
		"queue_stack_map_push_elem": "bpf_map_push_elem", "stack_map_pop_elem": "bpf_map_pop_elem", "queue_map_peek_elem": "bpf_map_peek_elem",
		"bpf_xdp_fib_lookup": "bpf_fib_lookup", "bpf_get_func_ip_kprobe": "bpf_get_func_ip", "bpf_get_socket_ptr_cookie": "bpf_get_socket_cookie",
		"array_map_lookup_elem": "bpf_map_lookup_elem",
	} {
		h, base := helper.ByName(name), helper.ByName(want)
		if h == nil || base == nil || h.Count(name, 1).World != base.Count(name, 1).World {
			t.Errorf("%s is not %s", name, want)
		}
	}
	for _, name := range []string{"sock_map_lookup_elem", "bpf_skb_adjust_room", "kfree", ""} {
		if helper.ByName(name) != nil {
			t.Errorf("%q is modelled", name)
		}
	}
}
