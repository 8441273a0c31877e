// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/native"
	"github.com/tcsim/tcsim/cmd/tcsim/progress"
	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/jit/outfile"
	"github.com/tcsim/tcsim/scenarios/calibrate"
)

// learn makes the core file of this machine.
func (e env) learn(ctx context.Context, cmd *cli.Command, raw []byte, file *measured.File) error {
	path := cmd.String("output")
	if path == hostCore {
		var err error
		if path, err = hostCoreFile(); err != nil {
			return badInput(err)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return badInput(err)
		}
	}
	name, isYAML := strings.CutSuffix(filepath.Base(path), ".yaml")
	if !cmd.Bool("host") || !isYAML || name == "" {
		return badUsage("--learn needs --host, and -o with the core file to write, NAME.yaml, or host")
	}
	if path == cmd.String("output") {
		if err := writable(cmd); err != nil {
			return err
		}
	}
	if err := emu.HostUsable(); err != nil {
		return fmt.Errorf("%w: %w", errUntestable, err)
	}
	m, err := emu.New(emu.Config{})
	if err != nil {
		return err
	}
	defer m.Close()
	stages := map[string]*progress.Bar{}
	opt := calibrate.Options{
		Pass: e.measurer().Pass, Machine: cmp.Or(emu.HostName(), "unknown processor"), Nops: emu.HostNopRate(),
		Name: name, Journal: path + ".partial",
		Stopped: func(err error) bool { return errors.Is(err, native.ErrRefused) },
		Progress: func(stage string, done, total int) {
			if stages[stage] == nil {
				stages[stage] = e.progress(stage)
			}
			if stages[stage].Set(done, total); done == total {
				stages[stage].Done()
			}
		},
	}
	r, err := calibrate.Learn(ctx, m, file, opt)
	switch {
	case errors.Is(err, calibrate.ErrBusy):
		return fmt.Errorf("%w: %w; what was measured is kept in %s", errUntestable, err, opt.Journal)
	case err != nil:
		return unmeasured(err)
	}
	here, err := measured.Rewritten(raw, opt.Machine, time.Now().UTC().Format(time.DateOnly), r.Cycles)
	if err != nil {
		return err
	}
	for to, text := range map[string][]byte{path: r.File, strings.TrimSuffix(path, ".yaml") + ".measured.json": here} {
		if err := outfile.Write(to, text); err != nil {
			return badInput(err)
		}
	}
	return r.WriteText(e.stdout)
}
