// SPDX-License-Identifier: GPL-2.0-only

package helper

import (
	"bytes"
	"fmt"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/image"
)

// moreHelpers are helpers of programs that people write, besides those that captures have.
var moreHelpers = []Helper{
	{name: "bpf_probe_read", number: 4, writes: true, fn: probeRead},
	{name: "bpf_skb_store_bytes", number: 9, writes: true, fn: packetStore(3, guest.EFAULT)},
	{name: "bpf_l3_csum_replace", number: 10, writes: true, fn: csumReplace(false)},
	{name: "bpf_l4_csum_replace", number: 11, writes: true, fn: csumReplace(true)},
	{name: "bpf_clone_redirect", number: 13, fn: zero},
	{name: "bpf_get_current_uid_gid", number: 15, world: true, fn: zero},
	{name: "bpf_get_current_comm", number: 16, world: true, writes: true, fn: currentComm},
	{name: "bpf_get_cgroup_classid", number: 17, world: true, fn: zero},
	{name: "bpf_redirect", number: 23, fn: redirect},
	{name: "bpf_get_route_realm", number: 24, world: true, fn: zero},
	{name: "bpf_perf_event_output", number: 25, fn: perfEventOutput},
	{name: "bpf_skb_load_bytes", number: 26, writes: true, fn: packetLoad},
	{name: "bpf_get_stackid", number: 27, world: true, fn: zero}, // every stack is the first of the map
	{name: "bpf_csum_diff", number: 28, fn: csumDiff},
	{name: "bpf_skb_change_type", number: 32, writes: true, fn: changeType},
	{name: "bpf_skb_pull_data", number: 39, fn: pullData},
	{name: "bpf_csum_update", number: 40, fn: failing(guest.ENOTSUPP)},
	{name: "bpf_set_hash_invalid", number: 41, fn: zero},
	{name: "bpf_xdp_adjust_head", number: 44, writes: true, fn: xdpAdjustHead},
	{name: "bpf_probe_read_str", number: 45, writes: true, fn: probeReadStr},
	{name: "bpf_redirect_map", number: 51, fn: redirectMap},
	{name: "bpf_xdp_adjust_meta", number: 54, writes: true, fn: xdpAdjustMeta},
	{name: "bpf_xdp_adjust_tail", number: 65, writes: true, fn: xdpAdjustTail},
	{name: "bpf_get_stack", number: 67, world: true, writes: true, fn: getStack},
	{name: "bpf_get_current_cgroup_id", number: 80, world: true, fn: one},
	{name: "bpf_sk_lookup_tcp", number: 84, world: true, fn: zero},
	{name: "bpf_sk_lookup_udp", number: 85, world: true, fn: zero},
	{name: "bpf_sk_release", number: 86, fn: zero},
	{name: "bpf_spin_lock", number: 93, fn: nothing},
	{name: "bpf_spin_unlock", number: 94, fn: nothing},
	{name: "bpf_skc_lookup_tcp", number: 99, world: true, fn: zero},
	{name: "bpf_strtol", number: 105, writes: true, fn: strtol},
	{name: "bpf_strtoul", number: 106, writes: true, fn: strtoul},
	{name: "bpf_probe_read_user", number: 112, writes: true, fn: probeRead},
	{name: "bpf_probe_read_kernel", number: 113, writes: true, fn: probeRead},
	{name: "bpf_probe_read_user_str", number: 114, writes: true, fn: probeReadStr},
	{name: "bpf_probe_read_kernel_str", number: 115, writes: true, fn: probeReadStr},
	{name: "bpf_jiffies64", number: jiffies64, world: true, fn: jiffies},
	{name: "bpf_ringbuf_output", number: 130, writes: true, fn: ringOutput},
	{name: "bpf_ringbuf_reserve", number: 131, writes: true, fn: ringReserve},
	{name: "bpf_ringbuf_submit", number: 132, writes: true, fn: ringCommit},
	{name: "bpf_ringbuf_discard", number: 133, writes: true, fn: ringCommit},
	{name: "bpf_ringbuf_query", number: 134, fn: ringQuery},
	{name: "bpf_copy_from_user", number: 148, writes: true, fn: probeRead},
	{name: "bpf_redirect_neigh", number: 152, fn: redirectNeigh},
	{name: "bpf_redirect_peer", number: 155, fn: redirectPeer},
	{name: "bpf_ktime_get_coarse_ns", number: 160, world: true, fn: ktime},
	{name: "bpf_snprintf", number: 165, writes: true, fn: snprintf},
	{name: "bpf_timer_init", number: 169, writes: true, fn: timerInit},
	{name: "bpf_timer_set_callback", number: 170, writes: true, fn: timerSetCallback},
	{name: "bpf_timer_start", number: 171, writes: true, fn: timerStart},
	{name: "bpf_timer_cancel", number: 172, writes: true, fn: timerCancel},
	{name: "bpf_trace_vprintk", number: 177, fn: traceVprintk},
	{name: "bpf_strncmp", number: 182, fn: strncmp},
	{name: "bpf_xdp_get_buff_len", number: 188, fn: xdpBuffLen},
	{name: "bpf_xdp_load_bytes", number: 189, writes: true, fn: packetLoad},
	{name: "bpf_xdp_store_bytes", number: 190, writes: true, fn: packetStore(0, guest.EINVAL)},
	{name: "bpf_map_lookup_percpu_elem", number: 195, fn: lookupPerCPU},
	{name: "bpf_dynptr_from_mem", number: 197, writes: true, fn: dynptrFromMem},
	{name: "bpf_ringbuf_reserve_dynptr", number: 198, writes: true, fn: ringReserveDynptr},
	{name: "bpf_ringbuf_submit_dynptr", number: 199, writes: true, fn: ringCommitDynptr},
	{name: "bpf_ringbuf_discard_dynptr", number: 200, writes: true, fn: ringCommitDynptr},
	{name: "bpf_dynptr_read", number: 201, writes: true, fn: dynptrRead},
	{name: "bpf_dynptr_write", number: 202, writes: true, fn: dynptrWrite},
	{name: "bpf_dynptr_data", number: 203, fn: dynptrData},
	{name: "bpf_ktime_get_tai_ns", number: 208, world: true, fn: ktime},
	{name: "bpf_user_ringbuf_drain", number: 209, fn: drain},
}

func one(*call) (uint64, error) { return 1, nil }

func jiffies(*call) (uint64, error) { return guest.BootJiffies, nil }

func failing(e guest.Errno) func(*call) (uint64, error) {
	return func(*call) (uint64, error) { return e.Result(), nil }
}

// What a program that sends its packet elsewhere returns (include/uapi/linux/pkt_cls.h and bpf.h).
const (
	actShot, actRedirect    = 2, 7
	xdpAborted, xdpRedirect = 0, 4
)

func redirect(c *call) (uint64, error) {
	flags := c.arg(2)
	switch {
	case c.e.Packet.XDP && flags != 0:
		return xdpAborted, nil
	case c.e.Packet.XDP:
		return xdpRedirect, nil
	case flags&^1 != 0: // BPF_F_INGRESS
		return actShot, nil
	}
	return actRedirect, nil
}

func redirectNeigh(c *call) (uint64, error) {
	const params = 20 // struct bpf_redir_neigh
	if n := c.arg(3); n != 0 && n < params || c.arg(4) != 0 {
		return actShot, nil
	}
	return actRedirect, nil
}

func redirectPeer(c *call) (uint64, error) {
	if c.arg(2) != 0 {
		return actShot, nil
	}
	return actRedirect, nil
}

// redirectMap goes through a map of devices, CPUs or sockets, which is empty.
func redirectMap(c *call) (uint64, error) {
	const actions = 3
	if c.arg(3)&^actions != 0 {
		return xdpAborted, nil
	}
	return c.arg(3) & actions, nil
}

// perfEventOutput finds no listener (__bpf_perf_event_output).
func perfEventOutput(c *call) (uint64, error) {
	const current, index, known = 0xffffffff, 0xffffffff, 0xfffff_ffffffff
	g, err := c.mapAt(2)
	flags := c.arg(3)
	switch {
	case err != nil:
		return 0, err
	case flags&^known != 0:
		return guest.EINVAL.Result(), nil
	case flags>>32 != 0:
		lo, hi, err := c.packetSpan()
		if err != nil || flags>>32 > uint64(hi-lo) {
			return guest.EFAULT.Result(), err
		}
	}
	if i := flags & index; i != current && i >= uint64(g.MaxEntries) {
		return guest.E2BIG.Result(), nil
	}
	return guest.ENOENT.Result(), nil
}

func currentComm(c *call) (uint64, error) {
	n := c.arg(2)
	if n == 0 || n > 1<<16 {
		return guest.EINVAL.Result(), nil
	}
	b := make([]byte, n)
	copy(b[:n-1], "tcsim")
	return 0, c.e.Mem.Write(c.addr(1), b)
}

// probeRead reads memory that need not be there.
func probeRead(c *call) (uint64, error) {
	n := uint64(uint32(c.arg(2)))
	if n > 1<<20 {
		return 0, fmt.Errorf("argument 2: %d bytes", n)
	}
	b, result := make([]byte, n), uint64(0)
	if n > 0 && c.e.Mem.Read(c.addr(3), b) != nil {
		b, result = make([]byte, n), guest.EFAULT.Result()
	}
	if n == 0 {
		return 0, nil
	}
	return result, c.e.Mem.Write(c.addr(1), b)
}

// probeReadStr returns the length with the final zero.
func probeReadStr(c *call) (uint64, error) {
	n := uint64(uint32(c.arg(2)))
	if n > 1<<20 {
		return 0, fmt.Errorf("argument 2: %d bytes", n)
	}
	if n == 0 {
		return 0, nil
	}
	var out []byte
	var b [1]byte
	for at := c.addr(3); uint64(len(out)) < n-1; at++ {
		if c.e.Mem.Read(at, b[:]) != nil {
			return guest.EFAULT.Result(), c.e.Mem.Write(c.addr(1), make([]byte, n))
		}
		if b[0] == 0 {
			break
		}
		out = append(out, b[0])
	}
	out = append(out, 0)
	return uint64(len(out)), c.e.Mem.Write(c.addr(1), out)
}

// strncmp compares up to the size of the first string.
func strncmp(c *call) (uint64, error) {
	n := c.arg(2)
	if n > 1<<16 {
		return 0, fmt.Errorf("argument 2: %d bytes", n)
	}
	var a, b [1]byte
	for i := image.Addr(0); uint64(i) < n; i++ {
		if err := c.e.Mem.Read(c.addr(1)+i, a[:]); err != nil {
			return 0, fmt.Errorf("argument 1: %w", err)
		}
		if err := c.e.Mem.Read(c.addr(3)+i, b[:]); err != nil {
			return 0, fmt.Errorf("argument 3: %w", err)
		}
		if d := bytes.Compare(a[:], b[:]); d != 0 || a[0] == 0 {
			return uint64(d), nil
		}
	}
	return 0, nil
}

// lookupPerCPU knows the values of this CPU, number 0.
func lookupPerCPU(c *call) (uint64, error) {
	if uint32(c.arg(3)) != 0 {
		return 0, nil
	}
	return mapLookup(c)
}
