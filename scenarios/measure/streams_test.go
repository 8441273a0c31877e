// SPDX-License-Identifier: GPL-2.0-only

package measure_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/timing/timingtest"
	"github.com/tcsim/tcsim/fixtures/golden"
	"github.com/tcsim/tcsim/scenarios/measure"
)

// TestRecordedStreams records the measured sequences again: tests of the models have them from a file.
func TestRecordedStreams(t *testing.T) {
	const path = "../../emu/timing/timingtest/streams.gz"
	m, err := emu.New(emu.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	c := timingtest.Load(t)
	var b bytes.Buffer
	for i := range c.Measured.Sequences {
		s := &c.Measured.Sequences[i]
		if testing.Short() && !golden.Update() && i%8 != 0 && s.Kind != "muldiv" {
			continue
		}
		stream, err := measure.Stream(t.Context(), m, s)
		if err != nil {
			t.Fatal(err)
		}
		if was := c.Streams[s.Name]; !golden.Update() && !slices.Equal(stream, was) {
			t.Errorf("%s: another stream than in %s; -update records it", s.Name, path)
		}
		if err := record.WriteStream(&b, s.Name, stream); err != nil {
			t.Fatal(err)
		}
	}
	if golden.Update() {
		var packed bytes.Buffer
		z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(z, &b); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, packed.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
