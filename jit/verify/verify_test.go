// SPDX-License-Identifier: GPL-2.0-only

package verify_test

import (
	"github.com/tcsim/tcsim/jit/jittest"
)

// What tests begin with.
var must, named = jittest.Must, jittest.Target
