// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/scenarios/measure"
)

// feed hands the machine's records to the checker as batches.
type feed struct {
	chk     *check.Checker
	first   uint64           // number of the first instruction not yet handed over
	retired []record.Retired // to go with the sites that follow
	clock   *measure.Clock   // nil without timing
	states  *siteStates
}

func (f *feed) reset() {
	f.chk.Reset()
	f.first, f.retired, f.clock = 0, nil, nil
	f.states.reset()
}

// Frames implements emu.FrameObserver.
func (f *feed) Frames(b [][emu.FrameSize]byte) { f.states.memory(b) }

// Retired implements emu.Observer.
func (f *feed) Retired(b []record.Retired) bool {
	f.retired = b
	if f.clock != nil {
		f.clock.Retired(b)
	}
	return false
}

// Sites implements emu.Observer.
func (f *feed) Sites(sites []record.Site) bool {
	f.states.sites(sites)
	b := trace.Batch{First: f.first, Retired: f.retired, Sites: sites}
	f.first += uint64(len(f.retired))
	f.retired = nil
	return f.chk.Consume(b)
}
