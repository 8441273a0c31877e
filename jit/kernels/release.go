// SPDX-License-Identifier: GPL-2.0-only

package kernels

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Row is one kernel that was looked at: a release with what no fact tells, because the build decides it.
// Everything else comes from Facts. A release that changes nothing is a row and a capture.
type Row struct {
	Version Version
	Patch   int    // level of the stable tree, 0 for mainline
	Source  string // which kernel exactly: "Debian 6.12.107"
	// Longterm marks the releases that are maintained for years: with the newest, what lists begin with.
	Longterm bool
	// Captures are the combinations of features that captures confirm, "" for none:
	// "retpoline-its" stands for the target "6.12-retpoline-its".
	Captures []string
	// Sources are the combinations of features with which images are the same that the kernel's own C file emitted
	// outside a kernel.
	Sources []string
	// Named are combinations that are listed although no capture has them.
	Named []string

	Build   Build
	Offsets Offsets
	Context ContextLayout
}

// Build is what the configuration of a kernel decides.
type Build struct {
	ENDBR bool // CONFIG_X86_KERNEL_IBT
	SLS   bool // CONFIG_MITIGATION_SLS
	// Thunks is CONFIG_MITIGATION_RETPOLINE.
	Thunks bool
	// CallThunks: see Emission.
	CallThunks []string
}

// Release is a kernel: what its row and the facts make of it.
type Release struct {
	Version Version
	Patch   int
	Row     *Row // nil if only facts are known of it

	Design Design
	Kernel Kernel
	// CallDepth is the symbol of the per-CPU word of call depth tracking; "" if there is none.
	CallDepth string
	FineIBT   CFIKind // CFINone if the kernel's JIT knows no CFI
	// What the JIT does if the build asks for it: endbr64, int3 after returns and indirect jumps, and the
	// latter in any build with retpolines.
	ENDBR, SLS, ThunkSLS bool
	// InlineRetpoline says that the build alone decides about retpolines, which are inline.
	InlineRetpoline bool

	name, note string // "" as the version says
}

// oldest is the first release that can be asked for.
var oldest = Version{4, 4}

func newest() *Row { return &Rows[len(Rows)-1] }

// Newest is the newest release that there is a row for.
func Newest() *Release { return derive(newest().Version, newest().Patch, newest()) }

// Name is how the release is called, such as "6.12".
func (r *Release) Name() string { return cmp.Or(r.name, r.Version.String()) }

// Source says where what is known of it comes from.
func (r *Release) Source() string {
	if r.Row != nil {
		return r.Row.Source
	}
	return "Linux " + r.Name() + ", from source"
}

// Captured reports whether captures confirm the code of the release.
func (r *Release) Captured() bool { return r.Row != nil && len(r.Row.Captures) > 0 }

// Booted returns the kernel that was booted to compare its code with that of the release, nil if there is none.
func (r *Release) Booted() *Boot {
	for i := range Boots {
		if Boots[i].Version == r.Version {
			return &Boots[i]
		}
	}
	return nil
}

// Find returns a release; ok is false if there is none of that number, or none that the registry knows.
func Find(v Version) (r *Release, ok bool) {
	if !v.known() {
		return nil, false
	}
	if row := rowOf(v); row != nil {
		return derive(v, row.Patch, row), true
	}
	return derive(v, 0, nil), true
}

// FindPatch returns the release of what uname -r prints: patch is the third number, and distribution what
// follows it. Distributions that leave the third number at 0 do not say which patch level theirs is: it
// is then taken to be that of the row, and a note says what may be otherwise.
func FindPatch(v Version, patch int, distribution string) (r *Release, ok bool) {
	r, ok = Find(v)
	if !ok {
		return nil, false
	}
	of := r.Patch
	var open []string // facts that the stable tree got, of which the patch level is not known to have it
	for i := range Facts {
		for _, s := range Facts[i].Stable {
			if s.Base == v && of >= s.Patch && (patch == 0 || patch < s.Patch) {
				open = append(open, fmt.Sprintf("%s (seen in %s.%d)", Facts[i].Name, v, s.Patch))
			}
		}
	}
	name := fmt.Sprintf("%s.%d%s", v, patch, distribution)
	switch {
	case patch > 0 && len(open) > 0:
		r = derive(v, patch, r.Row)
		r.name, r.note = fmt.Sprintf("%s.%d", v, patch), fmt.Sprintf("%s: as mainline; it may have what %s.%d has: %s", name, v, of, strings.Join(open, ", "))
	case patch > of && !slices.Equal(factsAt(v, patch), factsAt(v, of)): // the stable tree went on
		r = derive(v, patch, r.Row)
		r.name, r.note = fmt.Sprintf("%s.%d", v, patch), fmt.Sprintf("%s.%d: from source only", v, patch)
	case len(open) > 0:
		r.note = fmt.Sprintf("%s: taken for %s.%d; an early one may lack what its stable tree got: %s", name, v, of, strings.Join(open, ", "))
	case r.Note() != "":
		r.note = fmt.Sprintf("%s: taken for %s", name, r.Note())
	case patch == 0:
		r.note = fmt.Sprintf("%s: taken for %s", name, r.Name())
	}
	if strings.Contains(distribution, ".el") {
		r.note = fmt.Sprintf("%s: taken for %s; Red Hat puts the BPF of newer kernels into it (that of 9.4 is of 6.6, that of 9.5 of 6.8): ask for that release, or capture", name, r.Name())
	}
	return r, true
}

// rowOf is the row of a release, nil if there is none.
func rowOf(v Version) *Row {
	for i := range Rows {
		if Rows[i].Version == v {
			return &Rows[i]
		}
	}
	return nil
}

// Nearest returns the release that a version is taken for: itself, or the newest.
func Nearest(v Version) (r *Release, ok bool) {
	if newest().Version.Before(v) {
		return Newest(), true
	}
	return Find(v)
}

// Releases returns every mainline release that is known, oldest first.
func Releases() []*Release {
	var out []*Release
	for v := oldest; !newest().Version.Before(v); v = v.next() {
		r, _ := Find(v)
		out = append(out, r)
	}
	return out
}

// Defaults returns the releases that lists begin with: those with captures that are maintained for years,
// and the newest that is not as one of them.
func Defaults() []*Release {
	var out []*Release
	var late *Release
	for i := range Rows {
		r, _ := Find(Rows[i].Version)
		if !r.Captured() {
			continue
		}
		if Rows[i].Longterm {
			out, late = append(out, r), nil
		} else if _, equal := r.As(); !equal {
			late = r
		}
	}
	if late != nil {
		out = append(out, late)
	}
	return out
}

// Mainline returns a release as it was published, without what its stable tree got, and with the facts of
// the given names the other way round. It is nil if there is no such release.
func Mainline(v Version, but ...string) *Release {
	if !v.known() {
		return nil
	}
	return deriveWith(v, 0, rowOf(v), func(f *Fact) bool { return f.Holds(v, 0) != slices.Contains(but, f.Name) })
}

// Changes are the facts that begin or end with a mainline release.
func Changes(v Version) []*Fact {
	var out []*Fact
	for i := range Facts {
		if f := &Facts[i]; v != oldest && f.Holds(v, 0) != f.Holds(v.prev(), 0) {
			out = append(out, f)
		}
	}
	return out
}

// derive makes a release of the facts.
func derive(v Version, patch int, row *Row) *Release {
	return deriveWith(v, patch, row, func(f *Fact) bool { return f.Holds(v, patch) })
}

func deriveWith(v Version, patch int, row *Row, holds func(*Fact) bool) *Release {
	r := &Release{Version: v, Patch: patch, Row: row}
	from := row
	if from == nil { // offsets as in the row before it, and no options of the build
		near := Rows[0]
		for _, other := range Rows {
			if !v.Before(other.Version) {
				near = other
			}
		}
		near.Build = Build{}
		from = &near
	}
	k := &r.Kernel
	k.Emit.AX, k.Emit.MaxRel8, k.Emit.Passes = 11, 127, 20
	k.Offsets, k.Context = from.Offsets, from.Context.with()
	for i := range Facts {
		if holds(&Facts[i]) {
			Facts[i].set(r)
		}
	}
	b := &from.Build
	k.Emit.ENDBR, k.Emit.SLS = b.ENDBR && r.ENDBR, b.SLS && r.SLS
	k.Emit.JumpSLS = k.Emit.SLS || b.Thunks && r.ThunkSLS
	k.Emit.CallThunks = b.CallThunks
	return r
}

// factsOf are the names of the facts that hold in a release, in the patch level of its row.
func factsOf(v Version) []string {
	patch := 0
	if row := rowOf(v); row != nil {
		patch = row.Patch
	}
	return factsAt(v, patch)
}

func factsAt(v Version, patch int) []string {
	var names []string
	for i := range Facts {
		if Facts[i].Holds(v, patch) {
			names = append(names, Facts[i].Name)
		}
	}
	return names
}

// As returns the oldest release in a row of equals that ends with r; ok is false if the one before r
// differs.
func (r *Release) As() (same Version, ok bool) {
	mine := factsOf(r.Version)
	for v := r.Version; v != oldest; {
		v = v.prev()
		if !slices.Equal(factsOf(v), mine) {
			break
		}
		same, ok = v, true
	}
	return same, ok
}

// Note says in one line how a release that has no captures is known, "" for one that has.
func (r *Release) Note() string {
	if r.note != "" {
		return r.note
	}
	as, equal := r.As()
	switch {
	case equal:
		text := fmt.Sprintf("%s: as %s in all that tcsim models", r.Name(), as)
		if u := r.unsure(); u != "" {
			text += "; " + u
		}
		return text
	case r.Captured():
		return ""
	}
	text := r.Name() + ": from source only"
	if b := r.Booted(); b != nil {
		text = fmt.Sprintf("%s: compared with %s, booted: %d functions, all identical", r.Name(), b.Kernel, b.Functions)
	} else if r.Row != nil && r.Row.Patch == r.Patch && slices.Contains(r.Row.Sources, "") {
		text = r.Name() + ": identical with what its own C file emits"
	}
	if u := r.unsure(); u != "" {
		text += "; " + u
	}
	return text
}

// unsure names the facts that may have come before or after the release.
func (r *Release) unsure() string {
	var names []string
	for i := range Facts {
		if Facts[i].unsure(r.Version) {
			names = append(names, fmt.Sprintf("%s (by %s)", Facts[i].Name, Facts[i].Since))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "taken to be without what came after it or with it: " + strings.Join(names, ", ")
}
