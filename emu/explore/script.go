// SPDX-License-Identifier: GPL-2.0-only

package explore

import (
	"bytes"
	"fmt"

	"github.com/tcsim/tcsim/jit/image"
)

// StepKind says what a step of an update does.
type StepKind uint8

// The kinds of steps.
const (
	StepPointer   StepKind = iota // the pointer in the prog array is exchanged
	StepText                      // one of the writes of a text poke
	StepWaitBegin                 // synchronize_rcu is called
	StepWaitEnd                   // and returns
)

// Step is what happens at one moment of an update. Between steps, other processors run.
type Step struct {
	Kind StepKind
	// Addr and Bytes are what is stored, for StepPointer and StepText.
	Addr  image.Addr
	Bytes []byte
	// Patch is the text poke that a StepText belongs to, Last says that it completes it.
	Patch *image.Patch
	Last  bool
	Phase string // which of its writes
	Text  string // what it does, in words
}

// Script is an update as one processor does it. Version n of memory is that after the first n steps.
type Script struct {
	Steps []Step
	// Before is what lies, before the first step, in the places that the steps store to.
	Before []Place
}

// Place is a piece of memory.
type Place struct {
	Addr  image.Addr
	Bytes []byte
	Code  bool // an instruction that is poked: jit.PokeSize bytes
}

// At returns what place number i, an index into Before, holds after n steps. The slice is the caller's.
func (s *Script) At(i, n int) []byte {
	p := &s.Before[i]
	b := bytes.Clone(p.Bytes)
	for i := range s.Steps[:n] {
		s.Steps[i].into(p.Addr, b)
	}
	return b
}

// into does what a step stores to b, which lies at an address.
func (st *Step) into(at image.Addr, b []byte) {
	for k, v := range st.Bytes {
		if off := int64(st.Addr) + int64(k) - int64(at); off >= 0 && off < int64(len(b)) {
			b[off] = v
		}
	}
}

// Halfway returns the text poke that has its breakpoint at an address after n steps; nil if none has.
func (s *Script) Halfway(a image.Addr, n int) *image.Patch {
	for i := n - 1; i >= 0; i-- {
		if st := &s.Steps[i]; st.Kind == StepText && st.Patch.Addr == a {
			if st.Last {
				return nil
			}
			return st.Patch
		}
	}
	return nil
}

// ceiling returns the version that memory cannot get beyond while an invocation runs that began in
// version v: the wait that follows has then begun and not ended.
func (s *Script) ceiling(v int) int {
	for i := v; i < len(s.Steps); i++ {
		if s.Steps[i].Kind == StepWaitBegin {
			return i + 1
		}
	}
	return len(s.Steps)
}

// behaviours are what an instruction finds in each version, as keys to compare.
func (s *Script) behaviours(t *Touch) []string {
	p := &s.Before[t.Place]
	b := bytes.Clone(p.Bytes)
	var half *image.Patch // the text poke of this place that has begun and not ended
	out := []string{s.behaviour(t, b, half)}
	for i := range s.Steps {
		st := &s.Steps[i]
		st.into(p.Addr, b)
		if st.Kind == StepText && st.Patch.Addr == p.Addr {
			if half = st.Patch; st.Last {
				half = nil
			}
		}
		out = append(out, s.behaviour(t, b, half))
	}
	return out
}

// behaviour is what an instruction finds in a version, of which b is what the place holds and half the poke that is not done.
func (s *Script) behaviour(t *Touch, b []byte, half *image.Patch) string {
	p := &s.Before[t.Place]
	if !p.Code || t.Addr != p.Addr {
		return string(b)
	}
	const breakpoint, jump = 0xcc, 0xe9
	now := [image.PokeSize]byte(b)
	switch {
	case b[0] == breakpoint && half != nil:
		return fmt.Sprintf("to %#x", half.Trap())
	case b[0] == jump || now == image.Nop5:
		done := image.Patch{Addr: p.Addr, New: now}
		return fmt.Sprintf("to %#x", done.Trap())
	}
	return string(b) // a poke that is not done in its order: what the processor makes of it is in the bytes
}

// check finds mistakes in a script, which would make the enumeration unsound.
func (s *Script) check() error {
	for i := range s.Steps {
		st := &s.Steps[i]
		if st.Kind == StepWaitBegin && (i+1 == len(s.Steps) || s.Steps[i+1].Kind != StepWaitEnd) {
			return fmt.Errorf("step %d: a wait begins that does not end", i+1)
		}
		if (st.Kind == StepText) != (st.Patch != nil) {
			return fmt.Errorf("step %d: a text poke without its patch", i+1)
		}
		if len(st.Bytes) != 0 && !s.covers(st) {
			return fmt.Errorf("step %d: it stores to %#x, which is no place of the script", i+1, uint64(st.Addr))
		}
	}
	for i := range s.Before {
		if p := &s.Before[i]; p.Code && len(p.Bytes) != image.PokeSize {
			return fmt.Errorf("place %d: %d bytes of code", i, len(p.Bytes))
		}
	}
	return nil
}

func (s *Script) covers(st *Step) bool {
	for i := range s.Before {
		p := &s.Before[i]
		if st.Addr >= p.Addr && int64(st.Addr)+int64(len(st.Bytes)) <= int64(p.Addr)+int64(len(p.Bytes)) {
			return true
		}
	}
	return false
}
