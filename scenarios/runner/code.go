// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios"
)

// checkCode compares the machine code in memory with what the scenario expects of it.
func (s *Session) checkCode() ([]scenarios.Mismatch, error) {
	return s.c.Built.CheckJited(s.ATT, scenarios.TargetNames(s.c.Target)...)
}

// ATT lists function fn of program prog, both by index, as it is in memory now: after Open, with prog
// arrays filled. The form is that of expectations in scenario files.
func (s *Session) ATT(prog, fn int) ([]image.ATTLine, error) {
	f := &s.c.Images[prog].Funcs[fn]
	text := make([]byte, len(f.Code))
	if err := s.m.ReadMemory(f.Addr, text); err != nil {
		return nil, err
	}
	return image.ATTListing(f, text)
}
