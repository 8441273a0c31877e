// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// TestAmbiguous: types that disagree cannot be chosen from, and the answer says which types were asked and how to name others.
func TestAmbiguous(t *testing.T) {
	spec, err := ebpf.LoadCollectionSpec("../../fixtures/objects/core.o")
	if err != nil {
		t.Fatal(err)
	}
	number := &btf.Int{Name: "int", Size: 4}
	var types []btf.Type
	for i, name := range []string{"tcsim_task___a", "tcsim_task___b"} {
		types = append(types, &btf.Struct{Name: name, Size: 8, Members: []btf.Member{{Name: "pid", Type: number, Offset: btf.Bits(i) * 32}}})
	}
	b, err := btf.NewBuilder(types, nil)
	if err != nil {
		t.Fatal(err)
	}
	marshalled, err := b.Marshal(nil, &btf.MarshalOptions{Order: binary.LittleEndian})
	if err != nil {
		t.Fatal(err)
	}
	two, err := btf.LoadSpecFromReader(bytes.NewReader(marshalled))
	if err != nil {
		t.Fatal(err)
	}
	insns := spec.Programs["fields"].Instructions
	for _, tc := range []struct {
		given, own *btf.Spec
		want       string
	}{
		{nil, two, "with the file's own types, as no --btf names a file with those of a kernel: "},
		{two, spec.Types, "with the types that --btf names: "},
	} {
		l := linker{r: &reader{types: tc.given, spec: &ebpf.CollectionSpec{Types: tc.own}}, insns: insns}
		if err := l.relocate(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v, expected %q", err, tc.want)
		}
	}
}
