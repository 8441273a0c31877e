// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/kernels"
)

// Target returns the target that the capture's header calls for: jit.TargetFor, with the offsets in
// structures and layout of contexts that the kernel itself reported. A kernel that is newer than all that
// are known is taken for the newest; Note of the target then says so.
func (h *Header) Target() (*jit.Target, error) {
	t, err := jit.TargetFor(h.Kernel)
	if err != nil {
		return nil, err
	}
	if h.Offsets != nil {
		t.Offsets = *h.Offsets
	}
	if h.Context != nil {
		t.Context = kernels.NewContext(*h.Context)
	}
	return t, nil
}
