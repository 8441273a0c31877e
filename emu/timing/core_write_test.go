// SPDX-License-Identifier: GPL-2.0-only

package timing_test

import (
	"reflect"
	"testing"

	"github.com/tcsim/tcsim/emu/timing"
)

// TestCoreFile writes every built-in core and reads it back.
func TestCoreFile(t *testing.T) {
	for _, c := range timing.Cores() {
		text := c.File(nil)
		back, err := timing.ReadCore("written.yaml", text)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		if !reflect.DeepEqual(back.Rows(), c.Rows()) || !reflect.DeepEqual(back.Params(), c.Params()) ||
			!reflect.DeepEqual(back.Special, c.Special) || !reflect.DeepEqual(back.Back.Schedulers, c.Back.Schedulers) {
			t.Errorf("%s: written and read back it is another core", c.Name)
		}
		if string(back.File(nil)) != string(text) {
			t.Errorf("%s: written twice it is another file", c.Name)
		}
	}
}
