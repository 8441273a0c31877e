// SPDX-License-Identifier: GPL-2.0-only

// Package timingtest is what tests of the timing models begin with: measured sequences, their recorded streams and
// their predictions. It is for tests only.
package timingtest

import (
	"bytes"
	"compress/gzip"
	_ "embed" // for the streams
	"io"
	"sync"
	"testing"

	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/fixtures"
)

// recorded are the measurements of Golden Cove, and recordedZen5 those of Zen 5, with the streams of
// their sequences, which are the same; read once.
var (
	recorded     = sync.OnceValues(func() (*Corpus, error) { return readCorpus("uarch/measured.json") })
	recordedZen5 = sync.OnceValues(func() (*Corpus, error) { return readCorpus("uarch/zen5/measured.json") })
)

// streams are the recorded streams of all sequences.
//
//go:embed streams.gz
var streams []byte

func readCorpus(name string) (*Corpus, error) {
	raw, err := fixtures.FS.ReadFile(name)
	if err != nil {
		return nil, err
	}
	m, err := measured.Read(name, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(streams))
	if err != nil {
		return nil, err
	}
	all, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	s, err := record.ReadStreams(bytes.NewReader(all))
	return &Corpus{Measured: m, Streams: s}, err
}

// Corpus is the measured sequences of a core and the stream of each.
type Corpus struct {
	Measured *measured.File
	Streams  map[string][]record.Retired
}

// Load returns the measurements of Golden Cove.
func Load(t testing.TB) *Corpus {
	t.Helper()
	c, err := recorded()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// LoadFor returns the measurements of a core.
func LoadFor(t testing.TB, name string) *Corpus {
	t.Helper()
	if name != "zen5" {
		return Load(t)
	}
	c, err := recordedZen5()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Sequence returns a measured sequence and its stream.
func (c *Corpus) Sequence(t testing.TB, name string) (*measured.Sequence, []record.Retired) {
	t.Helper()
	for n := range c.Measured.Sequences {
		if s := &c.Measured.Sequences[n]; s.Name == name {
			return s, c.Streams[name]
		}
	}
	t.Fatalf("no sequence %s", name)
	return nil, nil
}

// Predict returns the prediction for a sequence on a core.
func (c *Corpus) Predict(t testing.TB, core *timing.Core, name string) measured.Result {
	t.Helper()
	s, stream := c.Sequence(t, name)
	p, err := s.Predict(core, stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.Judge(p)
}

// Core returns a copy of a core that a test may change.
func Core(t testing.TB, name string) *timing.Core {
	t.Helper()
	c, err := timing.CoreNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	d := *c
	return &d
}
