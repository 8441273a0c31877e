// SPDX-License-Identifier: GPL-2.0-only

package kernels

// Fact is one difference between kernels: something that holds from one release on, or until one.
type Fact struct {
	Name   string // short and stable: "helpers-keep-rax"
	Kind   FactKind
	Doc    string  // what holds, as a clause: "calls of helpers do not reload the counter"
	Since  Version // first mainline release; the zero value: since the first with tail calls
	Until  Version // first mainline release without; the zero value: it holds to this day
	Commit string  // "" if it is not known
	// After is the last release that is known to be without, if it is not the one before Since.
	After Version
	// Stable are the stable trees in which it is otherwise than mainline has it.
	Stable []Stable

	// replaced says that another fact takes the place of this one where it ends.
	replaced bool

	set func(*Release)
}

// Replaced reports whether another fact takes the place of this one where it ends: a release has another design, more
// helpers.
func (f *Fact) Replaced() bool { return f.replaced || f.Kind == FactDesign }

// FactKind says what a fact decides.
type FactKind uint8

// The kinds of facts.
const (
	FactDesign     FactKind = iota // the tail-call design
	FactCode                       // other machine code
	FactTrampoline                 // trampolines
	FactVerifier                   // what the verifier takes, and what it makes of programs
	FactPolicy                     // what attachments and map updates are allowed
)

var factKindNames = [...]string{
	FactDesign: "design", FactCode: "code", FactTrampoline: "trampoline", FactVerifier: "verifier", FactPolicy: "policy",
}

// String returns a word such as "code".
func (k FactKind) String() string { return factKindNames[k] }

// Stable says that the stable tree of a release has changed: from the patch level on, a fact holds that
// does not in mainline, or the other way round. The level is where it was seen; it may have come before.
type Stable struct {
	Base  Version
	Patch int
}

// Holds reports whether the fact holds in a patch level of a release, 0 for mainline.
func (f *Fact) Holds(v Version, patch int) bool {
	holds := !v.Before(f.Since) && (f.Until == Version{} || v.Before(f.Until))
	for _, s := range f.Stable {
		if s.Base == v && patch >= s.Patch {
			return !holds
		}
	}
	return holds
}

// unsure reports whether it is not known that the fact holds as Holds says: between After and Since.
func (f *Fact) unsure(v Version) bool {
	return f.After != Version{} && f.After.Before(v) && v.Before(f.Since)
}
