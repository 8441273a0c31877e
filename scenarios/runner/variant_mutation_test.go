// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// variantMutation is a wrong edit of an emitter before its code is laid out: instructions are missing, new,
// others or in another order, and may be of other lengths.
//
// old are the beginnings of successive instructions, as they are printed, with "; " between them. new is
// what is emitted instead: numbers are these instructions, from 1, and anything longer is a new one in hex.
// 48:1 is instruction 1 after a prefix, <1 is without its first byte, 1/77 with another first byte,
// 1$28 with another end, 1+8 with 8 added to the number in its last four bytes.
type variantMutation struct {
	target   string
	in       []emit.CodePart
	old, new string
	name     string

	sub   bool // in subprograms only
	depth func(depth int32) int32
	saved func(used [4]bool) [4]bool
	poke  func(steps []image.Patch) []image.Patch
	also  *variantMutation // made with it: a change that is right in itself
	shift image.CodeOff    // of the landing in every program, which is right too

	survives string
}

// The parts.
var (
	inPrologue = []emit.CodePart{emit.CodePrologue}
	inReload   = []emit.CodePart{emit.CodeReload}
	inSites    = []emit.CodePart{emit.CodeIndirect, emit.CodeDirect}
	inIndirect = []emit.CodePart{emit.CodeIndirect}
	inDirect   = []emit.CodePart{emit.CodeDirect}
	inEpilogue = []emit.CodePart{emit.CodeEpilogue}
)

// instructions makes the edit in one part and says how often. What is no mistake of the table ends the
// test.
func (m *variantMutation) instructions(t *testing.T, code []emit.Piece) (out []emit.Piece, n int) {
	t.Helper()
	old := strings.Split(m.old, "; ")
	for i := 0; i < len(code); i++ {
		if !m.begins(code[i:], old) {
			out = append(out, code[i])
			continue
		}
		for _, word := range strings.Fields(m.new) {
			out = append(out, piece(t, word, code[i:i+len(old)]))
		}
		i += len(old) - 1
		n++
	}
	return out, n
}

func (m *variantMutation) begins(code []emit.Piece, old []string) bool {
	if len(code) < len(old) {
		return false
	}
	for i := range old {
		if !strings.HasPrefix(code[i].Inst.String(), old[i]) {
			return false
		}
	}
	return true
}

// piece is one word of variantMutation.new.
func piece(t *testing.T, word string, of []emit.Piece) emit.Piece {
	t.Helper()
	number := func(s string) emit.Piece {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > len(of) {
			t.Fatalf("%q is not one of %d instructions", s, len(of))
		}
		p := of[n-1]
		p.Code = bytes.Clone(p.Code)
		return p
	}
	switch i := strings.IndexAny(word, ":/$+-<"); {
	case len(word) == 1:
		return number(word)
	case i < 0:
		return emit.Piece{Code: unhex(t, word)}
	case word[i] == '<':
		p := number(word[1:])
		p.Code = p.Code[1:]
		return p
	case word[i] == ':':
		p := number(word[i+1:])
		p.Code = append(unhex(t, word[:i]), p.Code...)
		return p
	case word[i] == '/':
		p := number(word[:i])
		copy(p.Code, unhex(t, word[i+1:]))
		return p
	case word[i] == '$':
		p := number(word[:i])
		end := unhex(t, word[i+1:])
		copy(p.Code[len(p.Code)-len(end):], end)
		return p
	default:
		by, err := strconv.Atoi(word[i:])
		if err != nil {
			t.Fatal(err)
		}
		p := number(word[:i])
		last := p.Code[len(p.Code)-4:]
		binary.LittleEndian.PutUint32(last, binary.LittleEndian.Uint32(last)+uint32(by))
		return p
	}
}

// variant returns the edit of an emitter. It counts into n how often the edit was made.
func (m *variantMutation) variant(t *testing.T, n *int) *emit.Variant {
	v := &emit.Variant{}
	if m.depth != nil {
		v.Depth = func(depth int32) int32 { *n++; return m.depth(depth) }
	}
	if m.saved != nil {
		v.Saved = func(used [4]bool) [4]bool { *n++; return m.saved(used) }
	}
	if m.poke != nil {
		v.Poke = func(steps []image.Patch) []image.Patch { *n++; return m.poke(steps) }
	}
	if m.old != "" {
		v.Code = func(p emit.CodePart, f *verify.FuncInfo, code []emit.Piece) []emit.Piece {
			made := 0
			for e := m; e != nil; e = e.also {
				if !slices.Contains(e.in, p) || e.sub && f.Start == 0 {
					continue
				}
				var k int
				code, k = e.instructions(t, code)
				if e == m {
					made = k
				}
			}
			*n += made
			return code
		}
	}
	return v
}

// mutated compiles a scenario with the edit; nil if the target lacks something.
func (m *variantMutation) mutated(t *testing.T, b *scenarios.Built) (*runner.Compiled, int) {
	t.Helper()
	tg, n := *target(t, m.target), 0
	tg.Variant = m.variant(t, &n)
	c, err := runner.Compile(b, &tg)
	if errors.Is(err, kernels.ErrUnsupported) {
		return nil, 0
	}
	if err != nil {
		t.Fatal(err)
	}
	if m.poke != nil {
		n = 1 // it is made when something is updated
	}
	for _, img := range c.Images {
		for i := range img.Funcs {
			if f := &img.Funcs[i].Frame; f.Landing >= 0 {
				f.Landing += m.shift
			}
		}
	}
	return c, n
}
