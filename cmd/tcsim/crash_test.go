// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"
)

// otherStack is a panic of another goroutine, handed on by the one that waits for it.
type otherStack string

func (otherStack) Stack() []byte { return []byte("its stack") }

// TestPanic: a panic in a command is an internal fault with a request for a report; -v shows the stack.
func TestPanic(t *testing.T) {
	app := newApp(env{})
	app.Commands = append(app.Commands, &cli.Command{
		Name:   "crash",
		Action: func(context.Context, *cli.Command) error { panic("BUG: a test") },
	}, &cli.Command{
		Name:   "elsewhere",
		Action: func(context.Context, *cli.Command) error { panic(otherStack("in another goroutine")) },
	})
	for _, tc := range []struct {
		args        []string
		says, place string
	}{
		{[]string{"tcsim", "crash"}, "BUG: a test\n", "crash_test.go:"},
		{[]string{"tcsim", "crash", "-v"}, "BUG: a test\n", "crash_test.go:"},
		{[]string{"tcsim", "--verbose", "crash"}, "BUG: a test\n", "crash_test.go:"},
		{[]string{"tcsim", "elsewhere"}, "in another goroutine\n", "its stack"},
		{[]string{"tcsim", "elsewhere", "-v"}, "in another goroutine\n", "its stack"},
	} {
		args := tc.args
		var errs bytes.Buffer
		code := exitOf(&errs, runApp(t.Context(), app, args), verbose(args))
		text := errs.String()
		if code != exitInternal || !strings.HasPrefix(text, "tcsim: internal fault: "+tc.says) || !strings.Contains(text, "Please report it") {
			t.Errorf("%v: exit code %d\n%s", args, code, text)
		}
		if stack := strings.Contains(text, tc.place); stack != verbose(args) {
			t.Errorf("%v: the stack is shown: %v\n%s", args, stack, text)
		}
	}
}
