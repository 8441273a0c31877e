// SPDX-License-Identifier: GPL-2.0-only

package record_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/fixtures/flood"
)

func TestStreams(t *testing.T) {
	want := map[string][]record.Retired{
		"a": {{RIP: 0xffffffffc0001000, EA: 0xffffc90000001000}, {RIP: 0x10}, {RIP: 0x12, EA: 8}},
		"b": {{RIP: 1}},
	}
	var b bytes.Buffer
	for _, n := range []string{"a", "b"} {
		if err := record.WriteStream(&b, n, want[n]); err != nil {
			t.Fatal(err)
		}
	}
	got, err := record.ReadStreams(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for n := 1; n < b.Len(); n++ {
		if _, err := record.ReadStreams(bytes.NewReader(b.Bytes()[:n])); err == nil && n != lenOf(t, want["a"]) {
			t.Errorf("cut to %d of %d bytes: no error", n, b.Len())
		}
	}
	if _, err := record.ReadStreams(bytes.NewReader(append(b.Bytes(), b.Bytes()...))); err == nil {
		t.Error("recorded twice: no error")
	}
}

// lenOf is the length of an entry named a.
func lenOf(t *testing.T, s []record.Retired) int {
	t.Helper()
	var b bytes.Buffer
	if err := record.WriteStream(&b, "a", s); err != nil {
		t.Fatal(err)
	}
	return b.Len()
}

func FuzzReadStreams(f *testing.F) {
	var b bytes.Buffer
	if err := record.WriteStream(&b, "a", []record.Retired{{RIP: 1, EA: 2}, {RIP: 3}}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(flood.One(func(t *testing.T, data []byte) {
		m, err := record.ReadStreams(bytes.NewReader(data))
		if (m == nil) == (err == nil) {
			t.Errorf("streams %v with error %v", m, err)
		}
	}))
}
