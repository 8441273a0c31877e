// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
)

// kfunc returns how a kernel function takes its arguments and what it returns, as BTF has it
// (check_kfunc_call). Of one that BTF says nothing of, a stack address may be used.
func (x *explorer) kfunc(name string) (args []memArg, ret value) {
	if name == bpf.ThrowKfunc {
		return []memArg{{kind: '.'}}, unknownNumber() // the cookie; other registers are not looked at
	}
	sig, known := x.p.Signatures[name]
	if !known {
		return anyArgs, unknownNumber()
	}
	for _, p := range sig.Params {
		a := memArg{kind: '.'}
		if p.Kind == bpf.ParamMemory {
			a = memArg{kind: 'w', size: int(p.Size)}
		}
		args = append(args, a)
	}
	switch {
	case sig.Void:
	case sig.Pointer:
		ret = pointer(kindPointer)
		ret.orNull, ret.link, ret.typed = true, x.newLink(), unsure
	default:
		ret = unknownNumber()
	}
	return args, ret
}

// iteratorNext reports whether a kernel function moves an iterator on: the kernel knows them by this
// pattern of names, too (check_kfunc_is_iter_next, btf_check_iter_kfuncs).
func iteratorNext(name string) bool {
	return strings.HasPrefix(name, "bpf_iter_") && strings.HasSuffix(name, "_next")
}
