// SPDX-License-Identifier: GPL-2.0-only

package campaign

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// FuzzWorker is a process that runs ServeFuzz, as its parent sees it.
type FuzzWorker struct {
	In  io.WriteCloser
	Out io.Reader
	// Kill ends it at once. Wait waits for its end, after In was closed or Kill called, and says in
	// a few words how it ended.
	Kill func()
	Wait func() string
}

// errWorker is what is left of a worker that ended in the middle of its work.
var errWorker = errors.New("worker process ended")

// What a client waits for at most: a process that cannot be started, several times, and the end of a
// worker that has nothing more to do.
const (
	startTries = 5
	startPause = time.Second
	endPause   = 2 * time.Second
)

// fuzzClient talks to one worker process, and starts another one when that ends.
type fuzzClient struct {
	start func() (*FuzzWorker, error)
	hang  time.Duration // how long a graph may take
	w     *FuzzWorker
	enc   *json.Encoder
	dec   *json.Decoder
}

// open starts a worker if there is none. Where memory or processes are short, there may be some later.
func (c *fuzzClient) open(ctx context.Context) (err error) {
	for try := 0; c.w == nil; try++ {
		switch c.w, err = c.start(); {
		case err == nil:
			c.enc, c.dec = json.NewEncoder(c.w.In), json.NewDecoder(bufio.NewReader(c.w.Out))
		case try == startTries:
			return fmt.Errorf("worker process: %w", err)
		default:
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(startPause):
			}
		}
	}
	return nil
}

// do sends a request and hands over n replies. When the context ends, so does the worker, and the error
// is that of the context. After errWorker, reason says how the worker ended.
func (c *fuzzClient) do(ctx context.Context, r *fuzzRequest, n int, each func(*fuzzReply)) (reason string, err error) {
	if err := c.open(ctx); err != nil {
		return "", err
	}
	defer context.AfterFunc(ctx, c.w.Kill)()
	timer := time.AfterFunc(c.hang, c.w.Kill)
	defer timer.Stop()
	err = c.enc.Encode(r)
	for i := 0; i < n && err == nil; i++ {
		var reply fuzzReply
		if err = c.dec.Decode(&reply); err != nil {
			break
		}
		if reply.Err != "" {
			return "", errors.New(reply.Err)
		}
		timer.Reset(c.hang)
		each(&reply)
	}
	if err == nil {
		return "", nil
	}
	late := !timer.Stop()
	reason = c.end()
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case late:
		reason = fmt.Sprintf("did not come back within %v", c.hang)
	}
	return reason, errWorker
}

// end waits for the end of a worker that has failed.
func (c *fuzzClient) end() string {
	c.w.Kill()
	reason := c.w.Wait()
	c.w = nil
	return reason
}

// close ends the worker.
func (c *fuzzClient) close() {
	if c.w == nil {
		return
	}
	_ = c.w.In.Close() // it ends when there is no more to read
	late := time.AfterFunc(endPause, c.w.Kill)
	defer late.Stop()
	c.w.Wait()
	c.w = nil
}
