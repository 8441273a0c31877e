// SPDX-License-Identifier: GPL-2.0-only

package worker

import (
	"context"
	"io"
)

// Inside starts a worker that is no process but a goroutine of this one: where the program cannot start
// itself, and for tests.
func Inside(jobs map[string]Job) Start {
	return func(context.Context) (*Process, error) {
		inR, inW := io.Pipe()
		outR, outW := io.Pipe()
		done := make(chan error, 1)
		go func() {
			err := Serve(context.Background(), inR, outW, jobs)
			inR.CloseWithError(io.ErrClosedPipe)
			outW.CloseWithError(io.EOF)
			done <- err
		}()
		return &Process{
			In: inW, Out: outR,
			Kill: func() { inR.CloseWithError(io.EOF); outR.CloseWithError(io.EOF) },
			Wait: func() string {
				if err := <-done; err != nil {
					return err.Error()
				}
				return "ended"
			},
		}, nil
	}
}
