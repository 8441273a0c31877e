// SPDX-License-Identifier: GPL-2.0-only

package units

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/jit/outfile"
	"github.com/tcsim/tcsim/scenarios/campaign"
)

// WriteFailures writes the files of the first failures, the others are only counted.
func WriteFailures(part *campaign.FuzzShard, dir string) ([]render.Fuzzed, error) {
	out := []render.Fuzzed{}
	for i := range part.Failures {
		f := &part.Failures[i]
		x := render.Fuzzed{Target: f.Target, Verdict: f.Verdict, Count: f.Count, First: f.First, Why: f.Why, Shrunk: f.Shrunk, Tries: f.Tries}
		for _, name := range slices.Sorted(maps.Keys(f.Files)) {
			path := filepath.Join(dir, name)
			if err := writeWhole(path, f.Files[name]); err != nil {
				return nil, err
			}
			x.Files = append(x.Files, path)
			if strings.HasSuffix(name, ".yaml") {
				x.Scenario = f.Files[name]
			}
		}
		out = append(out, x)
	}
	return out, nil
}

// writeWhole writes a file that is there with all its text or not at all.
func writeWhole(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	return outfile.Write(path, []byte(text))
}
