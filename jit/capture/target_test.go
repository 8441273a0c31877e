// SPDX-License-Identifier: GPL-2.0-only

package capture_test

import (
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/kernels"
)

func TestTarget(t *testing.T) {
	src, err := capture.OpenFS(fixtures.FS, "kernels/6.18-host.jsonl.gz", "6.18-host")
	if err != nil {
		t.Fatal(err)
	}
	for release, want := range map[string]string{
		"6.18.44-fc-v445": "6.18", "6.19.1": "6.19-jumpsls", "6.13.0-rc1": "6.13-jumpsls", "8.0.0": "7.3-noendbr-nosls",
	} {
		h := src.Header
		h.Kernel.Release = release
		h.Offsets = &kernels.Offsets{MapMaxEntries: 1, ArrayPtrs: 2, ProgBPFFunc: 3}
		got, err := h.Target()
		if err != nil {
			t.Errorf("%s: %v", release, err)
			continue
		}
		if got.Name != want || got.Offsets != *h.Offsets {
			t.Errorf("%s: target %s with offsets %+v, want %s", release, got.Name, got.Offsets, want)
		}
		if near := !strings.HasPrefix(release, "6.18."); near != (got.Note != "") {
			t.Errorf("%s: note %q", release, got.Note)
		}
	}
	for _, release := range []string{"4.2.0", "weird", ""} {
		h := src.Header
		h.Kernel.Release = release
		if got, err := h.Target(); err == nil {
			t.Errorf("release %q gives target %s", release, got.Name)
		}
	}
}
