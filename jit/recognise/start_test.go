// SPDX-License-Identifier: GPL-2.0-only

package recognise_test

import (
	"github.com/tcsim/tcsim/jit/jittest"
)

// What tests begin with.
var (
	must, assemble        = jittest.Must, jittest.Assemble
	readCapture, compiled = jittest.ReadCapture, jittest.Compiled
	captureTargets        = jittest.CaptureTargets
)

const shortStride = jittest.ShortStride
