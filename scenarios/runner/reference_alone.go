// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"cmp"
	"iter"

	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/scenarios"
)

// Reference plays a scenario in the reference interpreter alone, by rules of the caller's choice, and
// yields what comes out of each run. A run ends after insns BPF instructions; 0 means more than a machine
// gets through in its default budget. An error, of a program that breaks a rule of BPF, ends the scenario.
func Reference(b *scenarios.Built, r interp.Rules, insns uint64) iter.Seq2[interp.Result, error] {
	return func(yield func(interp.Result, error) bool) {
		ref, err := newReference(b, r, interp.Layout{}, cmp.Or(insns, referenceInsns), nil)
		for i := 0; i < len(b.Actions) && err == nil; i++ {
			a := &b.Actions[i]
			switch {
			case a.Kind == scenarios.ActRun:
				var out interp.Result
				if out, err = ref.run(a, nil); err == nil && !yield(out, nil) {
					return
				}
			case a.Event.Errno == "":
				err = ref.act(a)
			}
		}
		if err != nil {
			yield(interp.Result{}, err)
		}
	}
}
