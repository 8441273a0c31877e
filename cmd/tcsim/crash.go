// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/manual"
	"github.com/tcsim/tcsim/jit/nearest"
)

// panicError is a panic of a command: a fault of tcsim, whatever the input was.
type panicError struct {
	value any
	stack []byte
	args  []string
}

func (p *panicError) Error() string { return fmt.Sprintf("internal fault: %v", p.value) }

// advice says what to do about the fault, with the stack if it is wanted.
func (p *panicError) advice(stack bool) string {
	const please = "This is a bug in tcsim, not in your input. Please report it with the command line, the input files"
	if stack {
		return please + " and this stack:\n\n" + strings.TrimRight(string(p.stack), "\n")
	}
	return please + "\nand what this prints: " + strings.Join(append(slices.Clone(p.args), "-v"), " ")
}

// runApp runs one command line; a panic becomes an error.
func runApp(ctx context.Context, app *cli.Command, args []string) (err error) {
	defer func() {
		if v := recover(); v != nil {
			stack := debug.Stack()
			if elsewhere, ok := v.(interface{ Stack() []byte }); ok {
				stack = elsewhere.Stack()
			}
			err = &panicError{v, stack, args}
		}
	}()
	if err := unknownCommand(app, args); err != nil {
		return err
	}
	return app.Run(ctx, manual.Words(app, args))
}

// unknownCommand is an error if the first word names no command: the library takes it for an argument.
func unknownCommand(app *cli.Command, args []string) error {
	at := manual.CommandAt(app, args)
	if at == len(args) || app.Command(args[at]) != nil {
		return nil
	}
	return badUsage("unknown command %q%s (see tcsim --help)", args[at], nearest.DidYouMean(args[at], visible(app.Commands)))
}

// verbose reports whether the command line asks for the stack of a fault. It looks at the words, as a
// fault may come before they are parsed.
func verbose(args []string) bool {
	for _, a := range args {
		switch a {
		case "--":
			return false
		case "-v", "--verbose":
			return true
		}
	}
	return false
}
