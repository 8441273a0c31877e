// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"strings"

	"github.com/tcsim/tcsim/jit"
)

// TargetWith is Header.Target with the code of another target's emitter: of a kernel source only the code is
// taken, and everything else from the description of the captured kernel, as far as that is known, in the version that
// the source is of. A target without an emitter, or none, is returned as it is.
func (h *Header) TargetWith(t *jit.Target) (*jit.Target, error) {
	if t == nil || t.Emitter == nil {
		return t, nil
	}
	own, err := h.Target()
	if err != nil {
		return t, nil
	}
	if own.Version != t.Version { // what verifiers of that version do goes with the source, what is switched on with the capture
		name := strings.Join(append([]string{t.Version.String()}, own.Features...), "-")
		if own, err = jit.TargetByName(name); err != nil {
			return t, nil
		}
	}
	return t.Of(own)
}
