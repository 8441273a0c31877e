// SPDX-License-Identifier: GPL-2.0-only

package verify

import "github.com/tcsim/tcsim/jit/verify/shape"

// Verified is a program with everything the verifier tells the JIT. Analyse makes it; Compile reads it.
type Verified = shape.Verified

// FuncInfo is what the verifier knows of one function.
type FuncInfo = shape.FuncInfo

// PokeDesc is a tail call with a constant key (struct bpf_jit_poke_descriptor).
type PokeDesc = shape.PokeDesc
