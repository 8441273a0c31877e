// SPDX-License-Identifier: GPL-2.0-only

package campaign

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios"
)

// A fault inside the engine's own code kills the process, whatever Go does. So a matrix can be played
// in processes of their own: each answers questions of one line with one line of JSON.

// question asks for cell (Scenario, Target), or for the costs of a target if Scenario is -1.
type question struct {
	Target   int `json:"target"`
	Scenario int `json:"scenario"`
}

// Serve answers the questions of a matrix of the same scenarios and targets until in ends: it is what
// MatrixOptions.Command must come to.
func Serve(ctx context.Context, in io.Reader, out io.Writer, bs []*scenarios.Built, ts []*jit.Target, core *timing.Core) error {
	w := &worker{}
	defer w.drop()
	questions, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var q question
		switch err := questions.Decode(&q); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("question: %w", err)
		case q.Target < 0 || q.Target >= len(ts) || q.Scenario < -1 || q.Scenario >= len(bs):
			return fmt.Errorf("question: no target %d or scenario %d", q.Target, q.Scenario)
		}
		var answer any
		if q.Scenario < 0 {
			answer = w.costs(ctx, ts[q.Target], core)
		} else {
			answer = w.cell(ctx, bs[q.Scenario], ts[q.Target])
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
}

// process is a process that serves one worker. It is started with the first question, and again with
// the first after it died.
type process struct {
	command []string
	timeout time.Duration

	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err bytes.Buffer
}

// ask fills answer. An error says how the process died; the next question goes to a new one.
func (p *process) ask(ctx context.Context, q question, answer any) error {
	if p.cmd == nil {
		if err := p.start(ctx); err != nil {
			return fmt.Errorf("worker process: %w", err)
		}
	}
	running := p.cmd.Process
	late := time.AfterFunc(p.timeout, func() { _ = running.Kill() }) // ends the read below
	line, err := p.exchange(q)
	inTime := late.Stop()
	if err == nil {
		err = json.Unmarshal(line, answer)
	}
	if err == nil {
		return nil
	}
	state := p.stop()
	if !inTime {
		return fmt.Errorf("worker process: no answer in %v", p.timeout)
	}
	if first := firstLine(p.err.Bytes()); first != "" {
		return fmt.Errorf("worker process died: %s: %s", state, first)
	}
	return fmt.Errorf("worker process died: %s", state)
}

func (p *process) exchange(q question) ([]byte, error) {
	if err := json.NewEncoder(p.in).Encode(q); err != nil {
		return nil, err
	}
	return p.out.ReadBytes('\n')
}

func (p *process) start(ctx context.Context) error {
	p.err.Reset()
	cmd := exec.CommandContext(ctx, p.command[0], p.command[1:]...)
	cmd.Stderr = &p.err
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.in, p.out = cmd, in, bufio.NewReader(out)
	return nil
}

// stop ends the process and says how it ended.
func (p *process) stop() string {
	if p.cmd == nil {
		return ""
	}
	_ = p.in.Close() // it ends with its questions
	running := p.cmd.Process
	late := time.AfterFunc(p.timeout, func() { _ = running.Kill() })
	_ = p.cmd.Wait()
	late.Stop()
	state := p.cmd.ProcessState.String()
	p.cmd = nil
	return state
}

// firstLine returns the first line of what a dying process wrote, which names the reason.
func firstLine(b []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(b), []byte("\n"))
	return string(line)
}
