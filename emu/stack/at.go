// SPDX-License-Identifier: GPL-2.0-only

package stack

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/nearest"
	"github.com/tcsim/tcsim/jit/x86"
)

// At says at which moments of a run the stack is wanted. Its forms are
//
//	17          directly before the instruction of event 17
//	tailcall:33 after the 33rd tail call taken, when the target's prologue has run
//	call:2      after the second BPF to BPF call, when the callee's prologue has run
//	entry:1     after the first entry from outside, likewise
//	return:3    directly before the third return; refused:3, helper:3 likewise
//	each:call   each of a kind
//	after:17    directly after the instruction of event 17, before what it led to begins; after:tailcall:33 likewise
//	entry+0x4f  directly before the instruction at this offset of a function is executed first; entry+0x4f:3 the third time
//	insn:1234   directly before instruction number 1234 of the run
//	deepest     where the stack is deepest
//	violation   where the first invariant was broken
type At struct {
	form  atForm
	kind  trace.Kind
	n     uint64
	after bool
	fn    string
	off   image.CodeOff
	found func(*trace.Code) ([]Moment, error)
}

// Elsewhere is a, but found is what finds the moments: another record of the run than that which Resolve gets.
func (a At) Elsewhere(found func(*trace.Code) ([]Moment, error)) At {
	a.found = found
	return a
}

type atForm uint8

const (
	atEvent atForm = iota
	atNth
	atEach
	atDeepest
	atViolation
	atOffset
	atInsn
)

var atKinds = map[string]trace.Kind{
	"entry": trace.KindEntry, "call": trace.KindCall, "helper": trace.KindHelper, "return": trace.KindReturn,
	"tailcall": trace.KindTailCall, "refused": trace.KindRefused, "hook": trace.KindHook,
}

const atForms = "an event number, KIND:N, each:KIND, after:N, after:KIND:N, FUNCTION+0xOFFSET, FUNCTION+0xOFFSET:N, insn:N, deepest or violation, " +
	"with KIND one of entry, call, helper, return, tailcall, refused, hook"

// ParseAt reads a selector. It fails on anything but the forms of At; numbers count from 1.
func ParseAt(s string) (At, error) {
	switch s {
	case "deepest":
		return At{form: atDeepest}, nil
	case "violation":
		return At{form: atViolation}, nil
	}
	if rest, ok := strings.CutPrefix(s, "after:"); ok {
		a, err := ParseAt(rest)
		if err != nil || a.after || a.form != atEvent && a.form != atNth {
			return At{}, fmt.Errorf("moment %q: expected an event number or KIND:N after \"after:\"", s)
		}
		a.after = true
		return a, nil
	}
	if rest, ok := strings.CutPrefix(s, "insn:"); ok {
		n, err := parseN(rest)
		if err != nil {
			return At{}, fmt.Errorf("moment %q: %w", s, err)
		}
		return At{form: atInsn, n: n}, nil
	}
	if strings.Contains(s, "+0x") {
		return parseOffset(s)
	}
	name, num, ok := strings.Cut(s, ":")
	if !ok {
		n, err := parseN(s)
		if err != nil && strings.Trim(s, "+-0123456789") == "" && s != "" {
			return At{}, fmt.Errorf("moment %q: %w", s, err)
		}
		if err != nil {
			return At{}, fmt.Errorf("moment %q: expected %s%s", s, atForms, nearest.DidYouMean(s, []string{"deepest", "violation"}))
		}
		return At{form: atEvent, n: n}, nil
	}
	if name == "each" {
		k, ok := atKinds[num]
		if !ok {
			return At{}, fmt.Errorf("moment %q: no kind %q; expected %s%s", s, num, atForms, meant(num))
		}
		return At{form: atEach, kind: k}, nil
	}
	k, ok := atKinds[name]
	if !ok {
		return At{}, fmt.Errorf("moment %q: no kind %q; expected %s%s", s, name, atForms, meant(name))
	}
	n, err := parseN(num)
	if err != nil {
		return At{}, fmt.Errorf("moment %q: %w", s, err)
	}
	return At{form: atNth, kind: k, n: n}, nil
}

// meant says which kind of event a mistyped one may be.
func meant(kind string) string {
	return nearest.DidYouMean(kind, slices.Sorted(maps.Keys(atKinds)))
}

// parseOffset reads FUNCTION+0xOFFSET, and perhaps :N. A function's name may have a colon.
func parseOffset(s string) (At, error) {
	i := strings.LastIndex(s, "+0x")
	off, num, times := strings.Cut(s[i+3:], ":")
	at := At{form: atOffset, fn: s[:i], n: 1}
	v, err := strconv.ParseUint(off, 16, 31)
	if err != nil || at.fn == "" {
		return At{}, fmt.Errorf("moment %q: expected a function, + and an offset such as 0x4f", s)
	}
	if at.off = image.CodeOff(v); times {
		if at.n, err = parseN(num); err != nil {
			return At{}, fmt.Errorf("moment %q: %w", s, err)
		}
	}
	return at, nil
}

func parseN(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		if errors.Is(err, strconv.ErrRange) {
			return 0, fmt.Errorf("%s is too large", s)
		}
		return 0, fmt.Errorf("expected a whole number from 1, found %q", s)
	}
	if n == 0 {
		return 0, fmt.Errorf("expected a whole number from 1, found %q", s)
	}
	return n, nil
}

// String returns the selector as ParseAt reads it.
func (a At) String() string {
	if a.after {
		a.after = false
		return "after:" + a.String()
	}
	switch a.form {
	case atOffset:
		if a.n > 1 {
			return fmt.Sprintf("%s+%#x:%d", a.fn, int(a.off), a.n)
		}
		return fmt.Sprintf("%s+%#x", a.fn, int(a.off))
	case atInsn:
		return fmt.Sprintf("insn:%d", a.n)
	case atDeepest:
		return "deepest"
	case atViolation:
		return "violation"
	case atEach:
		return "each:" + a.kind.String()
	case atNth:
		return fmt.Sprintf("%s:%d", a.kind, a.n)
	}
	return strconv.FormatUint(a.n, 10)
}

// Run is what is known of a run that has ended.
type Run struct {
	Code    *trace.Code
	Retired uint64        // instructions
	Events  []trace.Event // as Recorder.Events returns them
	Stored  Stored        // instead of Events, where they are not in memory; nil for none
	Deepest trace.Deepest
	// Violation is where the first invariant was broken; nil if none was.
	Violation *Moment
}

// Stored are events that are not in memory.
type Stored interface {
	// Each calls fn for each event from number first on, in order, until it returns false. The event is valid during
	// the call. Events of other kinds than those that are given, if any, may be left out.
	Each(first uint64, fn func(*trace.Event) bool, kinds ...trace.Kind) error
}

// event returns the event with a number.
func (r *Run) event(n uint64) (*trace.Event, error) {
	switch kept := len(r.Events); {
	case r.Stored != nil:
		var found *trace.Event
		err := r.Stored.Each(n, func(e *trace.Event) bool {
			one := *e
			found = &one
			return false
		})
		if found == nil || found.No != n {
			err = errors.Join(err, errors.New("the run has fewer events"))
		}
		return found, err
	case n >= 1 && n <= uint64(kept):
		return &r.Events[n-1], nil
	case kept == trace.DefaultKeep:
		return nil, fmt.Errorf("the first %d events are kept; tcsim trace --events FILE keeps all, and tcsim stack FILE --at draws any", kept)
	default:
		return nil, fmt.Errorf("the run has %d events", kept)
	}
}

// each calls fn for each event of a kind, until it returns false.
func (r *Run) each(k trace.Kind, fn func(*trace.Event) bool) error {
	if r.Stored != nil {
		return r.Stored.Each(1, func(e *trace.Event) bool { return e.Kind != k || fn(e) }, k)
	}
	for i := range r.Events {
		if e := &r.Events[i]; e.Kind == k && !fn(e) {
			break
		}
	}
	return nil
}

// Moment is where to stop the machine.
type Moment struct {
	Event uint64 // number of the event, 0 if it is not one
	Seq   uint64 // directly before the instruction with this number
	Site  uint64 // the same as a number of a site record, 0 if it is not one
	// Until asks to go on from there until rip has this value; 0 if not.
	Until image.Addr
	// Addr asks instead to stop before the Hits'th execution of the instruction there; Hits is 0 if not.
	Addr image.Addr
	Hits uint64
	Name string // for a heading: "tailcall 33"
}

// Resolve finds the moments that a means in a run, in order. It fails if there are none.
func (a At) Resolve(r Run) ([]Moment, error) {
	if a.found != nil {
		return a.found(r.Code)
	}
	if a.after {
		return a.resolveAfter(r)
	}
	switch a.form {
	case atOffset:
		return a.resolveOffset(r.Code)
	case atInsn:
		if a.n > r.Retired {
			return nil, fmt.Errorf("moment %s: the run has %d instructions", a, r.Retired)
		}
		return []Moment{{Seq: a.n - 1, Name: fmt.Sprintf("instruction %d", a.n)}}, nil
	case atEvent:
		e, err := r.event(a.n)
		if err != nil {
			return nil, fmt.Errorf("moment %s: %w", a, err)
		}
		return []Moment{{Event: e.No, Seq: e.Seq, Site: e.Site, Name: fmt.Sprintf("event %d", e.No)}}, nil
	case atDeepest:
		e, err := r.event(r.Deepest.Event)
		if err != nil {
			return nil, fmt.Errorf("moment %s: it is at event %d: %w", a, r.Deepest.Event, err)
		}
		return []Moment{momentOf(e, "deepest stack")}, nil
	case atViolation:
		if r.Violation == nil {
			return nil, fmt.Errorf("moment %s: no invariant was broken", a)
		}
		return []Moment{*r.Violation}, nil
	}
	var l []Moment
	n := uint64(0)
	if err := r.each(a.kind, func(e *trace.Event) bool {
		n++
		if a.form == atEach || n == a.n {
			l = append(l, momentOf(e, fmt.Sprintf("%s %d", e.Kind, n)))
		}
		return a.form == atEach || n < a.n
	}); err != nil {
		return nil, err
	}
	if len(l) == 0 {
		return nil, fmt.Errorf("moment %s: the run has %d events of this kind", a, n)
	}
	return l, nil
}

// resolveAfter finds the moment directly after the instruction of an event.
func (a At) resolveAfter(r Run) ([]Moment, error) {
	before := a
	before.after = false
	l, err := before.Resolve(r)
	if err != nil {
		return nil, err
	}
	m := l[0]
	if m.Seq+1 > r.Retired {
		return nil, fmt.Errorf("moment %s: the run ends there", a)
	}
	return []Moment{{Event: m.Event, Seq: m.Seq + 1, Name: "after " + m.Name}}, nil
}

// resolveOffset finds an instruction by function and offset.
func (a At) resolveOffset(code *trace.Code) ([]Moment, error) {
	var found []*trace.Fn
	var names []string
	for _, f := range code.Funcs() {
		if names = append(names, f.String()); f.String() == a.fn {
			found = []*trace.Fn{f}
			break
		}
		if f.Name == a.fn {
			found = append(found, f)
		}
	}
	switch {
	case len(found) == 0:
		return nil, fmt.Errorf("moment %s: no function %q; there are %s", a, a.fn, strings.Join(names, ", "))
	case len(found) > 1:
		return nil, fmt.Errorf("moment %s: %d functions are called %s: write PROGRAM:FUNCTION as in the listing of events", a, len(found), a.fn)
	}
	f := found[0]
	for off := image.CodeOff(0); off <= a.off; {
		if off == a.off && int(off) < len(f.Code) {
			return []Moment{{Addr: f.Addr + image.Addr(off), Hits: a.n, Name: a.String()}}, nil
		}
		if int(off) >= len(f.Code) {
			return nil, fmt.Errorf("moment %s: %s has %d bytes", a, f, len(f.Code))
		}
		in, err := x86.Decode(f.Code[off:], f.Addr+image.Addr(off))
		if err != nil {
			return nil, fmt.Errorf("moment %s: %s at %+#x: %w", a, f, int(off), err)
		}
		if off += image.CodeOff(in.Len); off > a.off {
			return nil, fmt.Errorf("moment %s: no instruction begins there: %q is at %+#x", a, in.String(), int(off)-int(in.Len))
		}
	}
	return nil, fmt.Errorf("moment %s: not found", a)
}

// momentOf is the moment at which a reader wants to see what e did.
func momentOf(e *trace.Event, name string) Moment {
	m := Moment{Event: e.No, Seq: e.Seq, Site: e.Site, Name: name}
	f := e.Target
	if e.Kind == trace.KindEntry {
		f = e.Fn
	}
	switch e.Kind {
	case trace.KindEntry, trace.KindCall, trace.KindTailCall:
		if f != nil {
			m.Until = f.Addr + image.Addr(f.Frame.Body)
		}
	}
	return m
}
