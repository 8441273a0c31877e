// SPDX-License-Identifier: GPL-2.0-only

package capture_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
)

// TestMerge goes on with a capture that lacks scenarios.
func TestMerge(t *testing.T) {
	file := func(release string, at image.Addr, scenarios ...capture.Scenario) *capture.File {
		f := &capture.File{Name: "f", Scenarios: scenarios, Symbols: capture.Symbols{Addr: map[string]image.Addr{"bpf_tail_call": at}}}
		f.Header.Kernel.Release = release
		return f
	}
	f := file("6.12", 1, capture.Scenario{Name: "a"}, capture.Scenario{Name: "b", Error: "out of memory"})
	if got := f.Lacks([]string{"a", "b", "c"}); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("lacks %v", got)
	}
	if err := f.Merge(file("6.12", 1, capture.Scenario{Name: "b"}, capture.Scenario{Name: "c"})); err != nil {
		t.Fatal(err)
	}
	if got := f.Lacks([]string{"a", "b", "c"}); len(got) != 0 || len(f.Scenarios) != 3 || f.Header.Scenarios != 3 {
		t.Errorf("lacks %v of %d", got, len(f.Scenarios))
	}
	for want, other := range map[string]*capture.File{
		"is a capture of 6.12": file("6.13", 1), "bpf_tail_call is at 0x1 there and at 0x2 here": file("6.12", 2),
	} {
		if err := f.Merge(other); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
}
