// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/native"
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/jit/outfile"
)

// measurer measures with processes of this program.
func (e env) measurer() *native.Measurer {
	return &native.Measurer{Launch: e.launch, Say: func(err error) { fmt.Fprintf(e.stderr, "tcsim: not measured: %v\n", err) }}
}

// unmeasured marks the error of a machine that cannot measure.
func unmeasured(err error) error {
	if errors.Is(err, native.ErrRefused) {
		return fmt.Errorf("%w: %w", errUntestable, err)
	}
	return err
}

// hosted measures on this machine, writes the file that -o names, and judges predictions by it.
func (e env) hosted(ctx context.Context, cmd *cli.Command, raw []byte, old *measured.File, results []measured.Result) (*measured.File, []measured.Result, error) {
	if err := writable(cmd); err != nil {
		return nil, nil, err
	}
	if e.self == "" {
		return nil, nil, fmt.Errorf("%w: the path of tcsim is not known", errUntestable)
	}
	bar := e.progress("host")
	m := e.measurer()
	m.Progress = bar.Set
	raw, err := m.Measure(ctx, raw, old)
	bar.Done()
	if err != nil {
		return nil, nil, unmeasured(err)
	}
	file, results, err := native.Judged(raw, results)
	if path := cmd.String("output"); err == nil && path != "" {
		err = badInput(outfile.Write(path, raw))
	}
	return file, results, err
}
