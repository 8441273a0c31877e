// SPDX-License-Identifier: GPL-2.0-only

package corpus_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/scenarios/corpus"
)

func open(t *testing.T, dir string, others ...string) *corpus.Folder {
	t.Helper()
	f, err := corpus.Open(dir, others...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func add(t *testing.T, f *corpus.Folder, cases ...corpus.Case) {
	t.Helper()
	for _, c := range cases {
		if err := f.Add(c); err != nil {
			t.Fatal(err)
		}
	}
}

func choices(from, n int) []uint32 {
	var out []uint32
	for i := range n {
		out = append(out, uint32(from+i))
	}
	return out
}

// What is added is there when the folder is opened again, in one order, once, with the progress of campaigns.
func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	f := open(t, dir)
	all := []corpus.Case{{Choices: choices(0, 50)}, {Program: true, Choices: choices(0, 50)}, {Choices: []uint32{1<<32 - 1}}, {}}
	add(t, f, all...)
	add(t, f, all[0])
	if err := f.SetPlayed("a campaign", 640); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "README"), []byte("left alone"), 0o666); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir)
	if !reflect.DeepEqual(again.Cases(), f.Cases()) || len(f.Cases()) != len(all) {
		t.Errorf("read %v, wrote %v", again.Cases(), f.Cases())
	}
	if n := again.Played("a campaign"); n != 640 || again.Played("another") != 0 {
		t.Errorf("played %d", n)
	}
	if !slices.IsSortedFunc(f.Cases(), func(a, b corpus.Case) int { return strings.Compare(a.Name(), b.Name()) }) {
		t.Error("not in order of names")
	}
	keep := map[string]bool{all[1].Name(): true}
	if err := again.Keep(keep); err != nil {
		t.Fatal(err)
	}
	if left := open(t, dir).Cases(); len(left) != 1 || !reflect.DeepEqual(left[0], all[1]) {
		t.Errorf("kept %v", left)
	}
}

// Another folder brings what the first one lacks.
func TestOthers(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	one, two := corpus.Case{Choices: choices(1, 3)}, corpus.Case{Choices: choices(2, 3)}
	add(t, open(t, a), one)
	add(t, open(t, b), one, two)
	f := open(t, a, b, b)
	if len(f.Cases()) != 1 || len(f.Others) != 1 || !reflect.DeepEqual(f.Others[0], two) {
		t.Errorf("%v and %v", f.Cases(), f.Others)
	}
}

// Bad files are all named, with line and column.
func TestBad(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.case": "tree\n1 2", "b.case": "graph\n1 x 3\n4 -5", "c.case": "", "d.case": "program\n4294967296",
		"campaigns.json": `{"schema": "tcsim.corpus/v9", "played": {}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	_, err := corpus.Open(dir, filepath.Join(dir, "absent"))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`a.case:1:1: expected graph or program, found "tree"`, `b.case:2:3: expected a number below 4294967296, found "x"`,
		`b.case:3:3: expected a number`, `c.case:1:1: expected graph or program, found nothing`, `d.case:2:1: expected a number`,
		`expected schema "tcsim.corpus/v1", found "tcsim.corpus/v9"`, "absent",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %s", err, want)
		}
	}
}

// Variants are of the kind asked for, differ, and are the same for the same numbers.
func TestVary(t *testing.T) {
	f := open(t, t.TempDir())
	if _, ok := f.Vary(rand.New(rand.NewPCG(1, 1)), false); ok {
		t.Error("a variant of nothing")
	}
	add(t, f, corpus.Case{Choices: choices(0, 100)}, corpus.Case{Choices: choices(500, 100)}, corpus.Case{Program: true, Choices: choices(0, 100)})
	before := slices.Clone(f.Cases()[0].Choices)
	different := map[string]bool{}
	for i := range uint64(200) {
		a, ok := f.Vary(rand.New(rand.NewPCG(1, i)), i%2 == 0)
		b, _ := f.Vary(rand.New(rand.NewPCG(1, i)), i%2 == 0)
		if !ok || a.Program != (i%2 == 0) || !reflect.DeepEqual(a, b) {
			t.Fatalf("%v, %v", a, b)
		}
		different[a.Name()] = true
	}
	if len(different) < 180 {
		t.Errorf("%d variants in 200", len(different))
	}
	if !slices.Equal(before, f.Cases()[0].Choices) {
		t.Error("a kept case was changed")
	}
}

// What remains reaches all that there was; what the rest reaches too is gone.
func TestMinimise(t *testing.T) {
	all := []corpus.Reached{
		{Case: corpus.Case{Choices: choices(0, 9)}, Set: []uint32{1, 2, 3, 4}},
		{Case: corpus.Case{Choices: choices(1, 3)}, Set: []uint32{1, 2}},
		{Case: corpus.Case{Choices: choices(2, 4)}, Set: []uint32{3, 4, 5}},
		{Case: corpus.Case{Choices: choices(3, 5)}, Set: []uint32{5}},
		{Case: corpus.Case{Choices: choices(4, 5)}},
	}
	keep := corpus.Minimise(all)
	reached := map[uint32]bool{}
	for _, c := range all {
		if keep[c.Name()] {
			for _, x := range c.Set {
				reached[x] = true
			}
		}
	}
	if len(reached) != 5 || len(keep) != 2 || !keep[all[1].Name()] || !keep[all[2].Name()] {
		t.Errorf("%v reach %v", keep, reached)
	}
}
