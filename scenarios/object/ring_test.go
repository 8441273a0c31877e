// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package object_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/scenarios/object"
)

// TestRingSize: loaders make ring buffers as large as kernels want them; one without a size says how to set it.
func TestRingSize(t *testing.T) {
	for _, c := range []struct {
		asked string
		size  uint32
	}{{"1", 4096}, {"1000", 4096}, {"4096", 4096}, {"4097", 8192}, {"0x6000", 0x8000}, {"0", 0}, {"0x80000001", 0}} {
		f, err := object.Open(folder+"maps.o", object.ReadOptions{Maps: []string{"ring.max_entries=" + c.asked}})
		if err != nil {
			t.Fatal(err)
		}
		b, err := f.Load(nil)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(b.Maps, func(m bpf.Map) bool { return m.Type == bpf.RingBuf })
		if c.size != 0 {
			if i < 0 || b.Maps[i].MaxEntries != c.size {
				t.Errorf("%s bytes: map %d of %+v, expected one of %d bytes", c.asked, i, b.Maps, c.size)
			}
			continue
		}
		left := ""
		for i := range f.Programs {
			if err := f.LeftOutOf(i); err != nil {
				left += err.Error()
			}
		}
		if !strings.Contains(left, "--map ring.max_entries=N") {
			t.Errorf("%s bytes: %q does not say how to size it", c.asked, left)
		}
	}
}
