// SPDX-License-Identifier: GPL-2.0-only

package jittest

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"testing"

	"github.com/tcsim/tcsim/fixtures"
)

// CaptureNames returns the captures of fixtures/kernels, as files of package fixtures.
func CaptureNames(t testing.TB) []string {
	t.Helper()
	names, err := fs.Glob(fixtures.FS, "kernels/*.jsonl.gz")
	if err != nil || len(names) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	return names
}

// Pack compresses the text of a capture.
func Pack(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, text)
	Must(t, err)
	Must(t, z.Close())
	return b.Bytes()
}
