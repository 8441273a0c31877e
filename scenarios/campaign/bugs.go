// SPDX-License-Identifier: GPL-2.0-only

package campaign

import (
	"context"
	"fmt"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/files"
	"github.com/tcsim/tcsim/scenarios/replay"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// Bug is a bug of tail calls that kernels had on x86-64.
type Bug struct {
	Name string
	Text string // what goes wrong
	Fix  string // commit
	// Since is the first release that had it; the zero value means all before the fix. The fact of the registry that is
	// named Fact begins with the fix or, if Ends, ends with it.
	Since kernels.Version
	Fact  string
	Ends  bool
	// Scenario is the built-in one that shows it; "" if no run can.
	Scenario string
}

// Bugs are the known ones, oldest first.
var Bugs = []Bug{
	{
		Name: "wide-index", Fact: "wide-bounds", Ends: true, Fix: "90caccdd8cc0", Scenario: "runtime_jit",
		Text: "the index is compared as 64 bits, and with max_entries and the word after it: wrong ones are taken, good ones refused",
	},
	{
		Name: "count-misread", Since: kernels.Version{Major: 5, Minor: 10}, Fact: "unrounded-reload", Ends: true, Fix: "ff672c67ee76", Scenario: "bpf2bpf_6",
		Text: "a function whose stack is no multiple of 8 bytes reads the count that it hands to a subprogram from a wrong place",
	},
	{
		Name: "trampoline-loop", Since: kernels.Version{Major: 5, Minor: 10}, Fact: "tramp-loses-rax", Ends: true, Fix: "2b5dcb31a19a",
		Scenario: "tramp_bpf2bpf_fentry",
		Text:     "an fentry or fexit program on a subprogram loses the count: tail calls go on without end",
	},
	{
		Name: "hierarchy", Since: kernels.Version{Major: 5, Minor: 10}, Fact: "hier-6.12", Fix: "116e04ba1459", Scenario: "hierarchy",
		Text: "each frame counts for itself: a program that calls a subprogram with a tail call twice can make 2^34-2 tail calls",
	},
	{
		Name: "freplace-loop", Since: kernels.Version{Major: 5, Minor: 10}, Fact: "guards-replaced", Fix: "d6083f040d5d", Scenario: "freplace_loop",
		Text: "a program in place of a subprogram counts from 0 again: tail calls go on until the stack overflows",
	},
	{
		Name: "attach-type-mix", Fact: "owner-attach-type", Fix: "4540aed51b12",
		Text: "a prog array takes programs of other attach types, which may have other contexts and other return values",
	},
}

// fact is the bug's in the registry.
func (b *Bug) fact() *kernels.Fact {
	for i := range kernels.Facts {
		if kernels.Facts[i].Name == b.Fact {
			return &kernels.Facts[i]
		}
	}
	panic("BUG: no fact " + b.Fact)
}

// Fixed is the first mainline release with the fix.
func (b *Bug) Fixed() kernels.Version {
	if b.Ends {
		return b.fact().Until
	}
	return b.fact().Since
}

// Backports are the stable trees in which the fix was seen.
func (b *Bug) Backports() []kernels.Stable {
	var out []kernels.Stable
	for _, s := range b.fact().Stable {
		if s.Base.Before(b.Fixed()) {
			out = append(out, s)
		}
	}
	return out
}

// In reports whether a patch level of a release, 0 for mainline, has the bug, as the registry says.
func (b *Bug) In(v kernels.Version, patch int) bool {
	return !v.Before(b.Since) && b.fact().Holds(v, patch) == b.Ends
}

// Presence says whether a kernel has a bug.
type Presence uint8

// The answers.
const (
	BugAbsent       Presence = iota // it ran what shows the bug, and nothing went wrong
	BugShown                        // it ran what shows the bug, and that went wrong
	BugRefused                      // the kernel refuses the programs that would show it
	BugByVersion                    // nothing can be run: its version has the bug
	BugNotByVersion                 // nothing can be run: its version does not have it
	BugUnknown                      // see Why
)

var presenceNames = [...]string{
	BugAbsent: "no", BugShown: "yes", BugRefused: "impossible", BugByVersion: "yes, by its version", BugNotByVersion: "no, by its version", BugUnknown: "unknown",
}

// String returns the answer as a word or two, such as "yes, by its version".
func (p Presence) String() string { return presenceNames[p] }

// MarshalText is String.
func (p Presence) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Here reports whether the kernel has the bug.
func (p Presence) Here() bool { return p == BugShown || p == BugByVersion }

// BugCheck is what came out for one bug on one kernel.
type BugCheck struct {
	Bug  *Bug
	Here Presence
	Why  string // what broke, or why it cannot be said; may be empty
}

// CheckTarget finds out which of Bugs a kernel has by playing on our own code for it what shows them.
// If the context ends, what was found is returned with its error. progress is told before each how many are done.
func CheckTarget(ctx context.Context, t *jit.Target, patch int, progress func(done int)) ([]BugCheck, error) {
	w := &player{}
	defer w.drop()
	var out []BugCheck
	for i := range Bugs {
		progress(i)
		b := &Bugs[i]
		if b.Scenario == "" {
			out = append(out, b.byVersion(t.Version, patch))
			continue
		}
		built, err := b.built()
		if err != nil {
			return nil, err
		}
		c := w.cell(ctx, built, t)
		if err := ctx.Err(); err != nil {
			return out, err
		}
		out = append(out, b.judge(c, t.Version, patch))
	}
	return out, nil
}

// built is the scenario that shows the bug, under what the kernel itself allows.
func (b *Bug) built() (*scenarios.Built, error) {
	name, text, err := files.Find(b.Scenario)
	if err != nil {
		return nil, err
	}
	sc, err := scenarios.Load(name, text)
	if err != nil {
		return nil, err
	}
	sc.Policy = ""
	return scenarios.Build(sc)
}

func (b *Bug) byVersion(v kernels.Version, patch int) BugCheck {
	if b.In(v, patch) {
		return BugCheck{b, BugByVersion, ""}
	}
	return BugCheck{b, BugNotByVersion, ""}
}

// judge reads the verdict on a patch level of a release. What tcsim does not model there is left to the version.
func (b *Bug) judge(c Cell, v kernels.Version, patch int) BugCheck {
	switch c.Verdict {
	case VerdictOK:
		return BugCheck{b, BugAbsent, ""}
	case VerdictUnsupported:
		if b.In(v, patch) {
			return BugCheck{b, BugByVersion, c.Why}
		}
		return BugCheck{b, BugRefused, c.Why}
	case VerdictError:
		return BugCheck{b, BugUnknown, c.Why}
	}
	return BugCheck{b, BugShown, c.Why}
}

// CheckCapture finds out which of Bugs a captured kernel has by running its own code of what shows them. t is the
// capture's target; what its policy decides, no code tells. Context and progress are as for CheckTarget.
func CheckCapture(ctx context.Context, src *capture.Source, t *jit.Target, patch int, progress func(done int)) ([]BugCheck, error) {
	r, err := replay.New(runner.Options{MaxInsns: matrixInsns, MaxEvents: matrixEvents})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var out []BugCheck
	for i := range Bugs {
		progress(i)
		b := &Bugs[i]
		if b.Scenario == "" || b.fact().Kind == kernels.FactPolicy {
			out = append(out, b.byVersion(t.Version, patch))
			continue
		}
		at, err := replay.Select(src, b.Scenario)
		if err != nil {
			out = append(out, BugCheck{b, BugUnknown, fmt.Sprintf("the capture has no scenario %s", b.Scenario)})
			continue
		}
		c, err := replay.Capture(src, t, at[0])
		if err != nil {
			out = append(out, b.judge(failedCell(err), t.Version, patch))
			continue
		}
		p, err := r.Run(ctx, c)
		if err := ctx.Err(); err != nil {
			return out, err
		}
		switch {
		case err != nil:
			out = append(out, b.judge(failedCell(err), t.Version, patch))
		case p.Skipped != "":
			out = append(out, BugCheck{b, BugUnknown, p.Skipped})
		case p.Result != nil:
			out = append(out, b.judge(resultCell(p.Result), t.Version, patch))
		case p.Violation != nil:
			out = append(out, BugCheck{b, BugShown, p.Violation.String()})
		case p.Killed != "":
			out = append(out, BugCheck{b, BugShown, p.Killed})
		default:
			out = append(out, BugCheck{b, BugAbsent, ""})
		}
	}
	return out, nil
}
