// SPDX-License-Identifier: GPL-2.0-only

package helper

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/bpf"
)

// queueHelpers are those of queues and stacks.
var queueHelpers = []Helper{
	{name: "bpf_map_push_elem", number: 87, writes: true, fn: push},
	{name: "bpf_map_pop_elem", number: 88, writes: true, fn: pop(true)},
	{name: "bpf_map_peek_elem", number: 89, writes: true, fn: pop(false)},
}

// queue returns the map in argument 1. What a bloom filter says depends on hashes that are not known.
func (c *call) queue() (*guest.Map, error) {
	g, err := c.mapArg()
	if err == nil && g.Type != bpf.QueueMap && g.Type != bpf.StackMap {
		return nil, fmt.Errorf("map %s of type %d: %w", g.Name, g.Type, ErrNotModelled)
	}
	return g, err
}

func push(c *call) (uint64, error) {
	g, err := c.queue()
	if err != nil {
		return 0, err
	}
	v, err := c.bytes(2, g.ValueSize)
	if err != nil {
		return 0, err
	}
	return errnoResult(g.Push(c.e.Mem, v, guest.UpdateFlags(c.arg(3))))
}

// pop zeroes the buffer if there is nothing.
func pop(take bool) func(*call) (uint64, error) {
	return func(c *call) (uint64, error) {
		g, err := c.queue()
		if err != nil {
			return 0, err
		}
		v, err := g.Pop(c.e.Mem, take)
		if errors.Is(err, guest.ENOENT) {
			v = make([]byte, g.ValueSize)
		}
		return errnoResult(errors.Join(c.e.Mem.Write(c.addr(2), v), err))
	}
}

// bareHelpers ask for what a bare machine does not have, and give what a kernel gives without it: one network namespace, one
// cgroup, one loopback device that forwards nothing, a process that is the first one, no probe that is hit, no connected socket,
// no message to cut, no file. In comments the function that says so.
var bareHelpers = []Helper{
	{name: "bpf_skb_under_cgroup", number: 33, world: true, fn: underCgroup(2)},
	{name: "bpf_probe_write_user", number: 36, world: true, fn: failing(guest.EFAULT)}, // copy_to_user_nofault
	{name: "bpf_current_task_under_cgroup", number: 37, world: true, fn: underCgroup(1)},
	{name: "bpf_get_socket_cookie", number: 46, world: true, fn: one},
	{name: "bpf_get_socket_uid", number: 47, world: true, fn: overflowUID},
	{name: "bpf_setsockopt", number: 49, world: true, fn: failing(guest.EINVAL)},          // __bpf_setsockopt: no full socket
	{name: "bpf_sk_redirect_map", number: 52, fn: zero},                                   // SK_DROP: the map is empty
	{name: "bpf_sock_map_update", number: 53, world: true, fn: failing(guest.EOPNOTSUPP)}, // sock_map_sk_is_suitable
	{name: "bpf_sock_ops_cb_flags_set", number: 59, world: true, fn: failing(guest.EINVAL)},
	{name: "bpf_msg_redirect_map", number: 60, fn: zero},
	{name: "bpf_msg_apply_bytes", number: 61, fn: zero},
	{name: "bpf_msg_cork_bytes", number: 62, fn: zero},
	{name: "bpf_msg_pull_data", number: 63, world: true, fn: failing(guest.EINVAL)}, // the message is empty
	{name: "bpf_fib_lookup", number: 69, world: true, fn: fibLookup},
	{name: "bpf_sock_hash_update", number: 70, world: true, fn: failing(guest.EOPNOTSUPP)},
	{name: "bpf_msg_redirect_hash", number: 71, fn: zero},
	{name: "bpf_sk_redirect_hash", number: 72, fn: zero},
	{name: "bpf_skb_cgroup_id", number: 79, world: true, fn: one},
	{name: "bpf_msg_push_data", number: 90, world: true, fn: failing(guest.EINVAL)},
	{name: "bpf_msg_pop_data", number: 91, world: true, fn: failing(guest.EINVAL)},
	{name: "bpf_sk_fullsock", number: 95, world: true, fn: zero},
	{name: "bpf_tcp_sock", number: 96, world: true, fn: zero},
	{name: "bpf_get_listener_sock", number: 98, world: true, fn: zero},
	{name: "bpf_send_signal", number: 109, world: true, fn: failing(guest.EPERM)}, // bpf_send_signal_common: is_global_init
	{name: "bpf_skb_output", number: 111, fn: perfEventOutput},
	{name: "bpf_send_signal_thread", number: 117, world: true, fn: failing(guest.EPERM)},
	{name: "bpf_get_ns_current_pid_tgid", number: 120, world: true, writes: true, fn: namespacePID},
	{name: "bpf_get_netns_cookie", number: 122, world: true, fn: one},
	{name: "bpf_seq_printf", number: 126, fn: zero}, // what is printed has no reader
	{name: "bpf_seq_write", number: 127, fn: zero},
	{name: "bpf_sk_cgroup_id", number: 128, world: true, fn: one},
	{name: "bpf_skc_to_tcp6_sock", number: 136, world: true, fn: zero},
	{name: "bpf_skc_to_tcp_sock", number: 137, world: true, fn: zero},
	{name: "bpf_skc_to_tcp_timewait_sock", number: 138, world: true, fn: zero},
	{name: "bpf_skc_to_tcp_request_sock", number: 139, world: true, fn: zero},
	{name: "bpf_skc_to_udp6_sock", number: 140, world: true, fn: zero},
	{name: "bpf_ima_inode_hash", number: 161, world: true, fn: failing(guest.EOPNOTSUPP)},
	{name: "bpf_get_func_ip", number: 173, world: true, fn: zero}, // bpf_get_func_ip_kprobe: no probe is running
	{name: "bpf_get_attach_cookie", number: 174, world: true, fn: zero},
	{name: "bpf_ima_file_hash", number: 193, world: true, fn: failing(guest.EOPNOTSUPP)},
}

// overflowUID is the owner of a packet without a full socket.
func overflowUID(*call) (uint64, error) { return 65534, nil }

// underCgroup looks for a cgroup in a map of cgroups, which is empty (____bpf_current_task_under_cgroup).
func underCgroup(array int) func(*call) (uint64, error) {
	return func(c *call) (uint64, error) {
		g, err := c.mapAt(array)
		if err != nil {
			return 0, err
		}
		if uint32(c.arg(array+1)) >= g.MaxEntries {
			return guest.E2BIG.Result(), nil
		}
		return guest.EAGAIN.Result(), nil
	}
}

// namespacePID asks for a namespace by its file, which is another: the whole buffer is zeroed, whatever its size
// (____bpf_get_ns_current_pid_tgid).
func namespacePID(c *call) (uint64, error) {
	n := uint32(c.arg(4))
	if n > 1<<20 {
		return 0, fmt.Errorf("argument 4: %d bytes", n)
	}
	return guest.EINVAL.Result(), c.e.Mem.Write(c.addr(3), make([]byte, n))
}

// fibLookup is bpf_xdp_fib_lookup and bpf_skb_fib_lookup (net/core/filter.c).
func fibLookup(c *call) (uint64, error) {
	const (
		size         = 64 // struct bpf_fib_lookup
		notForwarded = 4
		noForwarding = 5
		ipv4, ipv6   = 2, 10
		device       = 8
		source, dest = 16, 32
		loopback     = 1
		addressV6    = 16
	)
	if uint32(c.arg(3)) < size {
		return guest.EINVAL.Result(), nil
	}
	p, err := c.bytes(2, size)
	if err != nil {
		return 0, err
	}
	strict := func(a []byte) bool { // rt6_need_strict: multicast, link-local or loopback
		return a[0] == 0xff || a[0] == 0xfe && a[1]&0xc0 == 0x80 || bytes.Equal(a, append(make([]byte, addressV6-1), 1))
	}
	switch {
	case p[0] != ipv4 && p[0] != ipv6:
		return guest.EAFNOSUPPORT.Result(), nil
	case p[0] == ipv6 && (strict(p[source:source+addressV6]) || strict(p[dest:dest+addressV6])):
		return notForwarded, nil
	case binary.LittleEndian.Uint32(p[device:]) != loopback:
		return guest.ENODEV.Result(), nil
	}
	return noForwarding, nil
}
