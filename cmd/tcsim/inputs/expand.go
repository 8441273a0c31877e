// SPDX-License-Identifier: GPL-2.0-only

// Package inputs finds out what the arguments of a command mean: files, directories, patterns and the library.
package inputs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/scenarios/files"
)

// Library is the argument that means all built-in scenarios.
const Library = "library"

// ScenarioFiles and CaptureFiles are what is taken of a directory.
var (
	ScenarioFiles = []string{"*.yaml", "*.o"}
	CaptureFiles  = []string{"*.jsonl.gz"}
)

// Expand lists what an argument means: all built-in scenarios, the files of a directory, those that match a pattern,
// or what it says.
func Expand(arg string, patterns []string) ([]string, error) {
	if arg == Library && slices.Equal(patterns, ScenarioFiles) {
		return files.Builtin(), nil
	}
	info, err := os.Stat(arg)
	switch {
	case err == nil && info.IsDir():
		for i := range patterns {
			patterns = slices.Clone(patterns)
			patterns[i] = filepath.Join(arg, patterns[i])
		}
	case err != nil && strings.ContainsAny(arg, "*?["):
		patterns = []string{arg}
	default:
		return []string{arg}, nil
	}
	var out []string
	for _, p := range patterns {
		found, err := filepath.Glob(p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", arg, err)
		}
		out = append(out, found...)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: no file is %s", arg, strings.Join(patterns, " or "))
	}
	slices.Sort(out)
	return out, nil
}

// ExpandAll lists what arguments mean.
func ExpandAll(args, patterns []string) ([]string, error) {
	var out []string
	var errs []error
	for _, a := range args {
		found, err := Expand(a, patterns)
		out, errs = append(out, found...), append(errs, err)
	}
	return out, errors.Join(errs...)
}
