// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit/bpf"
)

// TestOwned: the parts of structures that only helpers touch, with what lists, trees and pointers lead to.
func TestOwned(t *testing.T) {
	number := &btf.Int{Name: "long", Size: 8}
	node := &btf.Struct{Name: "bpf_rb_node", Size: 32, Members: []btf.Member{{Name: "a", Type: &btf.Array{Type: number, Index: number, Nelems: 4}}}}
	root := &btf.Struct{Name: "bpf_rb_root", Size: 16, Members: []btf.Member{{Name: "a", Type: &btf.Array{Type: number, Index: number, Nelems: 2}}}}
	item := &btf.Struct{Name: "item", Size: 40, Members: []btf.Member{{Name: "key", Type: number}, {Name: "in", Type: node, Offset: 64}}}
	task := &btf.Struct{Name: "task_struct", Size: 8, Members: []btf.Member{{Name: "pid", Type: number}}}
	kept := func(to btf.Type, tag string) btf.Type {
		return &btf.Pointer{Target: &btf.TypeTag{Value: tag, Type: to}}
	}
	holder := &btf.Struct{Name: "holder", Size: 48, Members: []btf.Member{
		{Name: "tree", Type: root, Tags: []string{"contains:item:in"}},
		{Name: "own", Type: kept(item, "kptr"), Offset: 16 * 8},
		{Name: "each", Type: kept(item, "percpu_kptr"), Offset: 24 * 8},
		{Name: "task", Type: kept(task, "kptr"), Offset: 32 * 8},
		{Name: "n", Type: number, Offset: 40 * 8},
	}}
	many := &btf.Struct{Name: "many", Size: 96, Members: []btf.Member{{Name: "a", Type: &btf.Array{Type: kept(item, "kptr"), Index: number, Nelems: 12}}}}
	none := &btf.Struct{Name: "none"}
	batch := func(name string, each btf.Type) *btf.Struct {
		return &btf.Struct{Name: name, Size: 8, Members: []btf.Member{{Name: "n", Type: number}, {Name: "each", Type: &btf.Array{Type: each, Index: number}, Offset: 64}}}
	}
	spec := func(types ...btf.Type) *btf.Spec {
		t.Helper()
		b, err := btf.NewBuilder(types, nil)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := b.Marshal(nil, &btf.MarshalOptions{Order: binary.LittleEndian})
		if err != nil {
			t.Fatal(err)
		}
		out, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	o := &owned{types: spec(item, task, holder, many, none, batch("batch", item), batch("empty", none)), kernel: spec(task)}
	find := func(name string) (*btf.Struct, int64) {
		var s *btf.Struct
		if err := o.types.TypeByName(name, &s); err != nil {
			t.Fatal(err)
		}
		return s, int64(o.id(s))
	}
	_, itemID := find("item")
	_, holderID := find("holder")
	want := []bpf.SpecialField{
		{Kind: bpf.SpecialTreeRoot, Size: 16, Own: int32(itemID), Node: 8},
		{Kind: bpf.SpecialPointer, Off: 16, Size: 8, Type: "item", Own: int32(itemID)},
		{Kind: bpf.SpecialPointer, Off: 24, Size: 8, Type: "item", Own: int32(itemID), PerCPU: true},
		{Kind: bpf.SpecialPointer, Off: 32, Size: 8, Type: "task_struct"},
	}
	s := o.Struct(holderID)
	if s == nil || s.Name != "holder" || s.Size != 48 || s.Numbers {
		t.Fatalf("%+v", s)
	}
	if d := cmp.Diff(want, s.Special.Fields); d != "" {
		t.Error(d)
	}
	if o.Struct(0) != nil || o.Struct(-1) != nil || o.Struct(1<<33+itemID) != nil {
		t.Error("structures that are none")
	}
	for off, ok := range map[int64]bool{40: true, 41: false, 48: false} {
		if err := o.Load(holderID, off, 8); (err == nil) != ok {
			t.Errorf("a load at %d: %v", off, err)
		}
	}
	for name, ok := range map[string]bool{"batch": true, "empty": false} { // beyond its end there are more elements, unless they have no size
		if _, id := find(name); (o.Load(id, 16, 8) == nil) != ok {
			t.Errorf("%s: a load beyond its end, expected %t", name, ok)
		}
	}
	if many, _ := find("many"); len(o.special(many).Fields) != 0 {
		t.Error("twelve parts are known, and verifiers know eleven")
	}
}
