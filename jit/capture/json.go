// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// reader is a strict JSON pull parser for one line. It exists because a mistake must be reported
// with its column and the path of its field, all of them at once, and because captures are large.
//
// A syntax error makes it stop: fatal becomes true and every further call returns at once. Any
// other mistake is noted and the value skipped.
type reader struct {
	src    []byte
	pos    int
	path   []step
	fatal  bool
	note   func(col int, path, msg string)
	blinds bool // the capture is of a kernel that blinds constants
}

// step is one element of a path: a field's name, or an index if name is nil.
type step struct {
	name []byte
	idx  int
}

// maxDepth bounds the nesting of values that are skipped.
const maxDepth = 64

func (r *reader) pathString() string {
	var b []byte
	for _, s := range r.path {
		switch {
		case s.name == nil:
			b = append(b, '[')
			b = strconv.AppendInt(b, int64(s.idx), 10)
			b = append(b, ']')
		case len(b) > 0:
			b = append(append(b, '.'), s.name...)
		default:
			b = append(b, s.name...)
		}
	}
	return string(b)
}

// wrong notes a mistake at byte offset pos of the line.
func (r *reader) wrong(pos int, format string, args ...any) {
	r.note(pos+1, r.pathString(), fmt.Sprintf(format, args...))
}

// syntax notes a mistake from which there is no recovery.
func (r *reader) syntax(format string, args ...any) {
	if !r.fatal {
		r.wrong(r.pos, format, args...)
	}
	r.fatal = true
	r.pos = len(r.src)
}

// peek skips white space and returns the next byte, 0 at the end.
func (r *reader) peek() byte {
	for r.pos < len(r.src) {
		switch c := r.src[r.pos]; c {
		case ' ', '\t', '\r', '\n':
			r.pos++
		default:
			return c
		}
	}
	return 0
}

func (r *reader) found() string {
	if r.peek() == 0 {
		return "the end of the line"
	}
	end := min(r.pos+12, len(r.src))
	return strconv.Quote(string(r.src[r.pos:end]))
}

// expect consumes one byte of punctuation.
func (r *reader) expect(c byte) bool {
	if r.peek() != c || r.fatal {
		r.syntax("expected %q, found %s", string(c), r.found())
		return false
	}
	r.pos++
	return true
}

// object calls field for each member; field must consume the value. Duplicate members are
// mistakes. A value that is not an object is noted and skipped.
func (r *reader) object(field func(name []byte)) {
	if r.peek() != '{' {
		r.wrongType("an object")
		return
	}
	r.pos++
	var names [24][]byte
	seen := names[:0]
	for first := true; !r.fatal; first = false {
		if r.peek() == '}' && first {
			r.pos++
			return
		}
		name, ok := r.rawString()
		if !ok {
			return
		}
		if !r.expect(':') {
			return
		}
		r.path = append(r.path, step{name: name})
		for _, s := range seen {
			if bytes.Equal(s, name) {
				r.wrong(r.pos, "field occurs twice")
			}
		}
		if len(seen) < cap(seen) {
			seen = append(seen, name)
		}
		field(name)
		r.path = r.path[:len(r.path)-1]
		if r.peek() == '}' {
			r.pos++
			return
		}
		if !r.expect(',') {
			return
		}
	}
}

// array calls elem for each element, which must consume it.
func (r *reader) array(elem func(i int)) {
	if r.peek() != '[' {
		r.wrongType("an array")
		return
	}
	r.pos++
	for i := 0; !r.fatal; i++ {
		if r.peek() == ']' && i == 0 {
			r.pos++
			return
		}
		r.path = append(r.path, step{idx: i})
		elem(i)
		r.path = r.path[:len(r.path)-1]
		if r.peek() == ']' {
			r.pos++
			return
		}
		if !r.expect(',') {
			return
		}
	}
}

// rawString consumes a string and returns the bytes between the quotes, escapes included.
func (r *reader) rawString() ([]byte, bool) {
	if !r.expect('"') {
		return nil, false
	}
	start := r.pos
	for r.pos < len(r.src) {
		n := bytes.IndexByte(r.src[r.pos:], '"')
		if n < 0 {
			break
		}
		end := r.pos + n
		r.pos = end + 1
		back := 0
		for end-back > start && r.src[end-back-1] == '\\' {
			back++
		}
		if back%2 == 0 {
			return r.src[start:end], true
		}
	}
	r.pos = len(r.src)
	r.syntax("string does not end")
	return nil, false
}

// str consumes a string value.
func (r *reader) str() string {
	if r.peek() != '"' {
		r.wrongType("a string")
		return ""
	}
	at := r.pos
	raw, ok := r.rawString()
	if !ok {
		return ""
	}
	plain := true
	for _, c := range raw {
		if c == '\\' || c < 0x20 || c >= 0x80 {
			plain = false
			break
		}
	}
	if plain {
		return string(raw)
	}
	var s string
	if err := json.Unmarshal(r.src[at:r.pos], &s); err != nil {
		r.wrong(at, "bad string: %v", err)
	}
	return s
}

// num consumes an integer between lo and hi.
func (r *reader) num(lo, hi int64) int64 {
	c := r.peek()
	if c != '-' && (c < '0' || c > '9') {
		r.wrongType("an integer")
		return 0
	}
	at := r.pos
	for r.pos < len(r.src) && numberByte(r.src[r.pos]) {
		r.pos++
	}
	text := string(r.src[at:r.pos])
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(v, 10) != text {
		r.wrong(at, "expected an integer, found %s", text)
		return 0
	}
	if v < lo || v > hi {
		r.wrong(at, "%d is out of range: expected %d to %d", v, lo, hi)
		return 0
	}
	return v
}

func numberByte(c byte) bool {
	return c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}

// index consumes a number that counts something from 0.
func (r *reader) index() int { return int(r.num(0, math.MaxInt32)) }

// wrongType notes that the next value is not what it should be, and skips it.
func (r *reader) wrongType(want string) {
	if r.fatal {
		return
	}
	r.wrong(r.pos, "expected %s, found %s", want, r.found())
	r.skip(0)
}

// skip consumes any value without looking at it.
func (r *reader) skip(depth int) {
	if depth > maxDepth {
		r.syntax("values are nested deeper than %d", maxDepth)
		return
	}
	switch c := r.peek(); {
	case c == '{':
		r.object(func([]byte) { r.skip(depth + 1) })
	case c == '[':
		r.array(func(int) { r.skip(depth + 1) })
	case c == '"':
		r.rawString()
	case c == '-' || c >= '0' && c <= '9':
		for r.pos < len(r.src) && numberByte(r.src[r.pos]) {
			r.pos++
		}
	default:
		for _, word := range []string{"true", "false", "null"} {
			if bytes.HasPrefix(r.src[r.pos:], []byte(word)) {
				r.pos += len(word)
				return
			}
		}
		r.syntax("expected a value, found %s", r.found())
	}
}

// end notes what follows the line's value.
func (r *reader) end() {
	if !r.fatal && r.peek() != 0 {
		r.wrong(r.pos, "expected the end of the line, found %s", r.found())
	}
}
