// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/events"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace/stored"
)

// recorded does something whose events go to the file that --events names, if that is set; run is the one that is
// wanted, 0 for all.
func (e env) recorded(ctx context.Context, cmd *cli.Command, run int, do func(env) error) error {
	if cmd.String("events") == "" {
		return do(e)
	}
	rec, err := events.Record(cmd, run, e.progress("events"))
	if err != nil {
		return err
	}
	e.recording = rec
	said, err := rec.Close(ctx, do(e))
	if said != "" {
		fmt.Fprintf(e.stderr, "note: %s\n", said)
	}
	return err
}

// showStored prints events of a file.
func (e env) showStored(cmd *cli.Command, run *stored.Run, shown events.Choice) error {
	look, err := e.look(cmd)
	if err != nil {
		return err
	}
	switch err = events.Show(e.drawn(look), e.stderr, run, shown, cmd.Bool("json"), look); {
	case errors.Is(err, events.ErrFailed):
		return errFailed
	case errors.Is(err, events.ErrInterrupted):
		return errInterrupted
	}
	return err
}

// rerun is the error that has what a file of events is of run again, nil if the command has no such file.
func (e env) rerun(cmd *cli.Command) error {
	if e.stored != nil {
		return nil
	}
	again, err := events.Again(cmd)
	if again != nil {
		return again
	}
	return err
}

// moment reads --at.
func (e env) moment(cmd *cli.Command) (stack.At, error) {
	at, err := stack.ParseAt(cmd.String("at"))
	if err != nil {
		return at, badUsage("--at: %w", err)
	}
	return events.At(e.stored, at), nil
}
