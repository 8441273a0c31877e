// SPDX-License-Identifier: GPL-2.0-only

package worker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Job is one kind of work. It is given its setup once in the life of a process. An error answers every
// question.
type Job func(setup json.RawMessage) (Work, error)

// Work answers a question: it calls answer any number of times. An error ends the question, not the process.
type Work func(ctx context.Context, ask json.RawMessage, answer func(any) error) error

// grace is how long a process may take to end when its parent no longer listens.
const grace = 2 * time.Second

// Main is what a worker process runs: Serve, and the end of the process soon after that of in, even if a
// job does not come back.
func Main(ctx context.Context, in io.Reader, out io.Writer, jobs map[string]Job) error {
	const internal = 3 // exit code
	return Serve(ctx, &lastInput{in, func() { time.AfterFunc(grace, func() { os.Exit(internal) }) }}, out, jobs)
}

// lastInput tells of the end of the input: the parent has closed it, or ended in whatever way.
type lastInput struct {
	io.Reader
	ended func()
}

// Read implements io.Reader.
func (r *lastInput) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil {
		r.ended()
	}
	return n, err
}

// Serve answers questions until in ends, or the context. When in ends, the answers are of
// no use any more: the context of the work ends. The error is one of reading or writing, or an unknown job.
func Serve(ctx context.Context, in io.Reader, out io.Writer, jobs map[string]Job) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	requests, ended := make(chan request), make(chan error, 1)
	go func() {
		defer close(requests)
		defer cancel()
		ended <- read(ctx, in, requests)
	}()
	enc := json.NewEncoder(out)
	var work Work
	for r := range requests {
		if r.Job != "" {
			var err error
			if work, err = begin(&r, jobs); err != nil {
				return err
			}
			continue
		}
		if work == nil {
			return errors.New("worker: a question before the job")
		}
		end := reply{End: true}
		err := work(ctx, r.Ask, func(a any) error {
			text, err := json.Marshal(a)
			if err != nil {
				return err
			}
			return enc.Encode(reply{Answer: text})
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			end.Error = err.Error()
		}
		if err := enc.Encode(end); err != nil {
			return err
		}
	}
	return <-ended
}

// read sends what it reads until in ends, or the context.
func read(ctx context.Context, in io.Reader, to chan<- request) error {
	dec := json.NewDecoder(bufio.NewReader(in))
	for {
		var r request
		if err := dec.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("worker: %w", err)
		}
		select {
		case to <- r:
		case <-ctx.Done():
			return nil
		}
	}
}

// begin sets up a job. What fails then is the answer to each question.
func begin(r *request, jobs map[string]Job) (Work, error) {
	job := jobs[r.Job]
	if job == nil {
		return nil, fmt.Errorf("worker: no job %q", r.Job)
	}
	work, err := job(r.Setup)
	if err != nil {
		return func(context.Context, json.RawMessage, func(any) error) error { return err }, nil
	}
	return work, nil
}
