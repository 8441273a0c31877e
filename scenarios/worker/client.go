// SPDX-License-Identifier: GPL-2.0-only

package worker

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Process is a process that runs Main, as its parent sees it.
type Process struct {
	In  io.WriteCloser
	Out io.Reader
	// Kill ends it at once. Wait waits for its end, after In was closed or Kill called, and says in
	// a few words how it ended.
	Kill func()
	Wait func() string
}

// Start starts a process.
type Start func(ctx context.Context) (*Process, error)

// DefaultLimit is how long an answer may take if nothing else is said.
const DefaultLimit = time.Minute

// endPause is how long a process may take to end when it has nothing more to do.
const endPause = 2 * time.Second

// Client asks one process, which is started with the first question and again with the first after it has
// ended. Fields must not change after that.
type Client struct {
	Start Start
	Job   string
	Setup any           // for the job, as JSON; nil if it needs none
	Limit time.Duration // how long an answer may take; 0 means DefaultLimit

	p   *Process
	enc *json.Encoder
	dec *json.Decoder
}

// Ended is the error of a question at which the process ended: it died, or was ended because an answer took
// too long.
type Ended struct{ Why string }

// Error says that a process ended, and how.
func (e *Ended) Error() string { return "worker process ended: " + e.Why }

// Ask asks a question and hands over the answers as they come. The error is an Ended, the context's (the
// process then ends as well), that of the work, or of a process that cannot be started.
func Ask[A any](ctx context.Context, c *Client, question any, answered func(*A)) error {
	if err := c.open(ctx); err != nil {
		return fmt.Errorf("worker process: %w", err)
	}
	defer context.AfterFunc(ctx, c.p.Kill)()
	limit := cmp.Or(c.Limit, DefaultLimit)
	timer := time.AfterFunc(limit, c.p.Kill)
	defer timer.Stop()
	err := c.send(request{}, question)
	for err == nil {
		var r reply
		if err = c.dec.Decode(&r); err != nil {
			break
		}
		if r.End {
			if r.Error != "" {
				return errors.New(r.Error)
			}
			return nil
		}
		var a A
		if err = json.Unmarshal(r.Answer, &a); err == nil {
			timer.Reset(limit)
			answered(&a)
		}
	}
	late := !timer.Stop()
	why := c.end()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case late:
		why = fmt.Sprintf("no answer within %v", limit)
	}
	return &Ended{why}
}

// open starts a process if there is none, and gives it its job.
func (c *Client) open(ctx context.Context) (err error) {
	if c.p != nil {
		return nil
	}
	if c.p, err = c.Start(ctx); err != nil {
		c.p = nil
		return err
	}
	c.enc, c.dec = json.NewEncoder(c.p.In), json.NewDecoder(bufio.NewReader(c.p.Out))
	if err := c.send(request{Job: c.Job}, nil); err != nil {
		return &Ended{c.end()}
	}
	return nil
}

// send writes a line: the setup with a job, else a question.
func (c *Client) send(r request, question any) (err error) {
	if r.Job != "" {
		r.Setup, err = json.Marshal(c.Setup)
	} else {
		r.Ask, err = json.Marshal(question)
	}
	if err != nil {
		return err
	}
	return c.enc.Encode(r)
}

// end ends a process that has failed and says how it ended.
func (c *Client) end() string {
	c.p.Kill()
	why := c.p.Wait()
	c.p = nil
	return why
}

// Close ends the process. The client may be used again.
func (c *Client) Close() {
	if c.p == nil {
		return
	}
	_ = c.p.In.Close() // it ends when there is no more to read
	late := time.AfterFunc(endPause, c.p.Kill)
	defer late.Stop()
	c.p.Wait()
	c.p = nil
}
