// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// takeLibrary takes the functions that are no programs from those that were read, with what they call.
func takeLibrary(spec *ebpf.CollectionSpec) map[string]*ebpf.ProgramSpec {
	var out map[string]*ebpf.ProgramSpec
	for name, p := range spec.Programs {
		if p.SectionName == apart {
			if out == nil {
				out = map[string]*ebpf.ProgramSpec{}
			}
			out[name] = p
			delete(spec.Programs, name)
		}
	}
	return out
}

// callbacks are the functions that catch what a program throws, as its tags name them; kernels take one.
func callbacks(tags []string) (names []string) {
	for _, t := range tags {
		if name, ok := strings.CutPrefix(t, exceptionTag); ok {
			names = append(names, name)
		}
	}
	return names
}

// withCallbacks are the instructions of a program, with those of its callbacks for exceptions and of what these call.
func (r *reader) withCallbacks(p *ebpf.ProgramSpec) asm.Instructions {
	out := slices.Clone(p.Instructions)
	have := map[string]bool{}
	for i := range out {
		have[out[i].Symbol()] = true
	}
	for _, name := range callbacks(tags(p)) {
		if have[name] || r.library[name] == nil {
			continue
		}
		skip := false
		for _, in := range r.library[name].Instructions {
			if sym := in.Symbol(); sym != "" {
				skip, have[sym] = have[sym], true
			}
			if !skip {
				out = append(out, in)
			}
		}
	}
	return out
}
