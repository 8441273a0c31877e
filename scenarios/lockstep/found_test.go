// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package lockstep_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// TestFound plays what random programs found wrong in tcsim.
func TestFound(t *testing.T) {
	files, err := filepath.Glob("testdata/found/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sc, err := scenarios.Load(f, text)
		if err != nil {
			t.Fatal(err)
		}
		b, err := scenarios.Build(sc)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"6.12", "7.2"} {
			c, err := runner.Compile(b, target(t, name))
			if err != nil {
				t.Errorf("%s: %s: %v", f, name, err)
				continue
			}
			s, err := runner.Open(c, runner.Options{})
			if err != nil {
				t.Fatal(err)
			}
			res, err := s.Play(context.Background())
			if err != nil || !res.OK() {
				t.Errorf("%s: %s: %v, %v", f, name, err, res)
			}
			s.Close()
		}
	}
}
