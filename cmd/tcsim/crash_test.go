// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"
)

// TestPanic: a panic in a command is an internal fault with a request for a report; -v shows the stack.
func TestPanic(t *testing.T) {
	app := newApp(env{})
	app.Commands = append(app.Commands, &cli.Command{
		Name:   "crash",
		Action: func(context.Context, *cli.Command) error { panic("BUG: a test") },
	})
	for _, args := range [][]string{{"tcsim", "crash"}, {"tcsim", "crash", "-v"}, {"tcsim", "--verbose", "crash"}} {
		var errs bytes.Buffer
		code := report(&errs, runApp(t.Context(), app, args), verbose(args))
		text := errs.String()
		if code != exitInternal || !strings.HasPrefix(text, "tcsim: internal fault: BUG: a test\n") || !strings.Contains(text, "Please report it") {
			t.Errorf("%v: exit code %d\n%s", args, code, text)
		}
		if stack := strings.Contains(text, "crash_test.go:"); stack != verbose(args) {
			t.Errorf("%v: the stack is shown: %v\n%s", args, stack, text)
		}
	}
}
