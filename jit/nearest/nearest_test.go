// SPDX-License-Identifier: GPL-2.0-only

package nearest_test

import (
	"testing"

	"github.com/tcsim/tcsim/jit/nearest"
)

func TestDidYouMean(t *testing.T) {
	known := []string{"6.1", "6.12", "7.2", "hierarchy", "hierarchy_2", "run", "replay"}
	for word, want := range map[string]string{
		"hierarch": "hierarchy", "heirarchy": "hierarchy", "hierarchy_": "hierarchy", "hier": "hierarchy",
		"rnu": "run", "6.3": "6.1", "6.122": "6.12", "dance": "", "": "", "x": "",
	} {
		if want != "" {
			want = `; did you mean "` + want + `"?`
		}
		if got := nearest.DidYouMean(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
