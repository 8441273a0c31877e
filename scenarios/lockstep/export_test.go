// SPDX-License-Identifier: GPL-2.0-only

package lockstep

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
)

// Edit has a player change what the verifier leaves of programs, and their machine code; nil changes nothing.
func (p *Player) Edit(rewritten func(*bpf.Program), compiled func(*image.Image)) {
	p.rewritten, p.compiled = rewritten, compiled
}
