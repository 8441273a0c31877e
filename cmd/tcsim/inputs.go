// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"fmt"
	"io"

	"github.com/tcsim/tcsim/cmd/tcsim/inputs"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/files"
	"github.com/tcsim/tcsim/scenarios/object"
)

// standardInputName is what messages call it.
const standardInputName = "stdin"

// load builds a scenario of a file, a built-in one, or one from standard input.
func (e env) load(arg string, opt object.Options) (*scenarios.Built, error) {
	if arg != inputs.Standard {
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
	src, err := io.ReadAll(io.LimitReader(e.stdin, files.MaxFile+1))
	if err == nil && len(src) > files.MaxFile {
		err = fmt.Errorf("%s: more than %d bytes", standardInputName, files.MaxFile)
	}
	return src, err
}

// openSource opens a capture file, or reads one from standard input.
func (e env) openSource(path string) (*capture.Source, error) {
	if path == inputs.Standard {
		return capture.Read(e.stdin, standardInputName)
	}
	return capture.Open(path)
}
