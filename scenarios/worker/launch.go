// SPDX-License-Identifier: GPL-2.0-only

package worker

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Launch starts a program that calls Main, with an argument, usually the name of the command that does.
// More of its environment than it inherits is given as NAME=VALUE.
func Launch(program, argument string, environment ...string) Start {
	return func(context.Context) (*Process, error) {
		cmd := exec.Command(program, argument)
		cmd.Env = append(os.Environ(), environment...)
		cmd.WaitDelay = grace
		cmd.SysProcAttr = withParent()
		var last head
		cmd.Stderr = &last
		in, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		return &Process{
			In: in, Out: out,
			Kill: func() { _ = cmd.Process.Kill() }, // it may have ended already
			Wait: func() string {
				how := "exit status 0"
				if err := cmd.Wait(); err != nil {
					how = err.Error()
				}
				return strings.TrimSuffix(how+": "+last.line(), ": ")
			},
		}, nil
	}
}

// Patient tries to start several times, with a pause before each further one: where memory or processes are
// short, there may be some later.
func Patient(start Start, tries int, pause time.Duration) Start {
	return func(ctx context.Context) (*Process, error) {
		for try := 1; ; try++ {
			p, err := start(ctx)
			if err == nil || try >= tries {
				return p, err
			}
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(pause):
			}
		}
	}
}

// headSize is how much is kept of what a process says when it dies.
const headSize = 4096

// head keeps the beginning of what is written to it.
type head struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text = append(h.text, p[:min(len(p), headSize-len(h.text))]...)
	return len(p), nil
}

// line returns the first line, which names the reason.
func (h *head) line() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	first, _, _ := bytes.Cut(bytes.TrimSpace(h.text), []byte("\n"))
	return string(first)
}
