// SPDX-License-Identifier: GPL-2.0-only

package timing_test

import (
	"reflect"
	"testing"

	"github.com/tcsim/tcsim/emu/timing"
)

// TestCoreFile writes every built-in core and reads it back.
func TestCoreFile(t *testing.T) {
	named := *timing.Cores()[0]
	rows := named.Rows()
	rows[0].Ports = "0" // a name, not a number
	named.SetRows(rows)
	for _, c := range append(timing.Cores(), &named) {
		text := c.File(nil)
		back, err := timing.ReadCore("written.yaml", text)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		if !reflect.DeepEqual(back.Rows(), c.Rows()) || !reflect.DeepEqual(values(back), values(c)) ||
			!reflect.DeepEqual(back.Special, c.Special) || !reflect.DeepEqual(back.Back.Schedulers, c.Back.Schedulers) {
			t.Errorf("%s: written and read back it is another core", c.Name)
		}
		if string(back.File(nil)) != string(text) {
			t.Errorf("%s: written twice it is another file", c.Name)
		}
	}
}

// values are the parameters of a core without their sources: a mechanism that is off has none.
func values(c *timing.Core) map[string]string {
	out := map[string]string{}
	for _, p := range c.Params() {
		out[p.Path] = p.Value
	}
	return out
}
