// SPDX-License-Identifier: GPL-2.0-only

package units

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/jit/outfile"
	"github.com/tcsim/tcsim/scenarios/campaign"
)

// WriteFailures writes the files of the first failures, the others are only counted. All failures are returned, also with an
// error, which says what cannot be written.
func WriteFailures(part *campaign.FuzzShard, dir string) ([]render.Fuzzed, error) {
	out := []render.Fuzzed{}
	var errs []error
	for i := range part.Failures {
		f := &part.Failures[i]
		x := render.Fuzzed{Target: f.Target, Verdict: f.Verdict, Count: f.Count, First: f.First, Why: f.Why, Shrunk: f.Shrunk, Tries: f.Tries}
		for _, name := range slices.Sorted(maps.Keys(f.Files)) {
			path := filepath.Join(dir, name)
			if err := writeWhole(path, f.Files[name]); err != nil {
				errs = append(errs, err)
			} else {
				x.Files = append(x.Files, path)
			}
			if strings.HasSuffix(name, ".yaml") {
				x.Scenario = f.Files[name]
			}
		}
		out = append(out, x)
	}
	return out, errors.Join(errs...)
}

// writeWhole writes a file that is there with all its text or not at all.
func writeWhole(path, text string) error {
	if err := outfile.Folder(filepath.Dir(path)); err != nil {
		return err
	}
	return outfile.Write(path, []byte(text))
}
