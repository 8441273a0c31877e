// SPDX-License-Identifier: GPL-2.0-only

package scenarios_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tcsim/tcsim/fixtures/flood"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/files"
)

// FuzzLoad checks that no text makes the loader panic, that it never gives a scenario together with
// an error, and that what it accepts builds.
func FuzzLoad(f *testing.F) {
	for _, name := range files.Builtin() {
		_, src, err := files.Find(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	found, err := filepath.Glob("testdata/b*/*.yaml")
	if err != nil || len(found) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range found {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(flood.One(func(t *testing.T, src []byte) { neverHalf(t, src) }))
}

// failer is what testing.T and rapid.T have in common here.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// neverHalf loads src and checks the promises that hold for any text.
func neverHalf(t failer, src []byte) {
	t.Helper()
	sc, err := scenarios.Load("fuzz.yaml", src)
	if err != nil {
		var mistakes scenarios.Errors
		if sc != nil || !errors.As(err, &mistakes) || len(mistakes) == 0 {
			t.Fatalf("a scenario and an error, or an error without place: %v, %v", sc, err)
		}
		return
	}
	b, err := scenarios.Build(sc)
	if err != nil {
		t.Fatalf("Load accepted what Build does not: %v\n%s", err, src)
	}
	if len(b.Programs) != len(sc.Programs) {
		t.Fatalf("%d programs became %d", len(sc.Programs), len(b.Programs))
	}
}

// TestMutations loads the library with words exchanged and lines lost or doubled: mistakes that
// stay close to the format, where random bytes rarely get.
func TestMutations(t *testing.T) {
	var texts [][]byte
	for _, name := range files.Builtin() {
		_, src, err := files.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, src)
	}
	steps, err := os.ReadFile("testdata/build/steps.yaml")
	if err != nil {
		t.Fatal(err)
	}
	texts = append(texts, steps)
	word := regexp.MustCompile(`[\w.]+|[\[\]{}:,|*+-]`)
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SampledFrom(texts).Draw(t, "file"))
		for range rapid.IntRange(1, 4).Draw(t, "mutations") {
			lines := strings.SplitAfter(text, "\n")
			i := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				lines[i] = ""
			case 1:
				lines[i] += lines[i]
			default:
				words := word.FindAllString(text, -1)
				at := word.FindAllStringIndex(lines[i], -1)
				if len(at) == 0 {
					continue
				}
				w := rapid.SampledFrom(at).Draw(t, "word")
				with := rapid.SampledFrom(append(words, "-1", "0x7fffffffffffffff", "999999", "r10", "fp-8", "ctx.len", "~")).Draw(t, "with")
				lines[i] = lines[i][:w[0]] + with + lines[i][w[1]:]
			}
			text = strings.Join(lines, "")
		}
		neverHalf(t, []byte(text))
	})
}

// FuzzAsm does the same for assembly text, which reaches deeper without YAML around it.
func FuzzAsm(f *testing.F) {
	for _, form := range asmForms {
		f.Add(form.text + "\nend: exit")
	}
	f.Fuzz(flood.One(func(t *testing.T, text string) {
		insns, err := assemble(text, nil)
		if (err == nil) != (insns != nil) {
			t.Fatalf("%d instructions and error %v", len(insns), err)
		}
	}))
}
