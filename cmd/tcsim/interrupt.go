// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"cmp"
	"context"
	"errors"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/inputs"
	"github.com/tcsim/tcsim/cmd/tcsim/interrupt"
	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/jit/outfile"
)

// errInterrupted ends a command that a signal or --time-limit ended, which says nothing of what it tests but for
// what it has printed.
var errInterrupted = errors.New("interrupted: there are no results but those that were finished")

// isInterrupt reports whether an error is that of a command that was interrupted.
func isInterrupt(err error) bool {
	return errors.Is(err, errInterrupted) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// cutShort reports whether err comes from an interrupt, so that what is finished is to be printed.
func cutShort(ctx context.Context, err error) bool { return err != nil && ctx.Err() != nil }

// orInterrupted is the verdict of a command, of one that was interrupted that.
func orInterrupted(interrupted bool, verdict error) error {
	if interrupted {
		return errInterrupted
	}
	return verdict
}

// answered has a command that was interrupted say so: its error and, under --json, an object if it has printed none. A part of
// --shard is whole or not there.
func (e env) answered(action cli.ActionFunc) cli.ActionFunc {
	return func(ctx context.Context, cmd *cli.Command) error {
		err := action(ctx, cmd)
		out, ok := e.stdout.(*output)
		if !isInterrupt(err) || !ok || out.any || !cmd.Bool("json") || cmd.String("shard") != "" {
			return err
		}
		return cmp.Or(render.JSON(out, interrupt.Nothing{Command: cmd.Name, Interrupted: true, Schema: interrupt.Schema}), err)
	}
}

// timeLimit is the option of all commands.
const timeLimit = "time-limit"

// limited ends the context of an action after the time that --time-limit says.
func limited(action cli.ActionFunc) cli.ActionFunc {
	return func(ctx context.Context, cmd *cli.Command) error {
		if !cmd.IsSet(timeLimit) {
			return ended(ctx, action(ctx, cmd))
		}
		limit := cmd.Duration(timeLimit)
		if limit <= 0 {
			return badUsage("--time-limit: expected more than 0, found %v", limit)
		}
		ctx, stop := interrupt.Within(ctx, limit, cmd.Root().ErrWriter)
		defer stop()
		return ended(ctx, action(ctx, cmd))
	}
}

// ended is the error of an action whose context may have ended: it was interrupted, unless it has a verdict. What it says of
// bad input is kept.
func ended(ctx context.Context, err error) error {
	var in inputs.Error
	switch {
	case !cutShort(ctx, err) || errors.Is(err, errFailed):
		return err
	case errors.As(err, &in) && !isInterrupt(err):
		return errors.Join(err, errInterrupted)
	}
	return errInterrupted
}

// writable finds out before long work whether the file that --output names can be written.
func writable(cmd *cli.Command) error {
	if path := cmd.String("output"); path != "" {
		return badInput(outfile.Check(path))
	}
	return nil
}
