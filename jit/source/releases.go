// SPDX-License-Identifier: GPL-2.0-only

package source

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/source/ktree"
	"github.com/tcsim/tcsim/jit/verify"
)

//go:embed releases.txt
var releasesText string

// releasesOf returns the releases whose C file a text is, byte by byte; nil for one that is edited or unknown
// looked at.
func releasesOf(text []byte) []string {
	sum := sha256.Sum256(text)
	for line := range strings.Lines(releasesText) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == hex.EncodeToString(sum[:]) {
			return f[1:]
		}
	}
	return nil
}

// capturesOf returns the release that the captures of a target are of, "" if there are none.
func capturesOf(t *jit.Target) string {
	r, ok := kernels.Find(t.Version)
	if !ok || t.Evidence != design.ByCapture {
		return ""
	}
	return ktree.Version{Major: t.Version.Major, Minor: t.Version.Minor, Patch: r.Patch}.String()
}

// captured returns the release among several that the captures of a target are of, "" if none is.
func captured(releases []string, t *jit.Target) string {
	if is := capturesOf(t); slices.Contains(releases, is) {
		return is
	}
	return ""
}

// originalOf says what the code of a JIT is compared with: that of its release as it is registered, with the limit and
// the offsets that the tree has.
func originalOf(j *JIT, registry, t *jit.Target, opts Options) *jit.Original {
	own := *registry
	own.Limit, own.Offsets = t.Limit, t.Offsets
	out := &jit.Original{Target: &own, Unedited: len(j.releases) > 0 && len(opts.Extra) == 0}
	if is := capturesOf(registry); is == opts.Version.String() && !out.Unedited || captured(j.releases, registry) != "" {
		out.Release = is
	}
	return out
}

// Original implements jit.Comparable.
func (j *JIT) Original() *jit.Original { return j.original }

// twin is our own emission for a kernel of which the JIT is unedited and captures exist: the two must not differ.
type twin struct {
	release string
	target  *jit.Target
	seen    atomic.Int32
}

// maxTwin bounds the programs that are compared.
const maxTwin = 256

// differs says where our own code for a program is not that of the JIT; "" if it is the same or cannot be compared.
func (w *twin) differs(v *verify.Verified, t *jit.Target, env image.Env, img *image.Image) string {
	if w.seen.Add(1) > maxTwin || t.Offsets != w.target.Offsets || v.Arena != 0 || t.Emit.Blind != nil ||
		slices.ContainsFunc(v.Funcs, func(f verify.FuncInfo) bool { return f.PrivateStack }) {
		return ""
	}
	own := *w.target
	own.Limit = t.Limit
	ours, err := jit.Compile(v, &own, &placed{env, img})
	if err != nil {
		return fmt.Sprintf("tcsim has no code of its own for the program: %v", err)
	}
	for i := range img.Funcs {
		a, b := ours.Funcs[i].Code, img.Funcs[i].Code
		if bytes.Equal(a, b) {
			continue
		}
		at := 0
		for at < min(len(a), len(b)) && a[at] == b[at] {
			at++
		}
		return fmt.Sprintf("function %d (%s) differs at offset %#x", i, img.Funcs[i].Name, at)
	}
	return ""
}

// placed has the code where an image is.
type placed struct {
	image.Env
	img *image.Image
}

func (p *placed) Place(fn, _ int, _ image.CodeOff) (image.Addr, error) {
	return p.img.Funcs[fn].Addr, nil
}

// compare tells whoever listens that an unedited JIT emits other code than tcsim does.
func (j *JIT) compare(v *verify.Verified, t *jit.Target, env image.Env, img *image.Image) {
	if j.twin == nil {
		return
	}
	if what := j.twin.differs(v, t, env, img); what != "" {
		j.tell(fmt.Sprintf("the file is that of Linux %s, unedited, and emits other code than tcsim's own %s: %s. This is a mistake of tcsim, not of the file",
			j.twin.release, j.twin.target.Name, what))
	}
}
