// SPDX-License-Identifier: GPL-2.0-only

// Package stored keeps the events of runs in a file and reads them back, both in memory that does not grow with the
// number of events.
//
// A file begins with a line that names the form and its version. Blocks follow: of each run what was run, with names
// and texts of its code, then its events in pieces that can be read alone or left out, then how it ended; and a block
// that ends the file. Each has a checksum, and its contents are compressed. A file that was not finished lacks the last
// block and is refused.
//
// It must not know how events come about or what they are read for.
package stored

import (
	"encoding/json"
	"fmt"

	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace"
)

// magic is the first line; the number is the version of the form.
const (
	magic   = "tcsim events "
	version = 1
)

// The blocks.
const (
	blockRun    = 'R'
	blockEvents = 'E'
	blockEnd    = 'X'
	blockLast   = 'Z'
)

// Bounds of what is accepted. A piece holds at most pieceEvents events.
const (
	pieceEvents = 1 << 16
	maxMeta     = 256
	maxBlock    = 1 << 26          // bytes of a block before compression: texts of the largest programs
	maxPiece    = pieceEvents << 9 // the same of events
)

// Header says what was run.
type Header struct {
	Scenario string `json:"scenario"`
	Target   string `json:"target"`
	Run      int    `json:"run"` // number in the scenario, from 1
	Program  string `json:"program"`
	// Args are the words of a command line that runs it again, from the verb on, without what says where results go.
	Args []string `json:"args"`
	// Code is what the text of events needs.
	Code trace.Outline `json:"code"`
}

// End says how a run ended.
type End struct {
	Events  uint64        `json:"events"`
	Retired uint64        `json:"retired"` // instructions
	Deepest trace.Deepest `json:"deepest"`
	// Violation is where the first invariant was broken, nil if none was.
	Violation *stack.Moment `json:"violation,omitempty"`
	// Text are the lines that are printed after the events; Summary is the run as JSON has it.
	Text    []string        `json:"text,omitempty"`
	Summary json.RawMessage `json:"summary,omitempty"`
	// Failed says that the run was not as the scenario expects.
	Failed bool `json:"failed,omitempty"`
	// Interrupted says that the run was broken off from outside: there would have been more.
	Interrupted bool `json:"interrupted,omitempty"`
}

// FileError is a file that cannot be read, with the place.
type FileError struct {
	Path string
	At   int64 // bytes from the beginning
	Err  error
}

// Error names file and place.
func (e *FileError) Error() string { return fmt.Sprintf("%s: at byte %d: %v", e.Path, e.At, e.Err) }

// Unwrap returns what is wrong there.
func (e *FileError) Unwrap() error { return e.Err }
