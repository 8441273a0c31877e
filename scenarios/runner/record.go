// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"context"
	"fmt"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/scenarios/measure"
)

// recording keeps what retires.
type recording []record.Retired

func (r *recording) Retired(b []record.Retired) bool { *r = append(*r, b...); return false }
func (r *recording) Sites([]record.Site) bool        { return false }

// Record begins anew, plays up to run number n, from 1, and performs that without checks. It is an error
// if the run does not return.
func (s *Session) Record(ctx context.Context, n int) (*measure.Invocation, error) {
	r, err := s.Before(ctx, n)
	if err != nil {
		return nil, err
	}
	var rec recording
	r.Level, r.MaxInsns, r.Observer = emu.LevelRetired, s.m.opt.MaxInsns, &rec
	res, err := s.m.Run(ctx, r)
	if err != nil {
		return nil, err
	}
	if res.Stop != emu.StopReturn {
		return nil, fmt.Errorf("run %d does not end: %v", n, res.Stop)
	}
	return &measure.Invocation{Machine: s.m.Measured(), Stream: rec, Entry: s.m.begins(r)}, nil
}
