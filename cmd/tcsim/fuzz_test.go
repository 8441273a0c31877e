// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestMain lets the test binary be tcsim where tests start it as one, and where it starts itself.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "tcsim" || len(os.Args) > 1 && (os.Args[1] == workerVerb || os.Args[1] == "fuzz") {
		main()
	}
	os.Exit(m.Run())
}
