// SPDX-License-Identifier: GPL-2.0-only

package vm

import (
	"strings"
	"testing"
)

// TestCPUFor: a kernel that makes no arenas without CMPXCHG16B has it in software emulation, an older one does without.
func TestCPUFor(t *testing.T) {
	for release, want := range map[string]string{
		"": oldCPU, "text": oldCPU, "4.4.0": oldCPU, "6.12.107+deb13-cloud-amd64": oldCPU, "6.18.15": oldCPU,
		"6.19.14+deb13-cloud-amd64": newCPU, "7.0.0-rc1": newCPU, "7.3": newCPU, "10.1": newCPU,
	} {
		image := []byte(strings.Repeat("\x00", 0x400) + release + " (builder) #1 SMP")
		image[versionAt+1] = 2 // 0x200 after 0x200
		if got := releaseOf(strings.NewReader(string(image))); got != release || cpuFor(got) != want {
			t.Errorf("%q: release %q, processor %s; expected %s", release, got, cpuFor(got), want)
		}
	}
	for _, short := range []string{"", strings.Repeat("\x00", versionAt+1)} {
		if got := releaseOf(strings.NewReader(short)); got != "" {
			t.Errorf("%d bytes: release %q", len(short), got)
		}
	}
}
