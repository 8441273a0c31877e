// SPDX-License-Identifier: GPL-2.0-only

package measured

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/jit/filekind"
	"github.com/tcsim/tcsim/jit/x86"
)

// Read reads measured sequences. The error lists every mistake with its place: name is the
// file's name in it. Nothing is returned together with an error.
func Read(name string, r io.Reader) (*File, error) {
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	m := measuredReader{name: name, raw: raw}
	f, ok := m.file()
	if !ok {
		return nil, errors.Join(m.errs...)
	}
	out := &File{Core: f.Core, Date: f.Date}
	entry := m.entry(f.EntryState)
	seen := map[string]bool{}
	for n := range m.elements {
		s, ok := m.sequence(n, entry)
		if ok && seen[s.Name] {
			m.bad(m.elements[n].at("name"), "sequence %d (%q): name used before", n, s.Name)
		}
		seen[s.Name] = true
		out.Sequences = append(out.Sequences, s)
	}
	if len(m.elements) == 0 {
		m.bad(0, "no sequences")
	}
	if len(m.errs) != 0 {
		return nil, errors.Join(m.errs...)
	}
	return out, nil
}

// measuredReader collects the mistakes of one file.
type measuredReader struct {
	name     string
	raw      []byte
	elements []element // of "sequences"
	entryAt  element   // "entry_state"
	errs     []error
}

// element is an object in the file: its text and where it and its fields start.
type element struct {
	text   []byte
	offset int
	fields map[string]int
}

// at returns the offset of a field, that of the object if it is not there.
func (e *element) at(field string) int {
	if at, ok := e.fields[field]; ok {
		return at
	}
	return e.offset
}

// bad notes a mistake at an offset.
func (m *measuredReader) bad(at int, format string, args ...any) {
	text := string(m.raw[:min(max(at, 0), len(m.raw))])
	where := fmt.Sprintf("%d:%d", 1+strings.Count(text, "\n"), len(text)-strings.LastIndex(text, "\n"))
	m.errs = append(m.errs, fmt.Errorf("%s:%s: %w", m.name, where, fmt.Errorf(format, args...)))
}

// file reads the header and finds the sequences. ok is false if the text is not JSON.
func (m *measuredReader) file() (f measuredFile, ok bool) {
	var any json.RawMessage
	d := json.NewDecoder(bytes.NewReader(m.raw))
	if err := d.Decode(&any); err != nil {
		at := d.InputOffset()
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			at = syntax.Offset - 1
		}
		m.bad(int(at), "%w", filekind.Explain(err, m.raw))
		return f, false
	}
	end := d.InputOffset()
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		m.bad(int(end), "data after the object")
		return f, false
	}
	top := m.object(0, int(end))
	if at, ok := top.fields["sequences"]; ok {
		m.elements = m.array(at, int(end))
	}
	if at, ok := top.fields["entry_state"]; ok {
		m.entryAt = m.object(at, int(end))
	}
	before := len(m.errs)
	header := struct {
		measuredFile
		Sequences []json.RawMessage `json:"sequences"`
	}{}
	m.decode(&top, &header, "")
	return header.measuredFile, len(m.errs) == before || len(m.elements) != 0
}

// object finds the fields of the object that starts at or after an offset.
func (m *measuredReader) object(from, to int) element {
	d := json.NewDecoder(bytes.NewReader(m.raw[from:to]))
	e := element{fields: map[string]int{}}
	t, err := d.Token()
	e.offset = from + int(d.InputOffset()) - 1
	if err != nil || t != json.Delim('{') {
		e.offset, e.text = from, m.raw[from:to]
		return e
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			break
		}
		at := from + int(d.InputOffset())
		at += bytes.IndexByte(m.raw[at:], ':') + 1
		at += len(m.raw[at:]) - len(bytes.TrimLeft(m.raw[at:], " \t\r\n"))
		if k, ok := key.(string); ok {
			e.fields[k] = at
		}
		var skip json.RawMessage
		if d.Decode(&skip) != nil {
			break
		}
	}
	_, _ = d.Token()
	e.text = m.raw[e.offset : from+int(d.InputOffset())]
	return e
}

// array finds the objects of the array at an offset.
func (m *measuredReader) array(from, to int) []element {
	d := json.NewDecoder(bytes.NewReader(m.raw[from:to]))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return nil // decoding the header reports it
	}
	var all []element
	for d.More() {
		at := from + int(d.InputOffset())
		at += len(m.raw[at:]) - len(bytes.TrimLeft(m.raw[at:], ", \t\r\n"))
		var text json.RawMessage
		if d.Decode(&text) != nil {
			break
		}
		all = append(all, m.object(at, from+int(d.InputOffset())))
	}
	return all
}

// decode reads an object strictly; prefix goes before its mistakes. It reports whether there were none.
func (m *measuredReader) decode(e *element, into any, prefix string) bool {
	ok := true
	d := json.NewDecoder(bytes.NewReader(e.text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		ok = false
		var typ *json.UnmarshalTypeError
		at := e.offset
		if errors.As(err, &typ) {
			at = e.at(strings.Split(typ.Field, ".")[0])
		} else if _, field, found := strings.Cut(err.Error(), "unknown field "); found {
			at = e.at(strings.Trim(field, `"`))
		}
		m.bad(at, "%s%w", prefix, err)
	}
	return ok
}

// entry is the state at the first instruction of every sequence, where nothing else is said.
type entry struct {
	code        x86.Addr
	data, stack Span
	regs        [16]uint64
}

// entry reads entry_state; what it does not say is as in the published measurements.
func (m *measuredReader) entry(state map[string]string) entry {
	e := entry{
		code:  CodeBase,
		data:  Span{DataBase, AreaSize},
		stack: Span{StackBase, AreaSize},
		regs:  entryRegs,
	}
	for _, key := range slices.Sorted(maps.Keys(state)) {
		text := state[key]
		var err error
		switch key {
		case "code_base":
			var v uint64
			v, err = leading(text)
			e.code = x86.Addr(v)
		case "rsp":
			e.regs[x86.RSP], err = leading(text)
		case "data":
			e.data, err = span(text)
		case "stack":
			e.stack, err = span(text)
		case "registers":
			err = registers(&e.regs, text)
		case "r12": // the trip count, always
		default:
			err = errors.New("not known")
		}
		if err != nil {
			m.bad(m.entryAt.at(key), "entry_state: %s: %w", key, err)
		}
	}
	if sp := x86.Addr(e.regs[x86.RSP]); !e.stack.holds(sp, 8) {
		m.bad(m.entryAt.at("rsp"), "entry_state: rsp %#x is not in the stack", uint64(sp))
	}
	return e
}

// leading reads the number at the start of a text; a remark may follow.
func leading(text string) (uint64, error) {
	word := text
	if n := strings.IndexAny(text, " ,;("); n >= 0 {
		word = text[:n]
	}
	return strconv.ParseUint(word, 0, 64)
}

// span reads "first..last" at the start of a text.
func span(text string) (Span, error) {
	first, rest, ok := strings.Cut(text, "..")
	if !ok {
		return Span{}, fmt.Errorf("%q is not first..last", text)
	}
	a, err := leading(first)
	if err != nil {
		return Span{}, err
	}
	b, err := leading(rest)
	if err != nil {
		return Span{}, err
	}
	if b <= a || b-a >= maxSpan || a&0xfff != 0 || b&0xfff != 0xfff {
		return Span{}, fmt.Errorf("%#x..%#x is not a range of whole pages, of %d bytes at most", a, b, maxSpan)
	}
	return Span{Addr: x86.Addr(a), Size: int(b-a) + 1}, nil
}

// registers reads "name=value" words among others.
func registers(regs *[16]uint64, text string) error {
	for _, w := range strings.Fields(text) {
		name, value, ok := strings.Cut(w, "=")
		if !ok {
			continue
		}
		if err := setReg(regs, name, strings.TrimRight(value, ",;")); err != nil {
			return err
		}
	}
	return nil
}

// setReg sets one register.
func setReg(regs *[16]uint64, name, text string) error {
	for r := x86.RAX; r <= x86.R15; r++ {
		if r.String() != name {
			continue
		}
		v, err := strconv.ParseUint(text, 0, 64)
		if err != nil {
			return fmt.Errorf("reg %s: %w", name, err)
		}
		regs[r] = v
		return nil
	}
	return fmt.Errorf("reg %q: not a 64-bit register", name)
}
