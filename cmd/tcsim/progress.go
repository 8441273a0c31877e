// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/progress"
)

// progressFlag chooses how progress is shown.
func progressFlag(to *string) cli.Flag {
	return &cli.StringFlag{
		Name: "progress", Value: progress.Auto, Destination: to,
		Usage: "how long work is shown: auto (a bar on a terminal, else nothing), plain (lines, for logs) or none",
		Validator: func(v string) error {
			if v != progress.Auto && v != progress.Plain && v != progress.None {
				return fmt.Errorf("expected auto, plain or none, found %q", v)
			}
			return nil
		},
	}
}

// progress returns a bar on standard error.
func (e env) progress(name string) *progress.Bar { return e.rateBar(name, 1) }

// rateBar returns a bar of which each step counts several times for the rate.
func (e env) rateBar(name string, times int) *progress.Bar {
	opt := progress.Options{Terminal: e.terminal, Lines: e.stderr, Told: e.progressed}
	if e.showProgress != nil {
		opt.Mode = *e.showProgress
	}
	return progress.New(name, times, opt)
}
