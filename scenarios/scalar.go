// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"encoding/hex"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/tcsim/tcsim/jit/nearest"
	"github.com/tcsim/tcsim/scenarios/asm"
)

// Name is the name of a program, function or invariant.
type Name struct {
	Text string
	Pos  Pos
}

// checkName records a mistake if text cannot name a what.
func (d *decoder) checkName(what, text string, pos Pos) bool {
	if !asm.NameForm.MatchString(text) {
		d.failf(pos, "expected the name of a %s (letters, digits, _ . -), found %q", what, text)
		return false
	}
	return true
}

func (x *Name) decodeNode(d *decoder, n ast.Node) {
	x.Pos = nodePos(n)
	if s, ok := d.scalar(n, "a name"); ok && d.checkName("program, function or invariant", s, x.Pos) {
		x.Text = s
	}
}

// Names is a list of names; in the file one name may stand without a list.
type Names []Name

func (x *Names) decodeNode(d *decoder, n ast.Node) {
	if _, ok := n.(*ast.SequenceNode); ok {
		d.decode(n, reflect.ValueOf((*[]Name)(x)).Elem())
		return
	}
	var one Name
	one.decodeNode(d, n)
	*x = Names{one}
}

// Int is an integer with its place; unsigned 64-bit values above the signed range wrap.
type Int struct {
	V   int64
	Pos Pos
}

func (x *Int) decodeNode(d *decoder, n ast.Node) {
	x.Pos = nodePos(n)
	x.V, _ = d.anyInteger(n, "an integer")
}

// Scalar is any plain value as it was written.
type Scalar struct {
	Text string
	Pos  Pos
}

func (x *Scalar) decodeNode(d *decoder, n ast.Node) {
	x.Pos = nodePos(n)
	x.Text, _ = d.scalar(n, "a name or an integer")
}

// Packet is what a run sees as packet data: nil if the file gives none.
type Packet []byte

// maxPacket bounds a packet in bytes: what BPF_PROG_TEST_RUN takes in one page with its headroom.
const maxPacket = 3520

func (x *Packet) decodeNode(d *decoder, n ast.Node) {
	if _, ok := n.(*ast.IntegerNode); ok {
		if size, ok := d.integer(n, 1, maxPacket); ok {
			*x = make(Packet, size)
		}
		return
	}
	s, ok := d.scalar(n, "a size in bytes or the bytes in hex")
	if !ok {
		return
	}
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil || len(b) == 0 || len(b) > maxPacket {
		d.failf(nodePos(n), "expected a size in bytes (1 to %d) or as many bytes in hex, found %q", maxPacket, s)
		return
	}
	*x = b
}

// Register is the number of a BPF register.
type Register uint8

func (x *Register) decodeNode(d *decoder, n ast.Node) {
	s, ok := d.scalar(n, "a register from r6 to r9")
	if !ok {
		return
	}
	r, ok := asm.ParseRegister(s)
	if !ok || r < 6 || r > 9 {
		d.failf(nodePos(n), "expected a register from r6 to r9, found %q", s)
		return
	}
	*x = Register(r)
}

func (x *ProgType) decodeNode(d *decoder, n ast.Node) {
	*x = ProgType(d.choice(n, progTypeNames))
}

func (x *Policy) decodeNode(d *decoder, n ast.Node) {
	*x = Policy(d.choice(n, policyNames))
}

func (x *MapType) decodeNode(d *decoder, n ast.Node) {
	*x = MapType(d.choice(n, mapTypeNames))
}

// choice returns the text of n, which must be one of names.
func (d *decoder) choice(n ast.Node, names []string) string {
	s, ok := d.scalar(n, asm.OneOf(names))
	if !ok {
		return ""
	}
	for _, name := range names {
		if s == name {
			return s
		}
	}
	d.failf(nodePos(n), "expected %s, found %q%s", asm.OneOf(names), s, nearest.DidYouMean(s, names))
	return ""
}

// Helper is a kernel helper without arguments.
type Helper struct {
	ID  int32
	Pos Pos
}

// helpers are the helpers that a helper step may call: they take no arguments and are allowed in
// tc, xdp and socket programs (include/uapi/linux/bpf.h, enum bpf_func_id).
var helpers = []struct {
	name string
	id   int32
}{
	{"ktime_get_ns", 5},
	{"get_prandom_u32", 7},
	{"get_smp_processor_id", 8},
	{"jiffies64", 118},
	{"ktime_get_boot_ns", 125},
}

func (x *Helper) decodeNode(d *decoder, n ast.Node) {
	x.Pos = nodePos(n)
	var names []string
	for _, h := range helpers {
		names = append(names, h.name)
	}
	s := d.choice(n, names)
	for _, h := range helpers {
		if s == h.name {
			x.ID = h.id
		}
	}
}

func (x *Refused) decodeNode(d *decoder, n ast.Node) {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		d.decodeStruct(n, reflect.ValueOf(x).Elem())
	default:
		x.Total = new(Int)
		x.Total.decodeNode(d, n)
	}
}

func (x *Function) decodeNode(d *decoder, n ast.Node) {
	switch n.(type) {
	case *ast.SequenceNode:
		x.Pos = nodePos(n)
		d.decode(n, reflect.ValueOf(&x.Steps).Elem())
	case *ast.StringNode, *ast.LiteralNode:
		x.Pos = nodePos(n)
		x.Asm.decodeNode(d, n)
	default:
		d.decodeStruct(n, reflect.ValueOf(x).Elem())
	}
}

func (x *Program) decodeNode(d *decoder, n ast.Node) {
	switch n.(type) {
	case *ast.SequenceNode, *ast.StringNode, *ast.LiteralNode:
		x.Function.decodeNode(d, n)
	default:
		d.decodeStruct(n, reflect.ValueOf(x).Elem())
	}
}
