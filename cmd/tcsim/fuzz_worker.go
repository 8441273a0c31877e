// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"cmp"
	"os"
	"os/exec"
	"strings"
	"sync"

	"github.com/tcsim/tcsim/scenarios/runner"
)

// startWorker runs this program again to play graphs: an engine that crashes takes only that process
// with it.
func startWorker() (*runner.FuzzWorker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, workerCommand)
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
	return &runner.FuzzWorker{
		In: in, Out: out,
		Kill: func() { _ = cmd.Process.Kill() }, // it may have ended already
		Wait: func() string {
			how := "exit status 0"
			if err := cmd.Wait(); err != nil {
				how = err.Error()
			}
			return strings.TrimSuffix(how+": "+cmp.Or(last.line(), ""), ": ")
		},
	}, nil
}

// head keeps the beginning of what is written to it.
type head struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text = append(h.text, p[:min(len(p), 4096-len(h.text))]...)
	return len(p), nil
}

// line returns the first line.
func (h *head) line() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	first, _, _ := strings.Cut(string(h.text), "\n")
	return first
}
