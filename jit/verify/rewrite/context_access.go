// SPDX-License-Identifier: GPL-2.0-only

package rewrite

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/protos"
)

// mayAccess refuses what the verifier refuses of an access to size bytes at off.
func mayAccess(p bpf.ProgType, off, size int64, store bool) error {
	if off%size != 0 {
		return fmt.Errorf("an access of %d bytes at offset %d of the context", size, off)
	}
	if !p.SKB() {
		if store {
			return fmt.Errorf("context field at offset %d cannot be written", off)
		}
		return nil
	}
	_, err := protos.Context(p, 0, protos.Access{Off: off, Size: size, Store: store})
	return err
}
