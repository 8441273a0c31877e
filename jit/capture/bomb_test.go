// SPDX-License-Identifier: GPL-2.0-only

package capture_test

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/capture"
)

// TestBombs: small files that inflate to more than is read are refused, and cost little more than what is read.
func TestBombs(t *testing.T) {
	if testing.Short() {
		t.Skip("inflates much")
	}
	for name, line := range map[string]string{
		"many long lines":   `{"name":"` + strings.Repeat("A", 8<<20) + "\"}\n",
		"one endless line":  strings.Repeat("A", 8<<20),
		"many lines of air": strings.Repeat("\n", 8<<20),
	} {
		var file bytes.Buffer
		z, _ := gzip.NewWriterLevel(&file, gzip.BestSpeed)
		for range 17 {
			if _, err := z.Write([]byte(line)); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := capture.Read(&file, "bomb"); err == nil || !strings.Contains(err.Error(), "more than") {
			t.Errorf("%s: %v", name, err)
		}
		runtime.ReadMemStats(&after)
		if n := (after.TotalAlloc - before.TotalAlloc) >> 20; n > 220 {
			t.Errorf("%s: %d MiB were allocated", name, n)
		}
	}
}

// TestLarge: a file of more text than usual is read if it is compressed as text of captures is.
func TestLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("inflates much")
	}
	var file bytes.Buffer
	z, _ := gzip.NewWriterLevel(&file, gzip.BestSpeed)
	rnd, line := rand.NewChaCha8([32]byte{}), make([]byte, 4<<20)
	_, _ = rnd.Read(line)
	text := append([]byte(hex.EncodeToString(line)), '\n')
	for range 17 {
		if _, err := z.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := capture.Read(&file, "large"); err == nil || strings.Contains(err.Error(), "more than") {
		t.Errorf("error %.200v, expected one about a line", err)
	}
}
