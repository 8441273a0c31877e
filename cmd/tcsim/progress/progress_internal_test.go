// SPDX-License-Identifier: GPL-2.0-only

package progress

import (
	"testing"
	"time"
)

func TestRate(t *testing.T) {
	for done, want := range map[int64]string{3: "1.5/s", 25: "12.5/s", 3_460: "1730/s", 2_000_000: "1000000/s"} {
		if got := rate(done, 1, 2*time.Second); got != want {
			t.Errorf("%d in 2 s: %s, want %s", done, got, want)
		}
	}
}
