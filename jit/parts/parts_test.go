// SPDX-License-Identifier: GPL-2.0-only

package parts_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/parts"
)

// play is a command of so many units in two kinds, some of which are a text.
func play(w *parts.Work, numbers, words int) (out []string) {
	first := w.Reserve(numbers)
	for i := range numbers {
		if n, ok := parts.Do(w, first+i, func() int { return i * i }); ok {
			out = append(out, fmt.Sprint(n))
		}
	}
	first = w.Reserve(words)
	for i := range words {
		if s, ok, err := parts.Try(w, first+i, func() (string, error) { return fmt.Sprintf("<%d & more>", i), nil }); ok && err == nil {
			out = append(out, s)
		}
	}
	return out
}

// files are the files of all parts, read back.
func files(t *testing.T, of, numbers, words int) (list []*parts.File, names []string) {
	t.Helper()
	for n := 1; n <= of; n++ {
		w := parts.Begin(parts.Shard{Number: n, Of: of}, parts.Origin{Command: []string{"play"}, Inputs: []string{"a 1"}})
		play(w, numbers, words)
		f, err := w.File()
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		back, err := parts.Read(text)
		if err != nil {
			t.Fatal(err)
		}
		list, names = append(list, back), append(names, fmt.Sprintf("%d.json", n))
	}
	return list, names
}

// TestSum requires parts of any number, in any order, to add up to the whole, and each unit to be done once.
func TestSum(t *testing.T) {
	for _, c := range []struct{ of, numbers, words int }{{1, 5, 2}, {2, 5, 2}, {3, 0, 7}, {8, 3, 1}, {5, 0, 0}} {
		whole := play(nil, c.numbers, c.words)
		list, names := files(t, c.of, c.numbers, c.words)
		done := 0
		for _, f := range list {
			done += len(f.Results)
		}
		if done != c.numbers+c.words {
			t.Errorf("%+v: %d units done", c, done)
		}
		rand.Shuffle(len(list), func(i, j int) { list[i], list[j], names[i], names[j] = list[j], list[i], names[j], names[i] })
		w, err := parts.Sum(list, names)
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		if got := play(w, c.numbers, c.words); !slices.Equal(got, whole) || w.Err() != nil {
			t.Errorf("%+v: %v, %v, expected %v", c, got, w.Err(), whole)
		}
		if play(w, 1, 0); w.Err() == nil {
			t.Errorf("%+v: a unit that no part has is no fault", c)
		}
	}
}

// TestSumWrong names parts that are missing, there twice or of another work.
func TestSumWrong(t *testing.T) {
	list, names := files(t, 3, 4, 4)
	other, _ := files(t, 3, 4, 5)
	moved, _ := files(t, 3, 4, 4)
	moved[2].Inputs = []string{"a 2"}
	for name, c := range map[string]struct {
		of   []*parts.File
		said []string
	}{
		"missing": {list[:2], []string{"part 3/3 is missing: run it with --shard 3/3"}},
		"twice":   {[]*parts.File{list[0], list[1], list[1]}, []string{"part 2/3 is there twice: 2.json and 3.json", "part 3/3 is missing"}},
		"units":   {[]*parts.File{list[0], list[1], other[2]}, []string{"3.json is one of 3 parts with 9 units, expected 3 parts with 8 units as 1.json has", "part 3/3 is missing"}},
		"inputs":  {[]*parts.File{list[0], list[1], moved[2]}, []string{"3.json was made from other inputs (a 2) than 1.json (a 1)"}},
	} {
		_, err := parts.Sum(c.of, names)
		for _, want := range c.said {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, expected %q", name, err, want)
			}
		}
	}
	if _, err := parts.Sum(nil, nil); err == nil {
		t.Error("the sum of nothing is no fault")
	}
}

// TestReadWrong refuses what is not the file of a whole part, without a panic.
func TestReadWrong(t *testing.T) {
	list, _ := files(t, 2, 3, 0)
	text, err := json.Marshal(list[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{`"part":1`, `"part":3`}, {`"part":1`, `"part":2`}, {`"units":3`, `"units":9`}, {`"units":3`, `"units":-1`}, {`"0":0`, `"1":0`},
		{`tcsim.part/v1`, `tcsim.part/v9`}, {`"units"`, `"unity"`}, {`["play"]`, `[]`}, {`}`, ``},
	} {
		bad := strings.Replace(string(text), c[0], c[1], 1)
		if bad == string(text) {
			t.Fatalf("%s is not in %s", c[0], text)
		}
		if f, err := parts.Read([]byte(bad)); err == nil {
			t.Errorf("%s for %s is read as %+v", c[1], c[0], f)
		}
	}
	for i := range text {
		if _, err := parts.Read(text[:i]); err == nil {
			t.Errorf("the first %d bytes are read", i)
		}
	}
}

func TestParseShard(t *testing.T) {
	if s, err := parts.ParseShard("3/8"); err != nil || s != (parts.Shard{Number: 3, Of: 8}) {
		t.Errorf("%v, %v", s, err)
	}
	for _, text := range []string{"", "3", "0/8", "9/8", "03/8", "3/8x", "-1/2", "3/ 8"} {
		if s, err := parts.ParseShard(text); err == nil {
			t.Errorf("%q is %v", text, s)
		}
	}
	seen := 0
	for n := 1; n <= 7; n++ {
		from, to := parts.Shard{Number: n, Of: 7}.Span(100)
		if from != seen {
			t.Errorf("part %d begins at %d, expected %d", n, from, seen)
		}
		seen = to
	}
	if seen != 100 {
		t.Errorf("parts end at %d", seen)
	}
}
