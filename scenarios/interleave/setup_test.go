// SPDX-License-Identifier: GPL-2.0-only

package interleave_test

import "github.com/tcsim/tcsim/scenarios/runner/runnertest"

var (
	build, buildText = runnertest.Build, runnertest.BuildText
	target           = runnertest.Target
	compiled         = runnertest.Compiled
)
