// SPDX-License-Identifier: GPL-2.0-only

package image_test

import (
	"github.com/tcsim/tcsim/jit/jittest"
)

// What tests begin with.
var must, readCapture, compiled = jittest.Must, jittest.ReadCapture, jittest.Compiled

type flatEnv = jittest.FlatEnv
