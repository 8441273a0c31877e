// SPDX-License-Identifier: GPL-2.0-only

package jit

import "fmt"

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
}

// FieldLoad is one load of Size bytes at Off.
type FieldLoad struct {
	Off  int16
	Size int8
}

func field(loads ...FieldLoad) ContextField { return ContextField{Loads: loads} }

// ContextLayout is where a kernel has what contexts are made of, in bytes: fields of struct sk_buff, of
// its control block as struct bpf_skb_data_end, of net_device, xdp_buff and xdp_rxq_info.
type ContextLayout struct {
	Len, PktType, Mark, Queue, Protocol, VLANTCI, Priority, Hash, Dev, Data int16 // Queue 0: not known
	// VLANAll is a word that is not 0 if there is a VLAN tag; if it is 0, VLANPresent is a byte whose lowest
	// bit says so (until Linux 6.1).
	VLANAll, VLANPresent                                            int16
	DataMeta, DataEnd                                               int16 // from the beginning of struct sk_buff
	IfIndex                                                         int16
	XDPData, XDPDataEnd, XDPDataMeta, XDPRxq, RxqDev, RxqQueueIndex int16
}

// Fields returns all fields by their names in captures.
func (l *ContextLayout) Fields() map[string]*int16 {
	return map[string]*int16{
		"skb_len": &l.Len, "skb_pkt_type": &l.PktType, "skb_mark": &l.Mark, "skb_queue_mapping": &l.Queue,
		"skb_protocol": &l.Protocol, "skb_vlan_tci": &l.VLANTCI, "skb_priority": &l.Priority, "skb_hash": &l.Hash,
		"skb_dev": &l.Dev, "skb_data": &l.Data, "skb_vlan_all": &l.VLANAll, "skb_vlan_present": &l.VLANPresent,
		"skb_data_meta": &l.DataMeta, "skb_data_end": &l.DataEnd, "dev_ifindex": &l.IfIndex,
		"xdp_data": &l.XDPData, "xdp_data_end": &l.XDPDataEnd, "xdp_data_meta": &l.XDPDataMeta, "xdp_rxq": &l.XDPRxq,
		"rxq_dev": &l.RxqDev, "rxq_queue_index": &l.RxqQueueIndex,
	}
}

// with fills in what is the same in all kernels that there are targets for.
func (l ContextLayout) with() Context {
	l.Len, l.Dev, l.DataMeta, l.DataEnd, l.VLANPresent = 112, 16, 72, 80, 130
	l.XDPDataEnd, l.XDPDataMeta, l.XDPRxq, l.RxqQueueIndex = 8, 16, 32, 8
	return NewContext(l)
}

// NewContext makes the tables of a kernel. Socket filters and tc programs see the same fields;
// which of them they may see is not checked.
func NewContext(l ContextLayout) Context {
	vlan := ContextField{Loads: []FieldLoad{{l.VLANPresent, 1}}, Mask: 1}
	if l.VLANAll != 0 {
		vlan = ContextField{Loads: []FieldLoad{{l.VLANAll, 4}}, Flag: true}
	}
	c := Context{
		SKB: map[int64]ContextField{
			0:           field(FieldLoad{l.Len, 4}),
			4:           {Loads: []FieldLoad{{l.PktType, 1}}, Mask: 7},
			8:           field(FieldLoad{l.Mark, 4}),
			12:          field(FieldLoad{l.Queue, 2}),
			16:          field(FieldLoad{l.Protocol, 2}),
			20:          vlan, // vlan_present
			24:          field(FieldLoad{l.VLANTCI, 2}),
			32:          field(FieldLoad{l.Priority, 4}),
			40:          field(FieldLoad{l.Dev, 8}, FieldLoad{l.IfIndex, 4}),
			68:          field(FieldLoad{l.Hash, 4}),
			skbData:     field(FieldLoad{l.Data, 8}),
			skbDataEnd:  field(FieldLoad{l.DataEnd, 8}),
			skbDataMeta: field(FieldLoad{l.DataMeta, 8}),
		},
		XDP: map[int64]ContextField{
			xdpData:     field(FieldLoad{l.XDPData, 8}),
			xdpDataEnd:  field(FieldLoad{l.XDPDataEnd, 8}),
			xdpDataMeta: field(FieldLoad{l.XDPDataMeta, 8}),
			12:          field(FieldLoad{l.XDPRxq, 8}, FieldLoad{l.RxqDev, 8}, FieldLoad{l.IfIndex, 4}),
			16:          field(FieldLoad{l.XDPRxq, 8}, FieldLoad{l.RxqQueueIndex, 4}),
		},
	}
	if l.Queue == 0 {
		delete(c.SKB, 12)
	}
	for off := int64(skbCB); off < skbCBEnd; off += 4 {
		c.SKB[off] = field(FieldLoad{int16(off), 4})
	}
	return c
}

// skbCB to skbCBEnd are cb[0] to cb[4] of struct __sk_buff. What they stand for, qdisc_skb_cb.data,
// is as far inside struct sk_buff, and accesses keep their size (bpf_convert_ctx_access).
const skbCB, skbCBEnd = 48, 68

// The layouts of the kernels in kernels, seen in the captures' isa/ctx/*. data_meta is from the
// source of these kernels only.
var (
	context510 = ContextLayout{PktType: 128, Mark: 164, Protocol: 176, VLANTCI: 154, Priority: 140, Hash: 148, Data: 200, IfIndex: 256}.with()
	context61  = ContextLayout{PktType: 128, Mark: 168, Protocol: 180, VLANTCI: 154, Priority: 140, Hash: 148, Data: 208, IfIndex: 216}.with()
	context612 = ContextLayout{PktType: 128, Mark: 168, Protocol: 180, VLANTCI: 158, Priority: 144, Hash: 152, Data: 208, IfIndex: 224, VLANAll: 156}.with()
	context618 = ContextLayout{PktType: 128, Mark: 164, Protocol: 176, VLANTCI: 154, Priority: 140, Hash: 148, Data: 200, IfIndex: 224, VLANAll: 152}.with()
	context72  = ContextLayout{PktType: 128, Mark: 168, Protocol: 180, VLANTCI: 158, Priority: 144, Hash: 152, Data: 208, IfIndex: 224, VLANAll: 156}.with()
)

// sizeBits are the size bits of an opcode for a number of bytes.
var sizeBits = map[int8]uint8{1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18}

// fields returns the table of a program type, nil if its context is used as it is.
func (c *Context) fields(t ProgType) map[int64]ContextField {
	switch t {
	case SocketFilter, SchedCLS:
		return c.SKB
	case XDP:
		return c.XDP
	}
	return nil
}

// contextAccess returns what replaces a load or store through the context (convert_ctx_accesses).
func (c *Context) contextAccess(in Insn, t ProgType) ([]Insn, error) {
	table := c.fields(t)
	if table == nil {
		return nil, nil
	}
	size := int64(in.size())
	at, shift := int64(in.Off), uint8(0)
	if t != XDP && at >= skbCB && at+size <= skbCBEnd {
		return []Insn{in}, nil
	}
	f, ok := table[at]
	if !ok || size < 4 {
		at = int64(in.Off) &^ 3
		f, ok = table[at]
		shift = uint8(int64(in.Off)-at) * 8
	}
	if !ok {
		return nil, fmt.Errorf("context field at offset %d is not known for this kernel", in.Off)
	}
	if in.Class() != clsLDX {
		if len(f.Loads) != 1 || f.Mask != 0 || f.Flag || size != 4 {
			return nil, fmt.Errorf("context field at offset %d cannot be written", in.Off)
		}
		in.Op = in.Op&^0x18 | sizeBits[f.Loads[0].Size]
		in.Off = f.Loads[0].Off
		return []Insn{in}, nil
	}
	return f.load(in, size, shift), nil
}

// load reads the field; size and shift select a part of its four bytes.
func (f *ContextField) load(in Insn, size int64, shift uint8) []Insn {
	var seq []Insn
	src, last := in.Src, f.Loads[len(f.Loads)-1]
	for _, l := range f.Loads {
		seq = append(seq, Insn{Op: clsLDX | modeMem | sizeBits[l.Size], Dst: in.Dst, Src: src, Off: l.Off})
		src = in.Dst
	}
	if f.Mask != 0 {
		seq = append(seq, Insn{Op: clsALU | aluAnd, Dst: in.Dst, Imm: f.Mask})
	}
	if f.Flag {
		seq = append(seq,
			Insn{Op: clsJmp | jmpEq, Dst: in.Dst, Off: 1},
			Insn{Op: clsALU | aluMov, Dst: in.Dst, Imm: 1})
	}
	if size < 4 && size < int64(last.Size) {
		if shift != 0 {
			seq = append(seq, Insn{Op: clsALU | aluRsh, Dst: in.Dst, Imm: int32(shift)})
		}
		seq = append(seq, Insn{Op: clsALU | aluAnd, Dst: in.Dst, Imm: 1<<(size*8) - 1})
	}
	if in.Op&0xe0 == modeMemSX {
		seq = append(seq, Insn{Op: clsALU64 | srcReg | aluMov, Dst: in.Dst, Src: in.Dst, Off: int16(size * 8)})
	}
	return seq
}
