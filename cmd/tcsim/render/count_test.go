// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"math/big"
	"testing"
)

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 17179869182: "17,179,869,182"} {
		if got := grouped(big.NewInt(n)); got != want {
			t.Errorf("grouped(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for s, want := range map[float64]string{
		4.17e-7: "0.417 µs", 0.25: "250 ms", 152.2: "152 s", 10 * 86400: "10 days", 1e9: "32 years", 1e20: "3.2e+12 years",
	} {
		if got := duration(s); got != want {
			t.Errorf("duration(%v) = %q, want %q", s, got, want)
		}
	}
}
