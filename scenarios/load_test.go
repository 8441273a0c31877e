// SPDX-License-Identifier: GPL-2.0-only

package scenarios_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/fixtures/golden"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/files"
)

// TestBadInput shows what users see: each file of testdata/bad with all of its mistakes.
func TestBadInput(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of bad input: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sc, err := scenarios.Load(filepath.Base(file), src)
			var mistakes scenarios.Errors
			if sc != nil || !errors.As(err, &mistakes) {
				t.Fatalf("expected an error of type Errors and no scenario, found %v and %v", err, sc)
			}
			lines := strings.Split(string(src), "\n")
			for _, m := range mistakes {
				if m.Pos.Line < 1 || m.Pos.Line > len(lines) || m.Pos.Col < 1 || m.Pos.Col > len(lines[m.Pos.Line-1])+1 {
					t.Errorf("%v: a place outside the file", m)
				}
			}
			golden.Check(t, strings.TrimSuffix(file, ".yaml")+".txt", err.Error()+"\n")
		})
	}
}

// TestBuiltinIsPlainData checks that a scenario means the same however often it is built.
func TestBuiltinIsPlainData(t *testing.T) {
	for _, name := range files.Builtin() {
		file, src, err := files.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		a, err := scenarios.Load(file, src)
		if err != nil {
			t.Fatal(err)
		}
		b, err := scenarios.Load(file, src)
		if err != nil {
			t.Fatal(err)
		}
		first, err := scenarios.Build(a)
		if err != nil {
			t.Fatal(err)
		}
		second, err := scenarios.Build(a)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(first, second); d != "" {
			t.Errorf("%s builds differently the second time:\n%s", name, d)
		}
		if d := cmp.Diff(a, b); d != "" {
			t.Errorf("%s: Build changed the scenario:\n%s", name, d)
		}
	}
}

// TestDocumentation loads the examples of the format's description.
func TestDocumentation(t *testing.T) {
	doc, err := os.ReadFile("../docs/scenario-format.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(doc), -1)
	if len(blocks) != 3 {
		t.Fatalf("expected 3 examples, found %d", len(blocks))
	}
	const around = "version: 1\nname: x\nmaps: {count: {}, jmp_table: {type: prog_array}}\nruns: [run: entry]\n"
	for i, src := range []string{blocks[0][1], around + blocks[1][1], around + blocks[2][1]} {
		if _, err := scenarios.Load("scenario-format.md", []byte(src)); err != nil {
			t.Errorf("example %d: %v", i+1, err)
		}
	}
}

func TestFind(t *testing.T) {
	name, src, err := files.Find("hierarchy")
	if err != nil || name != "hierarchy.yaml" || len(src) == 0 {
		t.Errorf("Find(hierarchy) = %q, %d bytes, %v", name, len(src), err)
	}
	path := filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(path, []byte("version: 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if name, src, err := files.Find(path); err != nil || name != path || string(src) != "version: 1\n" {
		t.Errorf("Find(%s) = %q, %q, %v", path, name, src, err)
	}
	if _, _, err := files.Find("heirarchy"); !errors.Is(err, files.ErrNoScenario) || !strings.Contains(err.Error(), `"hierarchy"?`) {
		t.Errorf("Find(heirarchy) should propose hierarchy, found %v", err)
	}
	if _, _, err := files.Find("./hierarchy"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("./hierarchy is a path: expected ErrNotExist, found %v", err)
	}
}

func TestRawProgram(t *testing.T) {
	raw := []byte{
		0x85, 0x10, 0, 0, 1, 0, 0, 0, // call pc+1
		0x95, 0, 0, 0, 0, 0, 0, 0, // exit
		0xb7, 0, 0, 0, 7, 0, 0, 0, // r0 = 7
		0x95, 0, 0, 0, 0, 0, 0, 0, // exit
	}
	p, err := scenarios.RawProgram(raw)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Insns) != 4 || len(p.Funcs) != 2 || p.Funcs[1].Start != 2 {
		t.Errorf("expected 4 instructions and a function at slot 2, found %+v", p)
	}
	for _, bad := range [][]byte{nil, raw[:7], {0x85, 0x10, 0, 0, 9, 0, 0, 0}} {
		if p, err := scenarios.RawProgram(bad); err == nil || p != nil {
			t.Errorf("RawProgram(%x) = %v, %v: expected an error only", bad, p, err)
		}
	}
}

// TestTooManyNames: names that stand one below the other are refused before the parser takes minutes; in braces they are read.
func TestTooManyNames(t *testing.T) {
	var below, braces strings.Builder
	for i := range 25_000 {
		fmt.Fprintf(&below, "  k%d: 1\n", i)
		fmt.Fprintf(&braces, "k%d: 1, ", i)
	}
	for text, want := range map[string]string{
		"version: 1\nmaps:\n" + below.String():              "too many names one below the other",
		"version: 1\nmaps: {" + braces.String() + "z: 1}\n": "a scenario needs version, name, programs and runs",
	} {
		_, err := scenarios.Load("f.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no error that says %s", want)
		}
	}
}

// TestNoText: of a line that is no text nothing is quoted.
func TestNoText(t *testing.T) {
	for _, src := range []string{"\x1f\x8b\x08\xff\n", "\xff: 1\n"} {
		_, err := scenarios.Load("x.yaml", []byte(src))
		if err == nil || strings.Contains(err.Error(), "^") || strings.HasPrefix(src, "\xff") && !strings.Contains(err.Error(), "object file of clang") || !strings.HasPrefix(err.Error(), "x.yaml:") {
			t.Errorf("%q: %v", src, err)
		}
	}
}
