// SPDX-License-Identifier: GPL-2.0-only

package asm

import (
	"strings"
	"sync"
	"unicode"

	"github.com/cilium/ebpf/asm"

	"github.com/tcsim/tcsim/jit/bpf"
)

// HelperIDs maps the kernel's helper names, without the prefix bpf_, to their numbers.
var helperIDs = sync.OnceValue(func() map[string]int32 {
	ids := map[string]int32{}
	for id := asm.BuiltinFunc(1); ; id++ {
		camel, ok := strings.CutPrefix(id.String(), "Fn")
		if !ok {
			return ids
		}
		var name strings.Builder
		for i, r := range camel {
			if unicode.IsUpper(r) && i > 0 {
				name.WriteByte('_')
			}
			name.WriteRune(unicode.ToLower(r))
		}
		ids[name.String()] = int32(id)
	}
})

// Kfuncs are the kernel functions without a helper number that programs can call, by Imm of the call.
var Kfuncs = []string{bpf.ThrowKfunc}

// HelperID returns the number of the helper that the kernel calls bpf_NAME.
func HelperID(bpfName string) (id int32, ok bool) {
	name, ok := strings.CutPrefix(bpfName, "bpf_")
	if !ok {
		return 0, false
	}
	id, ok = helperIDs()[name]
	return id, ok
}
