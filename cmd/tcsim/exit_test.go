// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"

	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/outfile"
)

// TestExitMixed: what cannot be tested is 125, unless something is wrong with the command line or a file besides: git bisect
// run would skip every revision for a mistyped name.
func TestExitMixed(t *testing.T) {
	cannot, typo := fmt.Errorf("arenas: %w", kernels.ErrUnsupported), errors.New(`no file "nosuch"`)
	for _, c := range []struct {
		err  error
		code int
	}{
		{badInput(cannot), exitUntestable},
		{badInput(errors.Join(cannot, fmt.Errorf("again: %w", errors.Join(cannot, cannot)))), exitUntestable},
		{fmt.Errorf("%w: %w", errUntestable, typo), exitUntestable},
		{badInput(errors.Join(cannot, typo)), exitUsage},
		{fmt.Errorf("scenario x: %w", errors.Join(cannot, badInput(typo))), exitUsage},
		{badInput(typo), exitUsage},
		{errors.Join(cannot, typo), exitUntestable},
		{fmt.Errorf("fuzz: %w", &outfile.Error{Path: "x", Err: syscall.ENOSPC}), exitUsage}, // whoever wrote
		{typo, exitInternal},
	} {
		if code := exitOf(io.Discard, c.err, false); code != c.code {
			t.Errorf("%v: exit code %d, expected %d", c.err, code, c.code)
		}
	}
}
