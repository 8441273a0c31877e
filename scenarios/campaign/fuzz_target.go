// SPDX-License-Identifier: GPL-2.0-only

package campaign

import (
	"slices"

	"github.com/tcsim/tcsim/jit"
)

// Words that stand for several targets of jit.TargetNames.
const (
	// AllTargets are all of them.
	AllTargets = "all"
	// CorrectTargets are those in which one counter holds for a whole invocation, as BPF means it,
	// and nothing is known to be wrong.
	CorrectTargets = "correct"
	// ByValueTargets are those in which each frame holds the counter by value and nothing else is
	// known to be wrong: kernels up to 6.11.
	ByValueTargets = "by-value"
)

// Wrong says what is known to be wrong with a target other than that its counter is held by value; ""
// means nothing.
func Wrong(t *jit.Target) string {
	if t.Emit.UnroundedReload {
		return "loads tail_call_cnt before a call from a place that is not its own if the stack is no multiple of 8"
	}
	return t.Design.Traits().Wrong()
}

// TargetsNamed puts in place of each word the targets that it stands for; other names remain. None is
// there twice.
func TargetsNamed(names []string) []string {
	var out []string
	for _, n := range names {
		group := []string{n}
		switch n {
		case AllTargets:
			group = jit.TargetNames()
		case CorrectTargets, ByValueTargets:
			group = faultless(n == ByValueTargets)
		}
		for _, n := range group {
			if !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out
}

// faultless are those that nothing is wrong with, which hold the counter by value or do not.
func faultless(value bool) []string {
	return slices.DeleteFunc(jit.TargetNames(), func(n string) bool {
		t, err := jit.TargetByName(n)
		if err != nil {
			panic("BUG: " + err.Error()) // it is listed
		}
		return Wrong(t) != "" || byValue(t) != value
	})
}
