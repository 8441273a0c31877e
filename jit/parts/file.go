// SPDX-License-Identifier: GPL-2.0-only

package parts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Schema names the form of files of parts.
const Schema = "tcsim.part/v1"

// File is the file of a part.
type File struct {
	Schema string `json:"schema"`
	Number int    `json:"part"`
	Of     int    `json:"of"`
	Origin
	Units   int                     `json:"units"` // of all parts together
	Results map[int]json.RawMessage `json:"results"`
}

// File is what came out of a part. Missing units are an error: it was interrupted.
func (w *Work) File() (*File, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := &File{Schema: Schema, Number: w.shard.Number, Of: w.shard.Of, Origin: w.origin, Units: w.total, Results: w.results}
	return f, f.whole()
}

// whole reports units that are missing, or another part's.
func (f *File) whole() error {
	s := Shard{f.Number, f.Of}
	want, have := 0, 0
	for i := range f.Units {
		if s.mine(i) {
			want++
			if f.Results[i] != nil {
				have++
			}
		}
	}
	if have != want || len(f.Results) != want {
		return fmt.Errorf("part %v has %d results, %d of them of its %d units: it was interrupted, run it again", s, len(f.Results), have, want)
	}
	return nil
}

// IsFile reports whether text begins as the file of a part does, whatever else is wrong with it.
func IsFile(text []byte) bool {
	var head struct {
		Schema string `json:"schema"`
	}
	_ = json.Unmarshal(text, &head) // then it has no schema
	return head.Schema == Schema
}

// Read reads the file of a part. What is not the file of a whole part is an error that says so.
func Read(text []byte) (*File, error) {
	var f File
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	switch err := d.Decode(&f); {
	case err != nil:
		return nil, fmt.Errorf("expected what --shard prints: %w", err)
	case f.Schema != Schema:
		return nil, fmt.Errorf("expected schema %q, found %q", Schema, f.Schema)
	case f.Number < 1 || f.Number > f.Of || f.Units < 0 || len(f.Command) == 0:
		return nil, fmt.Errorf("part %d of %d with %d units is none", f.Number, f.Of, f.Units)
	}
	return &f, f.whole()
}

// Sum adds parts up. Those that are missing, there twice, or of another command or other inputs are all named; names
// are those of the files.
func Sum(files []*File, names []string) (*Work, error) {
	if len(files) == 0 {
		return nil, fmt.Errorf("expected the files of all parts, found none")
	}
	first := files[0]
	var each []Named
	w := &Work{origin: first.Origin, results: map[int]json.RawMessage{}, sum: true}
	for i, f := range files {
		each = append(each, Named{names[i], Shard{f.Number, f.Of}, f.unlike(first, names[0])})
		for unit, r := range f.Results {
			w.results[unit] = r
		}
	}
	if err := Complete(each); err != nil {
		return nil, err
	}
	return w, nil
}

// unlike says how a part differs from the first, which has a name; "" if it is of the same work.
func (f *File) unlike(o *File, name string) string {
	switch {
	case !slices.Equal(f.Command, o.Command):
		return fmt.Sprintf("is of another command (tcsim %s) than %s (tcsim %s)", strings.Join(f.Command, " "), name, strings.Join(o.Command, " "))
	case !slices.Equal(f.Inputs, o.Inputs):
		return fmt.Sprintf("was made from other inputs (%s) than %s (%s)", list(f.Inputs), name, list(o.Inputs))
	case f.Of != o.Of, f.Units != o.Units:
		return fmt.Sprintf("is one of %d parts with %d units, expected %d parts with %d units as %s has", f.Of, f.Units, o.Of, o.Units, name)
	}
	return ""
}

// Command is the command line, without the name of the program, whose parts were added up.
func (w *Work) Command() []string { return slices.Clone(w.origin.Command) }

// Check compares the inputs that are there now with those of the parts.
func (w *Work) Check(o Origin) error {
	if w.Sum() && !slices.Equal(o.Inputs, w.origin.Inputs) {
		return fmt.Errorf("the inputs here are not those of the parts: they had %s, here is %s", list(w.origin.Inputs), list(o.Inputs))
	}
	return nil
}

func list(of []string) string {
	if len(of) == 0 {
		return "none"
	}
	return strings.Join(of, ", ")
}

// Named is a part as it was found.
type Named struct {
	File  string
	Shard Shard
	Odd   string // how it differs from the first part, after its name; "" if it is of the same work
}

// Complete reports all parts that are missing, there twice, or of another work than the first.
func Complete(each []Named) error {
	var wrong []string
	first := each[0]
	have := map[int]string{}
	for _, p := range each {
		switch before, twice := have[p.Shard.Number]; {
		case p.Odd != "":
			wrong = append(wrong, p.File+" "+p.Odd)
		case twice:
			wrong = append(wrong, fmt.Sprintf("part %v is there twice: %s and %s", p.Shard, before, p.File))
		default:
			have[p.Shard.Number] = p.File
		}
	}
	for n := 1; n <= first.Shard.Of; n++ {
		if have[n] == "" {
			s := Shard{n, first.Shard.Of}
			wrong = append(wrong, fmt.Sprintf("part %v is missing: run it with --shard %v", s, s))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%s", strings.Join(wrong, "\n"))
	}
	return nil
}
