// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/object"
)

// standardInput is the argument that means it, and what messages call it.
const (
	standardInput     = "-"
	standardInputName = "stdin"
)

// What is taken of a directory.
var (
	scenarioFiles = []string{"*.yaml", "*.o"}
	captureFiles  = []string{"*.jsonl.gz"}
)

// expand lists what an argument means: all built-in scenarios, the files of a directory, those that match a pattern,
// or what it says.
func expand(arg string, patterns []string) ([]string, error) {
	if arg == wholeLibrary && slices.Equal(patterns, scenarioFiles) {
		return scenarios.Builtin(), nil
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

// expandAll lists what arguments mean.
func expandAll(args, patterns []string) ([]string, error) {
	var out []string
	var errs []error
	for _, a := range args {
		found, err := expand(a, patterns)
		out, errs = append(out, found...), append(errs, err)
	}
	return out, badInput(errors.Join(errs...))
}

// load builds a scenario of a file, a built-in one, or one from standard input.
func (e env) load(arg string, opt object.Options) (*scenarios.Built, error) {
	if arg != standardInput {
		return object.Load(arg, opt)
	}
	src, err := e.readAll()
	if err != nil {
		return nil, err
	}
	return object.LoadText(standardInputName, src, opt)
}

// readAll reads standard input up to what a file may have.
func (e env) readAll() ([]byte, error) {
	src, err := io.ReadAll(io.LimitReader(e.stdin, scenarios.MaxFile+1))
	if err == nil && len(src) > scenarios.MaxFile {
		err = fmt.Errorf("%s: more than %d bytes", standardInputName, scenarios.MaxFile)
	}
	return src, err
}

// openSource opens a capture file, or reads one from standard input.
func (e env) openSource(path string) (*capture.Source, error) {
	if path == standardInput {
		return capture.Read(e.stdin, standardInputName)
	}
	return capture.Open(path)
}
