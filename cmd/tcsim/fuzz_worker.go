// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"cmp"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/tcsim/tcsim/scenarios/campaign"
)

// workerGrace is how long a worker may take to end when nobody listens to it any more.
const workerGrace = 2 * time.Second

// lastInput is the standard input of a worker. When it ends, because the parent closed it or ended in
// whatever way, so does the worker, even if the engine does not come back.
type lastInput struct{ io.Reader }

// Read implements io.Reader.
func (r *lastInput) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil {
		time.AfterFunc(workerGrace, func() { os.Exit(exitInternal) })
	}
	return n, err
}

// startWorker runs this program again to play graphs: an engine that crashes takes only that process
// with it.
func startWorker() (*campaign.FuzzWorker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, workerCommand)
	cmd.WaitDelay = workerGrace
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
	return &campaign.FuzzWorker{
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
