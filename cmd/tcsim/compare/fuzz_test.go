// SPDX-License-Identifier: GPL-2.0-only

package compare_test

import (
	"testing"

	"github.com/tcsim/tcsim/cmd/tcsim/compare"
	"github.com/tcsim/tcsim/fixtures/flood"
)

// FuzzResults: nothing differs between a result and itself, and what is no result is an error.
func FuzzResults(f *testing.F) {
	f.Add([]byte(`{"schema": "tcsim.run/v1", "results": [{"scenario": "a", "target": "6.12", "runs": [{"taken": 1}]}]}`), []byte(`{"schema": "tcsim.run/v1"}`))
	f.Add([]byte(`{"a": [[1, 2], {"name": "x", "b": null}], "c": 1e400}`), []byte(`{"a": {"a": {"a": []}}}`))
	f.Add([]byte(`[]`), []byte(`{}`))
	f.Fuzz(flood.Two(func(t *testing.T, a, b []byte) {
		same, err := compare.Objects(a, a)
		if err == nil && len(same) > 0 {
			t.Fatalf("%s differs from itself: %v", a, same)
		}
		x, errX := compare.Objects(a, b)
		y, errY := compare.Objects(b, a)
		if (errX == nil) != (errY == nil) || len(x) != len(y) {
			t.Fatalf("%v, %v, and the other way %v, %v", x, errX, y, errY)
		}
	}))
}
