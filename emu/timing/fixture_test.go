// SPDX-License-Identifier: GPL-2.0-only

package timing_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"sync"
	"testing"

	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/fixtures"
)

// recorded are the measurements of Golden Cove, and recordedZen5 those of Zen 5, with the streams of
// their sequences, which are the same; read once.
var (
	recorded     = sync.OnceValues(func() (*corpus, error) { return readCorpus("uarch/measured.json") })
	recordedZen5 = sync.OnceValues(func() (*corpus, error) { return readCorpus("uarch/zen5/measured.json") })
)

func readCorpus(name string) (*corpus, error) {
	raw, err := fixtures.FS.ReadFile(name)
	if err != nil {
		return nil, err
	}
	m, err := timing.ReadMeasured(name, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	f, err := os.Open("testdata/streams.gz")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	all, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	s, err := record.ReadStreams(bytes.NewReader(all))
	return &corpus{measured: m, streams: s}, err
}

type corpus struct {
	measured *timing.Measured
	streams  map[string][]record.Retired
}

func load(t testing.TB) *corpus {
	t.Helper()
	c, err := recorded()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// loadFor returns the measurements of a core.
func loadFor(t testing.TB, name string) *corpus {
	t.Helper()
	if name != "zen5" {
		return load(t)
	}
	c, err := recordedZen5()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sequence returns a measured sequence and its stream.
func (c *corpus) sequence(t testing.TB, name string) (*timing.Sequence, []record.Retired) {
	t.Helper()
	for n := range c.measured.Sequences {
		if s := &c.measured.Sequences[n]; s.Name == name {
			return s, c.streams[name]
		}
	}
	t.Fatalf("no sequence %s", name)
	return nil, nil
}

// predict returns the prediction for a sequence on a core.
func (c *corpus) predict(t testing.TB, core *timing.Core, name string) timing.Result {
	t.Helper()
	s, stream := c.sequence(t, name)
	p, err := s.Predict(core, stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.Judge(p)
}

// core returns a copy of a core that a test may change.
func core(t testing.TB, name string) *timing.Core {
	t.Helper()
	c, err := timing.CoreNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	d := *c
	return &d
}
