// SPDX-License-Identifier: GPL-2.0-only

package conform

import (
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/kernels"
)

// blindTarget is the target for one program: with the numbers that its kernel drew.
func (j *job) blindTarget(n int) (*jit.Target, error) {
	t := j.target
	if t.Emit.Blind == nil || !j.src.Header.Blinds() {
		return t, nil
	}
	drawn, err := j.s.Drawn(n)
	if err != nil {
		return nil, err
	}
	own := *t
	own.Emit.Blind = &kernels.Blinding{Drawn: drawn}
	return &own, nil
}
