// SPDX-License-Identifier: GPL-2.0-only

// Package files finds scenarios and other files that people give: by name in the library, by path, within bounds.
package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit/nearest"
)

// library is where the built-in scenarios lie in fixtures.FS.
const library = "scenarios"

// ErrNoScenario says that a word is neither the name of a built-in scenario nor that of a file.
var ErrNoScenario = errors.New("no built-in scenario and no file")

// Builtin returns the names of the built-in scenarios in alphabetical order.
func Builtin() []string {
	entries, err := fs.ReadDir(fixtures.FS, library)
	if err != nil {
		panic("BUG: the scenario library is not embedded: " + err.Error())
	}
	var out []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".yaml"); ok {
			out = append(out, name)
		}
	}
	return out
}

// Sequences returns the name and the text of the built-in file of sequences, whose cycles are those of a Golden Cove.
func Sequences() (name string, src []byte, err error) {
	name = "uarch/measured.json"
	src, err = fs.ReadFile(fixtures.FS, name)
	return name, src, err
}

// Find returns the text of a built-in scenario, or of the file at a path. A word without slash or
// extension is a built-in name first; "./word" is always a file. name is what Load should be told:
// the path, or "hierarchy.yaml" for a built-in one.
func Find(nameOrPath string) (name string, src []byte, err error) {
	word := !strings.ContainsAny(nameOrPath, `/\`) && path.Ext(nameOrPath) == ""
	if word {
		file := nameOrPath + ".yaml"
		if src, err := fs.ReadFile(fixtures.FS, path.Join(library, file)); err == nil {
			return file, src, nil
		}
	}
	src, err = ReadFile(nameOrPath, MaxFile)
	if word && errors.Is(err, fs.ErrNotExist) {
		return "", nil, fmt.Errorf("%w %q%s", ErrNoScenario, nameOrPath, nearest.DidYouMean(nameOrPath, Builtin()))
	}
	if err != nil {
		return "", nil, err
	}
	return nameOrPath, src, nil
}

// MaxFile is how many bytes are read of a file that people give: a scenario, an object file or
// packets. Real ones are far below.
const MaxFile = 64 << 20

// ReadFile returns what is in a file. It fails if that is more than limit bytes, without reading the
// rest: a device has no end.
func ReadFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(data)) > limit:
		return nil, fmt.Errorf("%s: more than %d bytes", path, limit)
	}
	return data, nil
}

// starters is where the scenarios lie in fixtures.FS that own ones begin with.
const starters = "starters"

// Starters returns the names of the scenarios that own ones begin with.
func Starters() []string { return []string{"graph", "asm", "trampoline"} }

// Starter returns the text of one of Starters, with comments.
func Starter(name string) []byte {
	src, err := fs.ReadFile(fixtures.FS, path.Join(starters, name+".yaml"))
	if err != nil {
		panic("BUG: not one of Starters: " + err.Error())
	}
	return src
}
