// SPDX-License-Identifier: GPL-2.0-only

// Package interrupt ends a command that a signal asks to end: at first by its context, so that it prints what is finished,
// and then at once where it waits for what no context ends, such as a pipe that nobody writes to.
package interrupt

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Code is the exit code of what was interrupted.
const Code = 130

var (
	// patience is how long a command may take to end.
	patience = 30 * time.Second
	// again is how long after the first signal another one means that it should not take so long. What sends a signal to a
	// process and to its group, as timeout does, sends it twice.
	again = 500 * time.Millisecond
)

// Schema is that of Nothing.
const Schema = "tcsim.interrupted/v1"

// Nothing is the object under --json of a command that was interrupted before anything was finished.
type Nothing struct {
	Command     string `json:"command"`
	Interrupted bool   `json:"interrupted"` // always
	Schema      string `json:"schema"`
}

// Context returns a context that the first SIGINT or SIGTERM ends. Another signal ends the process, as does time, and said
// is told of it. stop goes back to what signals do by default.
func Context(said io.Writer) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
			return
		}
		cancel()
		over := time.After(patience)
		for first := time.Now(); ; {
			select {
			case <-signals:
				if time.Since(first) < again {
					continue
				}
			case <-over:
			}
			end(said)
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}

// Within returns a context that ends after a time, like Context by a signal. stop ends it before.
func Within(ctx context.Context, limit time.Duration, said io.Writer) (_ context.Context, stop func()) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	over := time.AfterFunc(limit+patience, func() { end(said) })
	return ctx, func() {
		over.Stop()
		cancel()
	}
}

func end(said io.Writer) {
	fmt.Fprintln(said, "tcsim: interrupted while it waited for something that did not come, such as input")
	os.Exit(Code)
}
