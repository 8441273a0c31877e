// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/nearest"
)

// kernelRow is a kernel without mitigations and what features of it need.
type kernelRow struct {
	Target
	release  *kernels.Release
	features []string // that make sense for the row; nil for all
	captures []string // combinations of features that captures confirm
	sources  []string // those that the kernel's own C file confirms
}

// kernelOf is the row of a release.
func kernelOf(r *kernels.Release) kernelRow {
	k := kernelRow{
		Target: Target{
			Name: r.Name(), Source: r.Source(), Note: r.Note(), Design: design.OfKernel(r.Design), Version: r.Version, Config: emit.Config{Limit: bpf.TailCallLimit, Kernel: r.Kernel},
		},
		release: r,
	}
	k.Emit.CallThunks = nil // those of a kernel that accounts for calls
	if r.Row != nil && r.Row.Patch == r.Patch {
		k.captures, k.sources = r.Row.Captures, r.Row.Sources
	}
	return k
}

// TargetNames returns the targets that are listed: those with captures, then other kernels that are named,
// then the designs that no captured kernel has. TargetByName knows more: every mainline release, and
// every combination of a kernel or design and features.
func TargetNames() []string { return slices.Clone(targetNames()) }

var targetNames = sync.OnceValue(func() []string {
	var captured, named []string
	for i := range kernels.Rows {
		r := &kernels.Rows[i]
		for _, words := range r.Captures {
			captured = append(captured, combined(r.Version.String(), words))
		}
		for _, words := range r.Named {
			named = append(named, combined(r.Version.String(), words))
		}
	}
	return slices.Concat(captured, named, rowTargets(oldDesigns()), rowTargets(proposals()))
})

// KernelNames returns the kernels that lists begin with: see kernels.Defaults.
func KernelNames() []string {
	var names []string
	for _, r := range kernels.Defaults() {
		names = append(names, r.Name())
	}
	return names
}

// combined is the name of a kernel with features.
func combined(kernel, words string) string {
	if words == "" {
		return kernel
	}
	return kernel + "-" + words
}

// row returns the kernel or design that a target's name begins with: the longest one, as some have
// hyphens themselves. words are the features that follow it.
func row(name string) (k kernelRow, words []string, err error) {
	if k, words, ok := releaseRow(name); ok {
		return k, words, nil
	}
	rest, found := "", false
	for _, rows := range [][]kernelRow{oldDesigns(), proposals()} {
		for i := range rows {
			r, ok := strings.CutPrefix(name, rows[i].Name)
			if ok && (r == "" || r[0] == '-') && (!found || len(r) < len(rest)) {
				k, rest, found = rows[i], r, true
			}
		}
	}
	if v, _, _, ok := kernels.ParseVersion(name); ok && !found {
		if _, ok := kernels.Find(v); ok {
			return k, nil, fmt.Errorf("%w %q: did you mean %s?", ErrNoTarget, name, v)
		}
		newest, next := kernels.Newest().Version, ""
		if newest.Before(v) {
			next = fmt.Sprintf(": ask for %s, or for what its source emits, src:TREE", newest)
		}
		return k, nil, fmt.Errorf("%w %q: there is no row for Linux %s (known: 4.4 to %s)%s", ErrNoTarget, name, v, newest, next)
	}
	if !found {
		return k, nil, fmt.Errorf("%w %q%s", ErrNoTarget, name, nearest.DidYouMean(name, TargetNames()))
	}
	return k, strings.Split(rest, "-")[1:], nil
}

// ErrNoTarget says that a name begins neither with a kernel nor with a design.
var ErrNoTarget = errors.New("unknown target")

// TargetByName returns a target of its own for the caller. A name is a kernel or a design and
// features, joined by hyphens, such as "6.12-retpoline-its"; Features lists them. A kernel is any mainline
// release, or what uname -r prints; Note of the target says what it was taken for. The error of an
// unknown name wraps ErrNoTarget, or says which features are known. See also RegisterSource.
func TargetByName(name string) (*Target, error) {
	if t, ok, err := fromSource(name); ok {
		return t, err
	}
	k, words, err := row(name)
	if err != nil {
		return nil, err
	}
	t := k.Target
	t.Name, t.Base, t.Features = combined(k.Name, strings.Join(words, "-")), k.Name, words
	for _, w := range words {
		f, ok := features[w]
		if !ok {
			return nil, fmt.Errorf("target %q: unknown feature %q (known: %s)", name, w, strings.Join(Features(), ", "))
		}
		if k.features != nil && w != blindedWord && !slices.Contains(k.features, w) {
			return nil, fmt.Errorf("target %q: feature %q: %w (it knows: %s)", name, w, kernels.ErrUnsupported, strings.Join(k.features, ", "))
		}
		if err := f.apply(&t, &k); err != nil {
			return nil, fmt.Errorf("target %q: feature %q: %w", name, w, err)
		}
	}
	t.Evidence = k.evidence(strings.Join(words, "-"))
	return &t, nil
}

// evidence is that of the row with features: one can take it away.
func (k *kernelRow) evidence(words string) design.Evidence {
	switch {
	case slices.Contains(k.captures, words):
		return design.ByCapture
	case words == "" && k.release != nil && k.release.Booted() != nil:
		return design.ByBoot
	case slices.Contains(k.sources, words),
		k.Version == (kernels.Version{}) && words == "" && k.Design.Traits().Evidence == design.ByOwnSource:
		return design.ByOwnSource
	case k.Version == (kernels.Version{}) && slices.Contains(k.Design.Traits().Listings, words):
		return design.ByListing
	}
	return design.BySource
}
