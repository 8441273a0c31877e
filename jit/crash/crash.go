// SPDX-License-Identifier: GPL-2.0-only

// Package crash carries a panic of one goroutine to the one that waits for it, where it can be recovered from.
package crash

import (
	"fmt"
	"runtime/debug"
)

// Panic is a panic of another goroutine than that in which it is raised again.
type Panic struct {
	what  string
	stack []byte
}

// New is called where v was recovered; what says what was being done.
func New(what string, v any) *Panic { return &Panic{fmt.Sprintf("%s: %v", what, v), debug.Stack()} }

// Error says what happened.
func (p *Panic) Error() string { return p.what }

// Stack is the stack of the goroutine that panicked.
func (p *Panic) Stack() []byte { return p.stack }
