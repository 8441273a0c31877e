// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"fmt"
	"github.com/tcsim/tcsim/jit/bpf"
	"strings"
)

// helperSpec says what the verifier must know of a helper: how many arguments it has, which of
// them are memory, and what it returns.
type helperSpec struct {
	name string // without bpf_
	// args has one letter per argument: . anything that is no memory, k map key, v map value read,
	// V map value written, m memory read and M memory written whose size is the next argument,
	// r memory read and w memory written of a fixed size of 8 bytes or more.
	args string
	ret  valueKind // kindNumber, or a pointer
	null bool      // may be null
}

// helpers are the helper functions by number (include/uapi/linux/bpf.h, ___BPF_FUNC_MAPPER), as
// far as programs of the modelled types use them.
var helpers = map[int32]helperSpec{
	1:   {name: "map_lookup_elem", args: ".k", ret: kindMapValue, null: true},
	2:   {name: "map_update_elem", args: ".kv."},
	3:   {name: "map_delete_elem", args: ".k"},
	4:   {name: "probe_read", args: "M.."},
	5:   {name: "ktime_get_ns"},
	6:   {name: "trace_printk", args: "m."}, // and up to three that may be anything
	7:   {name: "get_prandom_u32"},
	8:   {name: "get_smp_processor_id"},
	9:   {name: "skb_store_bytes", args: "..m.."},
	10:  {name: "l3_csum_replace", args: "....."},
	11:  {name: "l4_csum_replace", args: "....."},
	12:  {name: "tail_call", args: "..."},
	13:  {name: "clone_redirect", args: "..."},
	14:  {name: "get_current_pid_tgid"},
	15:  {name: "get_current_uid_gid"},
	16:  {name: "get_current_comm", args: "M."},
	17:  {name: "get_cgroup_classid", args: "."},
	18:  {name: "skb_vlan_push", args: "..."},
	19:  {name: "skb_vlan_pop", args: "."},
	20:  {name: "skb_get_tunnel_key", args: ".M.."},
	21:  {name: "skb_set_tunnel_key", args: ".m.."},
	22:  {name: "perf_event_read", args: ".."},
	23:  {name: "redirect", args: ".."},
	24:  {name: "get_route_realm", args: "."},
	25:  {name: "perf_event_output", args: "...m."},
	26:  {name: "skb_load_bytes", args: "..M."},
	27:  {name: "get_stackid", args: "..."},
	28:  {name: "csum_diff", args: "m.m.."},
	29:  {name: "skb_get_tunnel_opt", args: ".M."},
	30:  {name: "skb_set_tunnel_opt", args: ".m."},
	31:  {name: "skb_change_proto", args: "..."},
	32:  {name: "skb_change_type", args: ".."},
	33:  {name: "skb_under_cgroup", args: "..."},
	34:  {name: "get_hash_recalc", args: "."},
	35:  {name: "get_current_task"},
	36:  {name: "probe_write_user", args: ".m."},
	37:  {name: "current_task_under_cgroup", args: ".."},
	38:  {name: "skb_change_tail", args: "..."},
	39:  {name: "skb_pull_data", args: ".."},
	40:  {name: "csum_update", args: ".."},
	41:  {name: "set_hash_invalid", args: "."},
	42:  {name: "get_numa_node_id"},
	43:  {name: "skb_change_head", args: "..."},
	44:  {name: "xdp_adjust_head", args: ".."},
	45:  {name: "probe_read_str", args: "M.."},
	46:  {name: "get_socket_cookie", args: "."},
	47:  {name: "get_socket_uid", args: "."},
	48:  {name: "set_hash", args: ".."},
	49:  {name: "setsockopt", args: "...m."},
	50:  {name: "skb_adjust_room", args: "...."},
	51:  {name: "redirect_map", args: "..."},
	54:  {name: "xdp_adjust_meta", args: ".."},
	55:  {name: "perf_event_read_value", args: "..M."},
	57:  {name: "getsockopt", args: "...M."},
	65:  {name: "xdp_adjust_tail", args: ".."},
	67:  {name: "get_stack", args: ".M.."},
	68:  {name: "skb_load_bytes_relative", args: "..M.."},
	69:  {name: "fib_lookup", args: ".M.."},
	80:  {name: "get_current_cgroup_id"},
	84:  {name: "sk_lookup_tcp", args: ".m...", ret: kindPointer, null: true},
	85:  {name: "sk_lookup_udp", args: ".m...", ret: kindPointer, null: true},
	86:  {name: "sk_release", args: "."},
	87:  {name: "map_push_elem", args: ".v."},
	88:  {name: "map_pop_elem", args: ".V"},
	89:  {name: "map_peek_elem", args: ".V"},
	93:  {name: "spin_lock", args: "."},
	94:  {name: "spin_unlock", args: "."},
	95:  {name: "sk_fullsock", args: ".", ret: kindPointer, null: true},
	99:  {name: "skc_lookup_tcp", args: ".m...", ret: kindPointer, null: true},
	105: {name: "strtol", args: "m..w"},
	106: {name: "strtoul", args: "m..w"},
	111: {name: "skb_output", args: "...m."},
	112: {name: "probe_read_user", args: "M.."},
	113: {name: "probe_read_kernel", args: "M.."},
	114: {name: "probe_read_user_str", args: "M.."},
	115: {name: "probe_read_kernel_str", args: "M.."},
	118: {name: "jiffies64"},
	120: {name: "get_ns_current_pid_tgid", args: "..M."},
	121: {name: "xdp_output", args: "...m."},
	125: {name: "ktime_get_boot_ns"},
	130: {name: "ringbuf_output", args: ".m.."},
	131: {name: "ringbuf_reserve", args: "...", ret: kindPointer, null: true},
	132: {name: "ringbuf_submit", args: ".."},
	133: {name: "ringbuf_discard", args: ".."},
	134: {name: "ringbuf_query", args: ".."},
	135: {name: "csum_level", args: ".."},
	152: {name: "redirect_neigh", args: ".m.."},
	153: {name: "per_cpu_ptr", args: "..", ret: kindPointer, null: true},
	154: {name: "this_cpu_ptr", args: ".", ret: kindPointer},
	155: {name: "redirect_peer", args: ".."},
	158: {name: "get_current_task_btf", ret: kindPointer},
	160: {name: "ktime_get_coarse_ns"},
	163: {name: "check_mtu", args: "..w.."},
	164: {name: "for_each_map_elem", args: "...."},
	165: {name: "snprintf", args: "M..m."},
	173: {name: "get_func_ip", args: "."},
	177: {name: "trace_vprintk", args: "m.m."},
	181: {name: "loop", args: "...."},
	182: {name: "strncmp", args: "m.."},
	183: {name: "get_func_arg", args: "..w"},
	184: {name: "get_func_ret", args: ".w"},
	185: {name: "get_func_arg_cnt", args: "."},
	188: {name: "xdp_get_buff_len", args: "."},
	189: {name: "xdp_load_bytes", args: "..M."},
	190: {name: "xdp_store_bytes", args: "..m."},
	195: {name: "map_lookup_percpu_elem", args: ".k.", ret: kindMapValue, null: true},
	208: {name: "ktime_get_tai_ns"},
}

// helperAliases are kernel functions behind helpers that are not called bpf_ and the helper's name.
var helperAliases = map[string]int32{
	"bpf_user_rnd_u32": 7, "bpf_get_raw_cpu_id": 8, "bpf_get_raw_smp_processor_id": 8,
	"bpf_skb_event_output": 25, "bpf_xdp_event_output": 25, "bpf_perf_event_output_tp": 25,
	"bpf_event_output_data": 25, "bpf_perf_event_output_raw_tp": 25,
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
	m := make(map[string]int32, len(helpers))
	for n, h := range helpers {
		m["bpf_"+h.name] = n
	}
	return m
}()

// HelperName returns the name of a helper by its number, "" if it is not known.
func HelperName(n int32) string {
	if h, ok := helpers[n]; ok {
		return "bpf_" + h.name
	}
	return ""
}

// findHelper finds the helper that a call with this immediate reaches.
func findHelper(p *bpf.Program, imm int32) (n int32, spec helperSpec, ok bool) {
	if p.HelperNames == nil || imm == bpf.HelperTailCall {
		spec, ok = helpers[imm]
		return imm, spec, ok
	}
	name := p.HelperNames[imm]
	if n, ok = helperByName[name]; ok {
		return n, helpers[n], true
	}
	if n, ok = helperAliases[name]; ok {
		return n, helpers[n], true
	}
	for _, op := range mapOps {
		if strings.HasSuffix(name, op.ending) {
			return op.number, helpers[op.number], true
		}
	}
	if strings.HasPrefix(name, "bpf_skb_load_helper_") {
		return 0, helperSpec{name: strings.TrimPrefix(name, "bpf_"), args: "...."}, true
	}
	return 0, helperSpec{}, false
}

// callHelper follows a call of a helper, of a kernel function or a tail call.
func (x *explorer) callHelper(s *state, in bpf.Insn) error {
	if x.p.CalledName(in) == timedMayGoto {
		return nil // keeps all registers of the program
	}
	f := s.top()
	args, ret := "rrrrr", unknownNumber() // of what is unknown, a stack address may be used
	switch n, spec, ok := findHelper(x.p, in.Imm); {
	case in.Src != 0 || in.Op != bpf.OpCall:
	case n == bpf.HelperTailCall && ok:
		if m := &f.regs[2]; m.kind == kindMap && x.p.Maps[m.mapIdx].Type != bpf.ProgArray {
			return fmt.Errorf("tail call through map %s, which is no prog array (check_map_func_compatibility)", x.p.Maps[m.mapIdx].Name)
		}
		x.tailCall(s)
		args = ""
	case ok:
		args = spec.args
		if spec.ret != kindNone {
			ret = pointer(spec.ret)
			if ret.orNull = spec.null; spec.null {
				ret.link = x.newLink()
			}
			ret.mapIdx = f.regs[1].mapIdx
			if m := &f.regs[1]; n == 1 && m.kind == kindMap && x.p.Maps[m.mapIdx].Inner > 0 {
				ret.kind, ret.mapIdx = kindMap, int32(x.p.Maps[m.mapIdx].Inner-1)
			}
		}
		if n == helperLoop {
			x.noteLoop(s)
		}
		if n >= 1 && n <= 3 || n == 195 {
			m := x.lookups[s.pc]
			if m == nil {
				m = &mapFacts{}
				x.lookups[s.pc] = m
			}
			m.note(&f.regs[1])
		}
	}
	if !x.submitted && ret.kind != kindNumber {
		object := ret.kind == kindPointer
		if ret = unknownNumber(); object {
			ret.typed = handedOut(x.rules)
		}
	}
	for i := range args {
		if x.strict && f.regs[i+1].kind == kindNone && in.Src == 0 {
			return fmt.Errorf("argument r%d is not initialised", i+1)
		}
		if err := x.argument(s, args, i); err != nil {
			return err
		}
	}
	for r := range 6 {
		f.regs[r] = value{}
	}
	f.regs[0] = ret
	return nil
}

// argument notes what a helper does to the stack through argument i, counted from 0.
func (x *explorer) argument(s *state, args string, i int) error {
	f := s.top()
	v := f.regs[i+1]
	if args[i] == '.' || v.kind != kindStack {
		return nil
	}
	size := 8
	switch args[i] {
	case 'k', 'v', 'V':
		size = 0
		if m := f.regs[1]; m.kind == kindMap {
			size = int(x.p.Maps[m.mapIdx].KeySize)
			if args[i] != 'k' {
				size = int(x.p.Maps[m.mapIdx].ValueSize)
			}
		}
	case 'm', 'M':
		size = 0
		if n := f.regs[i+2]; n.kind == kindNumber && n.num.umax <= maxStack {
			size = int(n.num.umax)
		}
	}
	lo, hi := stackRange(&v, 0)
	if err := x.touch(s.frames[v.frame].fn, lo, hi+int64(size)); err != nil {
		return err
	}
	reads := args[i] == 'k' || args[i] == 'v' || args[i] == 'm' || args[i] == 'r'
	x.clobber(s, &v, size, !reads)
	return nil
}

// clobber is an access by a helper to size bytes of stack. Before 6.13 the verifier took every
// access for a write.
func (x *explorer) clobber(s *state, v *value, size int, writes bool) {
	if x.rules.ReadOnlyArgs && !writes {
		return
	}
	lo, hi := stackRange(v, 0)
	s.frames[v.frame].fillAny(lo, hi+int64(size))
}

// tailCall notes map and key of a tail call (record_func_map, record_func_key).
func (x *explorer) tailCall(s *state) {
	f := s.top()
	c := x.calls[s.pc]
	if c == nil {
		c = &tailCallFacts{}
		x.calls[s.pc] = c
	}
	c.note(&f.regs[2])
	k := &f.regs[3]
	c.way(&f.regs[2], k)
	known := k.isConst() && f.regs[2].kind == kindMap && k.num.umin < uint64(x.p.Maps[f.regs[2].mapIdx].MaxEntries)
	switch {
	case !known:
		c.keyPoisoned = true
	case c.keySeen && uint64(c.key) != k.num.umin:
		c.keyPoisoned = true
	default:
		c.key = uint32(k.num.umin)
	}
	c.keySeen = true
	if x.rules.TailReturn && len(s.frames) > 1 {
		// The callee of a tail call that is taken returns to this function's caller.
		taken := s.clone()
		taken.top().regs[0] = unknownNumber()
		if next, _ := x.exit(taken); next != nil {
			x.work = append(x.work, next)
		}
	}
}
