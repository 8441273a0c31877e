// SPDX-License-Identifier: GPL-2.0-only

package live_test

import _ "github.com/tcsim/tcsim/fixtures/golden" // for go test ./... -update
