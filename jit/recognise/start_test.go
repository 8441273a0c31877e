// SPDX-License-Identifier: GPL-2.0-only

package recognise_test

import (
	"github.com/tcsim/tcsim/jit/jittest"
)

// What tests begin with.
var (
	must, unhex, assemble = jittest.Must, jittest.Unhex, jittest.Assemble
	readCapture, compiled = jittest.ReadCapture, jittest.Compiled
	captureTargets        = jittest.CaptureTargets
)

const shortStride = jittest.ShortStride
