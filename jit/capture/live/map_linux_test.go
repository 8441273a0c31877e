// SPDX-License-Identifier: GPL-2.0-only

package live

import (
	"bytes"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
)

// TestUnknownMapType: a kernel whose types name no arena makes none, and says so of whatever needs it.
func TestUnknownMapType(t *testing.T) {
	b, err := btf.NewBuilder([]btf.Type{&btf.Enum{Name: "bpf_map_type", Size: 4, Values: []btf.EnumValue{
		{Name: "BPF_MAP_TYPE_HASH", Value: 1}, {Name: "BPF_MAP_TYPE_ARRAY", Value: 2},
	}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := b.Marshal(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	types, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	k := &Kernel{types: types}
	if !k.hasMapType(bpf.ArrayMap) || k.hasMapType(bpf.ArenaMap) || !(&Kernel{}).hasMapType(bpf.ArenaMap) {
		t.Error("arrays are known, arenas are not; without types everything may be")
	}
	l := &Loaded{k: k, sc: &capture.Scenario{Maps: []capture.Map{{Map: bpf.Map{Name: "ar", Type: bpf.ArenaMap}}}}, maps: []*ebpf.Map{nil}}
	for what, err := range map[string]error{"store": l.Store(0, nil, nil), "map": l.StoreMap(0, nil, 0), "delete": l.Delete(0, nil)} {
		if err == nil || !strings.Contains(err.Error(), "no maps of the type of ar") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
