// SPDX-License-Identifier: GPL-2.0-only

package capture

import "github.com/tcsim/tcsim/jit"

// TargetWith is Header.Target with the code of another target's emitter: of a kernel source only the code is
// taken, and everything else from the description of the captured kernel, as far as that is known. A target
// without an emitter, or none, is returned as it is.
func (h *Header) TargetWith(t *jit.Target) (*jit.Target, error) {
	if t == nil || t.Emitter == nil {
		return t, nil
	}
	own, err := h.Target()
	if err != nil {
		return t, nil
	}
	return t.Of(own)
}
