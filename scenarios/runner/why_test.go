// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"testing"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios/runner"
	"github.com/tcsim/tcsim/scenarios/runner/runnertest"
)

// TestWhy expects a reason for each piece of code in which a target, proposals among them, differs from a kernel.
func TestWhy(t *testing.T) {
	kernels, scenarios := []string{"6.1", "6.12"}, []string{"hierarchy", "poke_one_site"}
	if testing.Short() {
		kernels, scenarios = kernels[1:], scenarios[1:]
	}
	differ := 0
	for _, name := range scenarios {
		b := runnertest.Build(t, name)
		for _, kernel := range kernels {
			from := runnertest.Compiled(t, b, runnertest.Target(t, kernel))
			for _, target := range runnertest.AllTargets(t) {
				to, err := runner.Compile(b, target)
				if err != nil {
					continue // not on this target
				}
				why := runner.Why(b, from.Target, target)
				for i := range to.Images {
					for k := range to.Images[i].Funcs {
						f := &to.Images[i].Funcs[k]
						d := image.DiffPrograms(&from.Images[i].Funcs[k], f, from.Images[i].Program, to.Images[i].Program)
						for g := range d.Groups {
							group := &d.Groups[g]
							if group.Same {
								continue
							}
							differ++
							explained := false
							for r := range why {
								explained = explained || why[r].Changes(f.Name, kernel, target.Name, group)
							}
							if !explained {
								t.Errorf("%s: %s, %s: no reason why %s and %s differ", name, f.Name, group.Where(), kernel, target.Name)
							}
						}
					}
				}
			}
		}
	}
	if differ < 200 {
		t.Errorf("%d pieces differ", differ)
	}
}
