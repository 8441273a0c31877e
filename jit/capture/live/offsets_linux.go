// SPDX-License-Identifier: GPL-2.0-only

package live

import (
	"fmt"
	"math"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/tcsim/tcsim/jit/kernels"
)

// offsets finds the fields that tail calls use in the kernel's structures.
func offsets(types *btf.Spec) (*kernels.Offsets, error) {
	out := new(kernels.Offsets)
	for _, f := range []struct {
		typ, field string
		to         *int32
	}{
		{"bpf_map", "max_entries", &out.MapMaxEntries}, {"bpf_array", "ptrs", &out.ArrayPtrs}, {"bpf_prog", "bpf_func", &out.ProgBPFFunc},
	} {
		off, err := fieldOf(types, f.typ, f.field)
		if err != nil {
			return nil, err
		}
		*f.to = int32(off)
	}
	return out, nil
}

// contextLayout finds what contexts of programs are made of; nil if a structure or a field is missing, as
// without networking.
func contextLayout(types *btf.Spec) *kernels.ContextLayout {
	out := new(kernels.ContextLayout)
	var cb int16
	for _, f := range []struct {
		typ    string
		fields string // one or the other
		to     *int16
	}{
		{"sk_buff", "len", &out.Len}, {"sk_buff", "__pkt_type_offset pkt_type", &out.PktType}, {"sk_buff", "mark", &out.Mark},
		{"sk_buff", "queue_mapping", &out.Queue}, {"sk_buff", "protocol", &out.Protocol}, {"sk_buff", "vlan_tci", &out.VLANTCI},
		{"sk_buff", "priority", &out.Priority}, {"sk_buff", "hash", &out.Hash}, {"sk_buff", "dev", &out.Dev}, {"sk_buff", "data", &out.Data},
		{"sk_buff", "head", &out.Head}, {"sk_buff", "end", &out.End}, {"sk_buff", "cb", &cb}, {"bpf_skb_data_end", "data_meta", &out.DataMeta}, {"bpf_skb_data_end", "data_end", &out.DataEnd},
		{"net_device", "ifindex", &out.IfIndex}, {"xdp_buff", "data", &out.XDPData}, {"xdp_buff", "data_end", &out.XDPDataEnd},
		{"xdp_buff", "data_meta", &out.XDPDataMeta}, {"xdp_buff", "rxq", &out.XDPRxq}, {"xdp_rxq_info", "dev", &out.RxqDev},
		{"xdp_rxq_info", "queue_index", &out.RxqQueueIndex},
	} {
		off, err := fieldOf(types, f.typ, strings.Fields(f.fields)...)
		if err != nil || off > math.MaxInt16 {
			return nil
		}
		*f.to = int16(off)
	}
	if off, err := fieldOf(types, "sk_buff", "tc_index"); err == nil { // with CONFIG_NET_SCHED
		out.TCIndex = int16(off)
	}
	out.DataMeta += cb
	out.DataEnd += cb
	// vlan_all replaced the bit in Linux 6.2 (354259fa73e2).
	if off, err := fieldOf(types, "sk_buff", "vlan_all"); err == nil {
		out.VLANAll = int16(off)
	} else if off, err := fieldOf(types, "sk_buff", "__pkt_vlan_present_offset"); err == nil {
		out.VLANPresent = int16(off)
	} else {
		return nil
	}
	return out
}

// fieldOf returns the offset in bytes of the first of some fields that a structure has.
func fieldOf(types *btf.Spec, typ string, names ...string) (uint32, error) {
	var s *btf.Struct
	if err := types.TypeByName(typ, &s); err != nil {
		return 0, fmt.Errorf("struct %s: %w", typ, err)
	}
	for _, n := range names {
		if off, ok := field(s.Members, n); ok {
			return off, nil
		}
	}
	return 0, fmt.Errorf("struct %s has no field %s", typ, strings.Join(names, " or "))
}

// field finds a member by name, also in anonymous structs and unions.
func field(members []btf.Member, name string) (off uint32, ok bool) {
	for _, m := range members {
		if m.Name == name {
			return m.Offset.Bytes(), true
		}
		if m.Name != "" {
			continue
		}
		var inner []btf.Member
		switch t := btf.UnderlyingType(m.Type).(type) {
		case *btf.Struct:
			inner = t.Members
		case *btf.Union:
			inner = t.Members
		}
		if off, ok := field(inner, name); ok {
			return m.Offset.Bytes() + off, true
		}
	}
	return 0, false
}
