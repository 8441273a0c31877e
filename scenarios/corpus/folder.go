// SPDX-License-Identifier: GPL-2.0-only

package corpus

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/jit/outfile"
	"github.com/tcsim/tcsim/scenarios/files"
)

// Case is a stream of choices that is kept.
type Case struct {
	Program bool // it stands for a program, else for a graph
	Choices []uint32
}

// The words that files begin with.
const wordGraph, wordProgram = "graph", "program"

// text is the contents of the file of a case: what it is, and its choices, twenty in a line.
func (c *Case) text() []byte {
	var b bytes.Buffer
	if b.WriteString(wordGraph); c.Program {
		b.Reset()
		b.WriteString(wordProgram)
	}
	for i, v := range c.Choices {
		sep := byte(' ')
		if i%20 == 0 {
			sep = '\n'
		}
		b.WriteByte(sep)
		b.WriteString(strconv.FormatUint(uint64(v), 10))
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// extension is that of files with cases; others in a folder are left alone.
const extension = ".case"

// Name is the name of the file of a case, which follows from its contents.
func (c *Case) Name() string {
	sum := sha256.Sum256(c.text())
	return hex.EncodeToString(sum[:8]) + extension
}

// maxChoices is how many choices a case has at most; generators stop long before.
const maxChoices = 1 << 16

// parse reads the file of a case. The errors name line and column.
func parse(file string, text []byte) (Case, error) {
	var c Case
	var errs []error
	for n, line := range strings.Split(string(text), "\n") {
		for col := 0; col < len(line); {
			rest := line[col:]
			word, _, _ := strings.Cut(rest, " ")
			at := fmt.Sprintf("%s:%d:%d", file, n+1, col+1)
			switch v, err := strconv.ParseUint(word, 10, 32); {
			case n == 0 && col == 0 && (word == wordGraph || word == wordProgram):
				c.Program = word == wordProgram
			case n == 0 && col == 0:
				return c, fmt.Errorf("%s: expected %s or %s, found %q: this is no case of tcsim fuzz --corpus", at, wordGraph, wordProgram, clip(word))
			case word == "":
			case err != nil && len(errs) == 10:
				return c, errors.Join(append(errs, fmt.Errorf("%s: and more", at))...)
			case err != nil:
				errs = append(errs, fmt.Errorf("%s: expected a number below %d, found %q", at, uint64(1)<<32, clip(word)))
			case len(c.Choices) == maxChoices:
				return c, errors.Join(append(errs, fmt.Errorf("%s: more than %d choices", at, maxChoices))...)
			default:
				c.Choices = append(c.Choices, uint32(v))
			}
			col += len(word) + 1
		}
	}
	if len(text) == 0 {
		errs = append(errs, fmt.Errorf("%s:1:1: expected %s or %s, found nothing", file, wordGraph, wordProgram))
	}
	return c, errors.Join(errs...)
}

// clip is the beginning of a word that may be long.
func clip(word string) string { return word[:min(len(word), 32)] }

// Folder is what was kept, in order of names. It is not safe for concurrent use.
type Folder struct {
	dir   string
	cases []Case
	names []string // of cases, in order
	// Others are cases of further folders that this one lacks, in order of folders and names.
	Others []Case
	played map[string]int
}

// stateFile has how far campaigns have come.
const stateFile = "campaigns.json"

// stateSchema names the form of that file.
const stateSchema = "tcsim.corpus/v1"

// State is what the file holds that says how far campaigns have come.
type State struct {
	Schema string         `json:"schema"`
	Played map[string]int `json:"played"` // cases of a campaign, by its description
}

// Open reads a folder, which need not exist yet but must be one that can be written to, and the cases of others. All mistakes are
// reported together.
func Open(dir string, others ...string) (*Folder, error) {
	f := &Folder{dir: dir, played: map[string]int{}}
	cases, errs := read(dir, true)
	known := map[string]bool{}
	for _, c := range cases {
		f.insert(c)
		known[c.Name()] = true
	}
	for _, o := range others {
		cases, wrong := read(o, false)
		errs = append(errs, wrong...)
		for _, c := range cases {
			if name := c.Name(); !known[name] {
				known[name] = true
				f.Others = append(f.Others, c)
			}
		}
	}
	errs = append(errs, f.readState(), outfile.Check(filepath.Join(dir, stateFile)))
	return f, errors.Join(errs...)
}

func (f *Folder) readState() error {
	file := filepath.Join(f.dir, stateFile)
	text, err := files.ReadFile(file, files.MaxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var s State
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return fmt.Errorf("%s: expected what tcsim fuzz --corpus keeps there: %w", file, err)
	}
	if s.Schema != stateSchema {
		return fmt.Errorf("%s: expected schema %q, found %q", file, stateSchema, s.Schema)
	}
	for k, n := range s.Played {
		if n < 0 {
			return fmt.Errorf("%s: %s: expected a number of cases, found %d", file, k, n)
		}
		f.played[k] = n
	}
	return nil
}

// maxFile is the size in bytes of the largest file of a case.
const maxFile = 1 << 20

// read reads the cases of a folder in order of names.
func read(dir string, mayLack bool) (cases []Case, errs []error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) && mayLack {
		return nil, nil
	}
	if err != nil {
		return nil, []error{err}
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != extension {
			continue
		}
		file := filepath.Join(dir, e.Name())
		switch info, err := e.Info(); {
		case err != nil:
			errs = append(errs, err)
			continue
		case info.Size() > maxFile:
			errs = append(errs, fmt.Errorf("%s: %d bytes, expected at most %d", file, info.Size(), maxFile))
			continue
		}
		text, err := files.ReadFile(file, maxFile)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		c, err := parse(file, text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		cases = append(cases, c)
	}
	slices.SortFunc(cases, func(a, b Case) int { return strings.Compare(a.Name(), b.Name()) })
	return slices.CompactFunc(cases, func(a, b Case) bool { return a.Name() == b.Name() }), errs
}

// insert puts a case where its name belongs, and reports whether it was not there.
func (f *Folder) insert(c Case) bool {
	name := c.Name()
	i, found := slices.BinarySearch(f.names, name)
	if !found {
		f.cases, f.names = slices.Insert(f.cases, i, c), slices.Insert(f.names, i, name)
	}
	return !found
}

// Cases returns the cases in order of names; they must not be changed.
func (f *Folder) Cases() []Case { return f.cases }

// Add keeps a case: it is in the folder when Add returns.
func (f *Folder) Add(c Case) error {
	if !f.insert(c) {
		return nil
	}
	if err := outfile.Folder(f.dir); err != nil {
		return err
	}
	return outfile.Write(filepath.Join(f.dir, c.Name()), c.text())
}

// Keep removes all cases but those given by name.
func (f *Folder) Keep(names map[string]bool) error {
	old := *f
	f.cases, f.names = nil, nil
	var errs []error
	for i, name := range old.names {
		if names[name] {
			f.cases, f.names = append(f.cases, old.cases[i]), append(f.names, name)
		} else if err := os.Remove(filepath.Join(f.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Played returns how many cases of a campaign have been played.
func (f *Folder) Played(campaign string) int { return f.played[campaign] }

// SetPlayed keeps how many cases of a campaign have been played.
func (f *Folder) SetPlayed(campaign string, n int) error {
	if err := outfile.Folder(f.dir); err != nil {
		return err
	}
	f.played[campaign] = n
	text, err := json.MarshalIndent(State{stateSchema, f.played}, "", "  ")
	if err != nil {
		return err
	}
	return outfile.Write(filepath.Join(f.dir, stateFile), append(text, '\n'))
}
