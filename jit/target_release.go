// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/kernels"
)

// releaseRow is the row of a name that begins with the number of a kernel, such as "6.8-retpoline", or
// what uname -r prints. words are the features that follow it; ok is false if there is no such kernel.
func releaseRow(name string) (k kernelRow, words []string, ok bool) {
	name = strings.TrimPrefix(name, "v") // v6.8 is what git has
	if branch, ok := strings.CutSuffix(strings.TrimPrefix(name, "linux-"), ".y"); ok {
		name = branch // linux-6.1.y
	}
	v, patch, rest, ok := kernels.ParseVersion(name)
	if patch < 0 && strings.HasPrefix(rest, "-rc") {
		patch = 0 // 6.8-rc3 is 6.8.0-rc3 to uname
	}
	if !ok || patch < 0 && rest != "" && rest[0] != '-' {
		return k, nil, false
	}
	if patch < 0 {
		r, ok := kernels.Find(v)
		if !ok {
			return k, nil, false
		}
		return kernelOf(r), strings.Split(rest, "-")[1:], true
	}
	rest, words = trailingFeatures(rest)
	r, ok := kernels.FindPatch(v, patch, rest)
	if !ok {
		return k, nil, false
	}
	return kernelOf(r), words, true
}

// TargetOfRelease is the target of a release without mitigations, which the caller owns.
func TargetOfRelease(r *kernels.Release) *Target {
	k := kernelOf(r)
	t := k.Target
	t.Base, t.Evidence = k.Name, k.evidence("")
	return &t
}

// trailingFeatures splits what follows a number into a distribution's part and features.
func trailingFeatures(rest string) (distribution string, words []string) {
	for {
		at := strings.LastIndexByte(rest, '-')
		if at < 0 || FeatureDoc(rest[at+1:]) == "" {
			return rest, words
		}
		words = append([]string{rest[at+1:]}, words...)
		rest = rest[:at]
	}
}

// asRelease gives a design's row what else a release has.
func asRelease(v kernels.Version, d design.ID) kernelRow {
	r, ok := kernels.Find(v)
	if !ok {
		panic("BUG: no kernel " + v.String())
	}
	k := kernelOf(r)
	k.Name, k.Design, k.Note, k.captures = d.String(), d, "", nil
	k.Version = kernels.Version{}
	k.Source = fmt.Sprintf("%s; rest as %s", d.Traits().Source, v)
	k.Verifier.Helpers, k.Verifier.ProgTypes, k.Verifier.MapTypes = 0, 0, 0 // programs may call and use any
	return k
}
