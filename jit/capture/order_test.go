// SPDX-License-Identifier: GPL-2.0-only

package capture_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit/capture"
)

// TestOrder packs what a capture was made of, and changes the version.
func TestOrder(t *testing.T) {
	f, err := capture.LoadFS(fixtures.FS, "live/6.18-library.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	var want []capture.Scenario
	for i := range f.Scenarios {
		want = append(want, f.Scenarios[i].Order())
	}
	text, err := capture.PackOrder(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := capture.UnpackOrder(text)
	if err != nil {
		t.Fatal(err)
	}
	again, err := capture.PackOrder(got)
	if err != nil || !bytes.Equal(text, again) {
		t.Errorf("%v: packing again gives something else\n%s", err, cmp.Diff(want, got))
	}
	other := bytes.Clone(text)
	other[0] ^= 1
	for name, bad := range map[string][]byte{"another version": other, "none": []byte(`{"Scenarios":[]}`)} {
		if got, err := capture.UnpackOrder(bad); !errors.Is(err, capture.ErrOrder) || got != nil {
			t.Errorf("%s: %d scenarios, %v", name, len(got), err)
		}
	}
	if got, err := capture.UnpackOrder(text[:len(text)/2]); err == nil || got != nil {
		t.Errorf("half an order: %d scenarios, %v", len(got), err)
	}
}
