// SPDX-License-Identifier: GPL-2.0-only

package replay_test

import "github.com/tcsim/tcsim/scenarios/runner/runnertest"

var library = runnertest.Library
