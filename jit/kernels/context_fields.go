// SPDX-License-Identifier: GPL-2.0-only

package kernels

import "github.com/tcsim/tcsim/jit/bpf"

// Context says how a kernel finds the fields of the contexts that programs see. Keys are offsets
// in struct __sk_buff and struct xdp_md (include/uapi/linux/bpf.h), in bytes.
type Context struct {
	SKB map[int64]ContextField
	XDP map[int64]ContextField
}

// ContextField is how the kernel reads one field of a context: through a chain of pointers.
type ContextField struct {
	Loads []FieldLoad // the first through the context's own address
	Mask  int32       // applied to the value if not 0
	Flag  bool        // the field is 1 where the value is not 0
	// Shared says that the last load is from struct skb_shared_info, which is found by adding the
	// values of the two before it, both loaded through the context's address.
	Shared bool
	// MayLack says that the first pointer may be null, in which case the field is 0; tc programs and
	// actions do not ask.
	MayLack bool
	// Least is the lowest value that is shown, others read as 0; 0 shows all.
	Least int32
	// Shift is how many bits the value is shifted left by: a port in network order is the upper half.
	Shift int32
	// Below is the first value that a store leaves out; 0 stores all.
	Below int32
}

// FieldLoad is one load of Size bytes at Off.
type FieldLoad struct {
	Off  int16
	Size int8
}

func field(loads ...FieldLoad) ContextField { return ContextField{Loads: loads} }

// ContextLayout is where a kernel has what contexts are made of, in bytes: fields of struct sk_buff, of
// its control block as struct bpf_skb_data_end, of net_device, xdp_buff and xdp_rxq_info. Context fields
// are left out for which Queue, TCIndex, or Head and End are 0, which stands for not known.
type ContextLayout struct {
	Len, PktType, Mark, Queue, Protocol, VLANTCI, Priority, Hash, Dev, Data int16
	TCIndex, Head, End                                                      int16
	// VLANAll is a word that is not 0 if there is a VLAN tag; if it is 0, VLANPresent is a byte whose lowest
	// bit says so (until Linux 6.1).
	VLANAll, VLANPresent                                            int16
	DataMeta, DataEnd                                               int16 // from the beginning of struct sk_buff
	IfIndex                                                         int16
	XDPData, XDPDataEnd, XDPDataMeta, XDPRxq, RxqDev, RxqQueueIndex int16

	// MinNAPI is the lowest number of a NAPI instance, CONFIG_NR_CPUS and 1; 0 leaves out napi_id.
	MinNAPI int32
}

// Fields returns all fields by their names in captures.
func (l *ContextLayout) Fields() map[string]*int16 {
	return map[string]*int16{
		"skb_len": &l.Len, "skb_pkt_type": &l.PktType, "skb_mark": &l.Mark, "skb_queue_mapping": &l.Queue,
		"skb_protocol": &l.Protocol, "skb_vlan_tci": &l.VLANTCI, "skb_priority": &l.Priority, "skb_hash": &l.Hash,
		"skb_dev": &l.Dev, "skb_data": &l.Data, "skb_vlan_all": &l.VLANAll, "skb_vlan_present": &l.VLANPresent,
		"skb_tc_index": &l.TCIndex, "skb_head": &l.Head, "skb_end": &l.End,
		"skb_data_meta": &l.DataMeta, "skb_data_end": &l.DataEnd, "dev_ifindex": &l.IfIndex,
		"xdp_data": &l.XDPData, "xdp_data_end": &l.XDPDataEnd, "xdp_data_meta": &l.XDPDataMeta, "xdp_rxq": &l.XDPRxq,
		"rxq_dev": &l.RxqDev, "rxq_queue_index": &l.RxqQueueIndex,
	}
}

// UsualPktType is where struct sk_buff has pkt_type in all kernels that there are targets for.
const UsualPktType = 128

// PktType is where struct sk_buff has pkt_type.
func (c *Context) PktType() int16 { return c.SKB[skbPktType].Loads[0].Off }

// with fills in what is the same in all kernels that there are targets for.
func (l ContextLayout) with() Context {
	l.Len, l.PktType, l.Queue, l.Dev, l.DataMeta, l.DataEnd, l.VLANPresent = 112, UsualPktType, 124, 16, 72, 80, 130
	l.XDPDataEnd, l.XDPDataMeta, l.XDPRxq, l.RxqQueueIndex = 8, 16, 32, 8
	return NewContext(l)
}

// Offsets in struct __sk_buff (include/uapi/linux/bpf.h).
const (
	skbLen, skbPktType, SKBMark, SKBQueue, skbProtocol     = 0, 4, 8, 12, 16
	skbVLANPresent, skbVLANTCI, skbVLANProto, SKBPriority  = 20, 24, 28, 32
	skbIngress, skbIfindex, SKBTCIndex                     = 36, 40, 44
	skbHash, SKBTCClassID, skbNAPI, SKBFamily              = 68, 72, 84, 88
	skbRemote4, skbLocal4, skbRemote6, skbLocal6           = 92, 96, 100, 116
	skbRemotePort, SKBLocalPort                            = 132, 136
	SKBTstamp, SKBWireLen, skbGSOSegs, SKBSock, skbGSOSize = 152, 160, 164, 168, 176
	skbTstampType, SKBHWTstamp                             = 180, 184
)

// NewContext makes the tables of a kernel: bpf_convert_ctx_access and xdp_convert_ctx_access in
// net/core/filter.c. What is at the same place in all kernels stands here as a number; in struct sk_buff
// skb_iif follows priority, vlan_proto precedes vlan_tci, and napi_id is two words after hash.
func NewContext(l ContextLayout) Context {
	vlan := ContextField{Loads: []FieldLoad{{l.VLANPresent, 1}}, Mask: 1}
	if l.VLANAll != 0 {
		vlan = ContextField{Loads: []FieldLoad{{l.VLANAll, 4}}, Flag: true}
	}
	shared := func(load FieldLoad) ContextField {
		return ContextField{Loads: []FieldLoad{{l.End, 4}, {l.Head, 8}, load}, Shared: true}
	}
	sock := func(load FieldLoad) ContextField { return field(FieldLoad{24, 8}, load) }
	c := Context{
		SKB: map[int64]ContextField{
			skbLen:         field(FieldLoad{l.Len, 4}),
			skbPktType:     {Loads: []FieldLoad{{l.PktType, 1}}, Mask: 7},
			SKBMark:        field(FieldLoad{l.Mark, 4}),
			SKBQueue:       {Loads: []FieldLoad{{l.Queue, 2}}, Below: noQueueMapping},
			skbProtocol:    field(FieldLoad{l.Protocol, 2}),
			skbVLANPresent: vlan,
			skbVLANTCI:     field(FieldLoad{l.VLANTCI, 2}),
			skbVLANProto:   field(FieldLoad{l.VLANTCI - 2, 2}),
			SKBPriority:    field(FieldLoad{l.Priority, 4}),
			skbIngress:     field(FieldLoad{l.Priority + 4, 4}),
			skbIfindex:     {Loads: []FieldLoad{{l.Dev, 8}, {l.IfIndex, 4}}, MayLack: true},
			SKBTCIndex:     field(FieldLoad{l.TCIndex, 2}),
			skbHash:        field(FieldLoad{l.Hash, 4}),
			SKBTCClassID:   field(FieldLoad{46, 2}), // in cb: qdisc_skb_cb.tc_classid
			SKBData:        field(FieldLoad{l.Data, 8}),
			SKBDataEnd:     field(FieldLoad{l.DataEnd, 8}),
			SKBDataMeta:    field(FieldLoad{l.DataMeta, 8}),
			skbNAPI:        {Loads: []FieldLoad{{l.Hash + 8, 4}}, Least: l.MinNAPI},
			SKBFamily:      sock(FieldLoad{16, 2}),
			skbRemote4:     sock(FieldLoad{0, 4}),
			skbLocal4:      sock(FieldLoad{4, 4}),
			skbRemotePort:  {Loads: []FieldLoad{{24, 8}, {12, 2}}, Shift: 16},
			SKBLocalPort:   sock(FieldLoad{14, 2}),
			SKBWireLen:     field(FieldLoad{40, 4}), // in cb: qdisc_skb_cb.pkt_len
			skbGSOSegs:     shared(FieldLoad{6, 2}),
			skbGSOSize:     shared(FieldLoad{4, 2}),
			SKBHWTstamp:    shared(FieldLoad{16, 8}),
		},
		XDP: map[int64]ContextField{
			XDPData:     field(FieldLoad{l.XDPData, 8}),
			XDPDataEnd:  field(FieldLoad{l.XDPDataEnd, 8}),
			XDPDataMeta: field(FieldLoad{l.XDPDataMeta, 8}),
			12:          field(FieldLoad{l.XDPRxq, 8}, FieldLoad{l.RxqDev, 8}, FieldLoad{l.IfIndex, 4}),
			16:          field(FieldLoad{l.XDPRxq, 8}, FieldLoad{l.RxqQueueIndex, 4}),
		},
	}
	for word := int64(0); word < 16; word += 4 {
		c.SKB[skbRemote6+word] = sock(FieldLoad{56 + int16(word), 4})
		c.SKB[skbLocal6+word] = sock(FieldLoad{72 + int16(word), 4})
	}
	for off := int64(SKBCB); off < SKBCBEnd; off += 4 {
		c.SKB[off] = field(FieldLoad{int16(off), 4})
	}
	c.forget(&l)
	return c
}

// forget leaves out what is not known.
func (c *Context) forget(l *ContextLayout) {
	if l.Queue == 0 {
		delete(c.SKB, SKBQueue)
	}
	if l.TCIndex == 0 {
		delete(c.SKB, SKBTCIndex)
	}
	if l.MinNAPI == 0 {
		delete(c.SKB, skbNAPI)
	}
	if l.Head == 0 || l.End == 0 {
		delete(c.SKB, skbGSOSegs)
		delete(c.SKB, skbGSOSize)
		delete(c.SKB, SKBHWTstamp)
	}
}

// noQueueMapping is NO_QUEUE_MAPPING, which is no queue's number (include/linux/skbuff.h).
const noQueueMapping = 0xffff

// skbCB to skbCBEnd are cb[0] to cb[4] of struct __sk_buff. What they stand for, qdisc_skb_cb.data,
// is as far inside struct sk_buff, and accesses keep their size (bpf_convert_ctx_access).
const SKBCB, SKBCBEnd = 48, 68

// The layouts of the kernels in kernels: those of 6.1, 6.12 and 6.18 are in the kernels' own BTF, and
// captures show what 5.10 and 7.2 have in common with them. No capture of 5.10 reads the fields that it
// has no more than a place left for between two that are read; tc_index has two such places.
var (
	Context510 = ContextLayout{
		Mark: 164, Protocol: 176, VLANTCI: 154, Priority: 140, Hash: 148,
		End: 188, Head: 192, Data: 200, IfIndex: 256, MinNAPI: 8193,
	}
	Context61 = ContextLayout{
		Mark: 168, Protocol: 180, VLANTCI: 154, Priority: 140, Hash: 148, TCIndex: 134,
		End: 192, Head: 200, Data: 208, IfIndex: 216, MinNAPI: 8193,
	}
	Context612 = ContextLayout{
		Mark: 168, Protocol: 180, VLANTCI: 158, Priority: 144, Hash: 152, TCIndex: 134,
		End: 192, Head: 200, Data: 208, IfIndex: 224, VLANAll: 156, MinNAPI: 8193,
	}
	Context618 = ContextLayout{
		Mark: 164, Protocol: 176, VLANTCI: 154, Priority: 140, Hash: 148, TCIndex: 132,
		End: 188, Head: 192, Data: 200, IfIndex: 224, VLANAll: 152, MinNAPI: 257,
	}
)

// fields returns the table of a program type, nil if its context is used as it is.
func (c *Context) Fields(t bpf.ProgType) map[int64]ContextField {
	switch {
	case t.SKB():
		return c.SKB
	case t == bpf.XDP:
		return c.XDP
	}
	return nil
}

// NewestContext is that of the newest release: every modelled field is known.
func NewestContext() *Context { return &Newest().Kernel.Context }

// Offsets of the fields of user-visible contexts that hold packet pointers, in bytes
// (include/uapi/linux/bpf.h, struct __sk_buff and struct xdp_md).
const (
	SKBData     = 76
	SKBDataEnd  = 80
	SKBDataMeta = 140

	XDPData     = 0
	XDPDataEnd  = 4
	XDPDataMeta = 8
)
