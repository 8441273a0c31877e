// SPDX-License-Identifier: GPL-2.0-only

package explain_test

import _ "github.com/tcsim/tcsim/fixtures/golden" // knows -update, which go test passes to every package
