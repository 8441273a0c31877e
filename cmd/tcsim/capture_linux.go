// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/inputs"
	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/capture/live"
	"github.com/tcsim/tcsim/scenarios/inkernel"
	"github.com/tcsim/tcsim/scenarios/replay"
	"github.com/tcsim/tcsim/scenarios/runner"
)

func (e env) capture(ctx context.Context, cmd *cli.Command) error {
	if err := writable(cmd); err != nil {
		return err
	}
	out := cmd.String("output")
	choice := live.Choice{IDs: cmd.Uint32Slice("id"), Pinned: cmd.StringSlice("pinned"), All: cmd.Bool("all")}
	switch {
	case out == "":
		return badUsage("-o: say which file to write")
	case choice.Any() && cmd.NArg() > 0:
		return badUsage("--id, --pinned and --all capture what is loaded: expected no scenarios with them, found %d", cmd.NArg())
	case choice.Any() && cmd.Bool("run"):
		return badUsage("--run runs scenarios: programs of others are left alone")
	}
	var what *inputs.Order
	var err error
	if !choice.Any() {
		if what, err = inputs.Orders(cmd.Args().Slice()); err != nil {
			return badInput(err)
		}
	}
	k, err := openKernel(cmd)
	if err != nil {
		return err
	}
	defer k.Close()
	sum := &render.Captured{File: out}
	var f *capture.File
	if choice.Any() {
		f, err = k.Found(choice)
		err = badInput(err)
	} else {
		sum.LeftOut = what.Left
		bar := e.progress("load")
		f, err = k.Capture(ctx, what.Scenarios, func(done int) { bar.Set(done, len(what.Scenarios)) })
		bar.Done()
	}
	if f == nil || err != nil && !cutShort(ctx, err) {
		return err
	}
	if cmd.Bool("run") && ctx.Err() == nil {
		if err := e.runInKernel(ctx, k, f, what, sum); err != nil && !cutShort(ctx, err) {
			return err
		}
	}
	sum.Interrupted = ctx.Err() != nil // what is finished is kept
	if err := capture.WriteFile(out, f); err != nil {
		return badInput(err)
	}
	sum.Describe(f)
	if err := e.printCaptured(cmd, sum); err != nil {
		return err
	}
	if len(sum.Failed) > 0 && !sum.Interrupted {
		return errFailed
	}
	return orInterrupted(sum.Interrupted, nil)
}

// openKernel opens the running kernel.
func openKernel(cmd *cli.Command) (*live.Kernel, error) {
	k, err := live.Open(live.Options{Config: cmd.String("config")})
	var missing live.Missing
	if errors.As(err, &missing) {
		return nil, fmt.Errorf("%w: %w", errUntestable, missing)
	}
	if err != nil {
		return nil, badInput(err)
	}
	k.Header.Variant = cmd.String("variant")
	return k, nil
}

// runInKernel has the kernel run the scenarios of a capture that the emulator runs without harm.
func (e env) runInKernel(ctx context.Context, k *live.Kernel, f *capture.File, what *inputs.Order, sum *render.Captured) error {
	var text bytes.Buffer
	if err := capture.Write(&text, f); err != nil {
		return err
	}
	src, err := capture.Read(&text, sum.File)
	if err != nil {
		return err
	}
	t, err := replay.TargetOf(src)
	if err != nil {
		return fmt.Errorf("%w: --run needs a target to judge by: %w", errUntestable, err)
	}
	r, err := replay.New(runner.Options{})
	if err != nil {
		return err
	}
	defer r.Close()
	bar := e.progress("run")
	defer bar.Done()
	for i := range f.Scenarios {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, err := replay.Capture(src, t, i)
		why := ""
		if err != nil {
			why = err.Error()
		} else if why, err = r.Unsafe(ctx, c); err != nil {
			return err
		}
		if why != "" {
			sum.NotRun = append(sum.NotRun, fmt.Sprintf("%s: %s", f.Scenarios[i].Name, why))
			continue
		}
		if f.Scenarios[i].Played, err = playLive(k, f.Scenarios[i].Order(), what, i); err != nil {
			return fmt.Errorf("%s: %w", f.Scenarios[i].Name, err)
		}
		sum.Run++
		bar.Set(i+1, len(f.Scenarios))
	}
	return nil
}

// playLive loads a scenario once more and plays it.
func playLive(k *live.Kernel, sc capture.Scenario, what *inputs.Order, i int) (played []capture.Played, err error) {
	l, err := k.Load(&sc)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	return inkernel.Play(l, what.Built[i])
}
