// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// TestPlaces: what a verifier or a compiler refuses stands in the error with its place in the file, also where
// instructions before it have become others or are gone.
func TestPlaces(t *testing.T) {
	for _, tc := range []struct {
		target, insns, place, text string
		unsupported                bool
	}{
		{"6.12", "r0 = 1\n    r0 = r5\n    exit", "x.yaml:6:5: ", "r5 is not initialised", false},
		{"6.1", "r1 = 7\n    r2 = 0\n    r1 /= r2\n    w1 s/= w2\n    r0 = 1\n    exit", "x.yaml:8:5: ", "signed division", true},
		{"6.1", "r3 = 1\n    if r3 == 1 goto on\n    r4 = 4\n    on: r1 = 7\n    r2 = 2\n    r1 s/= r2\n    r0 = 1\n    exit", "x.yaml:10:5: ", "signed division", true},
		{"6.1", "may_goto on\n    r0 = 0\n    on: r0 = 1\n    exit", "x.yaml:5:5: ", "may_goto", true},
		{"6.8", "r1 = 1\n    may_goto on\n    r0 = 0\n    on: r0 = 1\n    exit", "x.yaml:6:5: ", "may_goto", true},
		{"6.9", "may_goto on\n    r0 = 0\n    on: r0 = 1\n    exit", "", "", false},
	} {
		tg, err := jit.TargetByName(tc.target)
		if err != nil {
			t.Fatal(err)
		}
		text := "version: 1\nname: x\nprograms:\n  p: |\n    " + tc.insns + "\nruns:\n  - run: p\n"
		_, err = runner.Compile(buildText(t, "x.yaml", []byte(text)), tg)
		switch {
		case tc.text == "":
			if err != nil {
				t.Errorf("%s: %s: %v", tc.target, tc.insns, err)
			}
		case err == nil || !strings.HasPrefix(err.Error(), tc.place) || !strings.Contains(err.Error(), tc.text):
			t.Errorf("%s: %s: %v, expected %s…%s", tc.target, tc.insns, err, tc.place, tc.text)
		case errors.Is(err, kernels.ErrUnsupported) != tc.unsupported:
			t.Errorf("%s: %s: %v: unsupported %v", tc.target, tc.insns, err, !tc.unsupported)
		}
	}
}
