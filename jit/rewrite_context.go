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

// skbLayout is what differs between kernels in struct sk_buff, net_device and their neighbours.
type skbLayout struct {
	pktType, mark, queue, protocol, vlanTCI, priority, hash, data, ifindex int16
	vlanAll                                                                int16 // 0: vlan_present is a bit
}

// newContext makes the tables of a kernel. Socket filters and tc programs see the same fields;
// which of them they may see is not checked.
func newContext(l skbLayout) Context {
	vlan := ContextField{Loads: []FieldLoad{{130, 1}}, Mask: 1}
	if l.vlanAll != 0 {
		vlan = ContextField{Loads: []FieldLoad{{l.vlanAll, 4}}, Flag: true}
	}
	c := Context{
		SKB: map[int64]ContextField{
			0:           field(FieldLoad{112, 4}), // len
			4:           {Loads: []FieldLoad{{l.pktType, 1}}, Mask: 7},
			8:           field(FieldLoad{l.mark, 4}),
			12:          field(FieldLoad{l.queue, 2}),
			16:          field(FieldLoad{l.protocol, 2}),
			20:          vlan, // vlan_present
			24:          field(FieldLoad{l.vlanTCI, 2}),
			32:          field(FieldLoad{l.priority, 4}),
			40:          field(FieldLoad{16, 8}, FieldLoad{l.ifindex, 4}),
			68:          field(FieldLoad{l.hash, 4}),
			skbData:     field(FieldLoad{l.data, 8}),
			skbDataEnd:  field(FieldLoad{80, 8}), // in cb: bpf_skb_data_end.data_end
			skbDataMeta: field(FieldLoad{72, 8}), // in cb: bpf_skb_data_end.data_meta
		},
		XDP: map[int64]ContextField{
			xdpData:     field(FieldLoad{0, 8}),
			xdpDataEnd:  field(FieldLoad{8, 8}),
			xdpDataMeta: field(FieldLoad{16, 8}),
			12:          field(FieldLoad{32, 8}, FieldLoad{0, 8}, FieldLoad{l.ifindex, 4}),
			16:          field(FieldLoad{32, 8}, FieldLoad{8, 4}),
		},
	}
	if l.queue == 0 {
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
	context510 = newContext(skbLayout{pktType: 128, mark: 164, protocol: 176, vlanTCI: 154, priority: 140, hash: 148, data: 200, ifindex: 256})
	context61  = newContext(skbLayout{pktType: 128, mark: 168, protocol: 180, vlanTCI: 154, priority: 140, hash: 148, data: 208, ifindex: 216})
	context612 = newContext(skbLayout{pktType: 128, mark: 168, protocol: 180, vlanTCI: 158, priority: 144, hash: 152, data: 208, ifindex: 224, vlanAll: 156})
	context618 = newContext(skbLayout{pktType: 128, mark: 164, protocol: 176, vlanTCI: 154, priority: 140, hash: 148, data: 200, ifindex: 224, vlanAll: 152})
	context72  = newContext(skbLayout{pktType: 128, mark: 168, protocol: 180, vlanTCI: 158, priority: 144, hash: 152, data: 208, ifindex: 224, vlanAll: 156})
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
