// SPDX-License-Identifier: GPL-2.0-only

package replay_test

import "github.com/tcsim/tcsim/scenarios/runner/runnertest"

var (
	build, buildText, library = runnertest.Build, runnertest.BuildText, runnertest.Library
	target, compiled          = runnertest.Target, runnertest.Compiled
	opened, play              = runnertest.Opened, runnertest.Play
)
