// SPDX-License-Identifier: GPL-2.0-only

// Package worker has processes work for this one. A fault inside the engine's own code, or in code that is
// measured on the processor, kills the process that it happens in, whatever Go does: then only a worker is
// lost, and the next question goes to a new one.
//
//	c := worker.Client{Start: worker.Launch(self, "worker"), Job: "fuzz", Setup: setup}
//	defer c.Close()
//	err := worker.Ask(ctx, &c, question, func(a *Answer) { ... })
//
// The process calls Main with the jobs that it knows. Both sides write lines of JSON: first the name of a job
// and its setup, then one question after the other, each answered by any number of answers and an end, which
// may have an error.
//
// The package knows nothing of what the jobs are. A Client belongs to one goroutine.
package worker

import "encoding/json"

// request is a line to the process: the first has Job and Setup, each other one Ask.
type request struct {
	Job   string          `json:"job,omitempty"`
	Setup json.RawMessage `json:"setup,omitempty"`
	Ask   json.RawMessage `json:"ask,omitempty"`
}

// reply is a line from the process: an answer, or the end of the answers to a question.
type reply struct {
	Answer json.RawMessage `json:"answer,omitempty"`
	End    bool            `json:"end,omitempty"`
	Error  string          `json:"error,omitempty"` // with End: the question cannot be answered
}
