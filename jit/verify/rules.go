// SPDX-License-Identifier: GPL-2.0-only

package verify

import "github.com/tcsim/tcsim/jit/kernels"

// handedOut is how the address of a kernel object is trusted that the kernel hands to a program.
func handedOut(v *kernels.Verifier) objectKind {
	if v.Trusted {
		return trusted
	}
	return untrusted
}
