// SPDX-License-Identifier: GPL-2.0-only

package shape

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
)

// MayBeGlobal refuses a global function, or one that replaces one, by what it takes and returns (btf_prepare_func_args).
func MayBeGlobal(f *bpf.Func, r *kernels.Verifier) error {
	for i := range f.Params {
		if f.Params[i].Mixed {
			return fmt.Errorf("arg#%d of %s has tags that cannot be combined", i, f.Name)
		}
	}
	if f.Address || f.Void && !r.VoidGlobals {
		return fmt.Errorf("global function %s() doesn't return scalar: only those are supported", f.Name)
	}
	return nil
}
