// SPDX-License-Identifier: GPL-2.0-only

package source

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"github.com/tcsim/tcsim/jit/source/ktree"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
)

//go:embed shim/*.h shim/*.c
var shim embed.FS

// Extra is a C file that is compiled with the JIT: routines that a patch puts elsewhere.
type Extra struct {
	Shown string // its name in messages
	Text  []byte
}

// unit is everything that decides the object.
type unit struct {
	shown string // name of the user's file in messages
	text  []byte
	extra []Extra
	facts *Facts
	// found is what the tree's headers have and the shim does not, traps are names that neither declares: see compile.
	found   []ktree.Found
	traps   []string
	headers *ktree.Headers // nil if there is no tree
	// local are headers of the tree beside the C file, which it includes in quotes.
	local map[string][]byte
}

// flags are those of a kernel as far as they matter: its code model, no floating point, no red zone, and
// nothing that assumes that undefined behaviour does not happen.
var flags = []string{
	"-std=gnu11", "-O1", "-g1", "-w", "-nostdinc", "-ffreestanding", "-mcmodel=kernel", "-fno-pic", "-fno-pie", "-mno-sse",
	"-mno-red-zone", "-fno-stack-protector", "-fcf-protection=none", "-fno-builtin", "-fno-strict-aliasing",
	"-fwrapv", "-fno-common", "-fno-inline-functions-called-once", "-fno-asynchronous-unwind-tables", "-Wno-error=implicit-function-declaration",
}

// includes and features of a C file.
var (
	includeLine = regexp.MustCompile(`(?m)^[ \t]*#[ \t]*include[ \t]*[<"]([\w/.+-]+)[>"]`)
	quotedLine  = regexp.MustCompile(`(?m)^[ \t]*#[ \t]*include[ \t]*"([\w/.+-]+)"`)
	featureName = regexp.MustCompile(`\bX86_(?:FEATURE|BUG)_\w+`)
)

// localHeaders are the headers beside the C file that it, or one of them, includes in quotes.
func localHeaders(tree ktree.Tree, text []byte) map[string][]byte {
	const most = 16
	out := map[string][]byte{}
	for next := [][]byte{text}; len(next) > 0 && len(out) < most; next = next[1:] {
		for _, m := range quotedLine.FindAllSubmatch(next[0], -1) {
			name := string(m[1])
			if out[name] != nil || !filepath.IsLocal(name) {
				continue
			}
			if b, err := tree.ReadFile(path.Join(path.Dir(ktree.JITFile), name)); err == nil {
				out[name] = b
				next = append(next, b)
			}
		}
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// featureNumbers numbers the names of processor features that a file mentions.
func featureNumbers(texts ...[]byte) map[string]int {
	names := map[string]bool{}
	for _, t := range texts {
		for _, n := range featureName.FindAllString(string(t), -1) {
			names[n] = true
		}
	}
	sorted := make([]string, 0, len(names))
	for n := range names {
		sorted = append(sorted, n)
	}
	sort.Strings(sorted)
	out := map[string]int{}
	for i, n := range sorted {
		out[n] = i
	}
	return out
}

// rethunkFeature is the number of what cpu_wants_rethunk asks.
const rethunkFeature = 255

func (u *unit) features() map[string]int {
	texts := [][]byte{u.text}
	for _, e := range u.extra {
		texts = append(texts, e.Text)
	}
	for _, t := range u.local {
		texts = append(texts, t)
	}
	for _, f := range u.found {
		texts = append(texts, []byte(f.Text))
	}
	return featureNumbers(texts...)
}

// source returns the C text: every header is shim.h, the user's files keep their names in messages.
func (u *unit) source() []byte {
	var b bytes.Buffer
	for i := range u.facts.List {
		u.facts.List[i].Define(&b)
	}
	b.WriteString("#include \"types.h\"\n#include \"usual.h\"\n#include \"sync.h\"\n#include \"percpu.h\"\n")
	u.taken(&b, false)
	b.WriteString("#line 1 \"unit.c\"\n#include \"shim.h\"\n")
	u.taken(&b, true)
	for _, n := range u.traps {
		fmt.Fprintf(&b, "#define %s (*tcsim_unknown(__FILE__, __LINE__, %q))\n", n, n)
	}
	part := func(shown string, text []byte) {
		fmt.Fprintf(&b, "#line 1 %q\n%s\n", shown, text)
	}
	for _, e := range u.extra {
		part(e.Shown, e.Text)
	}
	part(u.shown, u.text)
	b.WriteString("#include \"runtime.c\"\n#include \"driver.c\"\n")
	return b.Bytes()
}

// key names the object that a compiler makes of the unit.
func (u *unit) key(compiler string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%q\n", compiler, flags)
	entries, _ := shim.ReadDir("shim")
	for _, e := range entries {
		text, _ := shim.ReadFile("shim/" + e.Name())
		fmt.Fprintf(h, "%s %d\n", e.Name(), len(text))
		h.Write(text)
	}
	for _, n := range sortedKeys(u.local) {
		fmt.Fprintf(h, "%s %d\n", n, len(u.local[n]))
		h.Write(u.local[n])
	}
	h.Write(u.source())
	return hex.EncodeToString(h.Sum(nil))
}

// write puts the unit and the headers into a folder.
func (u *unit) write(dir string) error {
	put := func(name string, text []byte) error {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return err
		}
		return os.WriteFile(name, text, 0o600)
	}
	texts := [][]byte{u.text}
	for _, e := range u.extra {
		texts = append(texts, e.Text)
	}
	for _, t := range u.local {
		texts = append(texts, t)
	}
	for _, t := range texts {
		for _, m := range includeLine.FindAllSubmatch(t, -1) {
			name := string(m[1])
			if !filepath.IsLocal(name) {
				return fmt.Errorf("%s includes %s, which is outside a kernel's headers", u.shown, name)
			}
			if u.local[name] != nil {
				continue
			}
			if err := put(name, []byte("#include \"shim.h\"\n")); err != nil {
				return err
			}
		}
	}
	for name, text := range u.local {
		if err := put(name, text); err != nil {
			return err
		}
	}
	entries, err := shim.ReadDir("shim")
	if err != nil {
		return err
	}
	for _, e := range entries {
		text, err := shim.ReadFile("shim/" + e.Name())
		if err == nil {
			err = put(e.Name(), text)
		}
		if err != nil {
			return err
		}
	}
	var b strings.Builder
	for n, i := range u.features() {
		fmt.Fprintf(&b, "#define %s %d\n", n, i)
	}
	fmt.Fprintf(&b, "#define TCSIM_FEATURE_RETHUNK %d\n", rethunkFeature)
	if err := put("features.h", []byte(b.String())); err != nil {
		return err
	}
	return put("unit.c", u.source())
}
