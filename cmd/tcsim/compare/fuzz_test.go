// SPDX-License-Identifier: GPL-2.0-only

package compare_test

import (
	"testing"

	"github.com/tcsim/tcsim/fixtures/flood"
)

// FuzzResults: nothing differs between a result and itself, and what is no result is an error.
func FuzzResults(f *testing.F) {
	f.Add([]byte(`{"schema": "tcsim.run/v1", "results": [{"scenario": "a", "target": "6.12", "runs": [{"taken": 1}]}]}`), []byte(`{"schema": "tcsim.run/v1"}`))
	f.Add([]byte(`{"a": [[1, 2], {"name": "x", "b": null}], "c": 1e400}`), []byte(`{"a": {"a": {"a": []}}}`))
	f.Add([]byte(`[]`), []byte(`{}`))
	f.Fuzz(flood.Two(func(t *testing.T, a, b []byte) {
		same, err := objects(string(a), string(a))
		if err == nil && len(same) > 0 {
			t.Fatalf("%s differs from itself: %v", a, same)
		}
		x, errX := objects(string(a), string(b))
		y, errY := objects(string(b), string(a))
		if (errX == nil) != (errY == nil) || len(x) != len(y) {
			t.Fatalf("%v, %v, and the other way %v, %v", x, errX, y, errY)
		}
	}))
}
