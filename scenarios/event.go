// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"math"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit/nearest"
	"github.com/tcsim/tcsim/scenarios/asm"
)

// event checks one entry of the runs section and translates it.
func (b *builder) event(ev *Event) {
	kinds := 0
	for _, set := range []bool{ev.Run != nil, ev.Update != nil, ev.Delete != nil, ev.Replace != nil, ev.Attach != nil} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		b.failf(ev.Pos, "expected exactly one of run, update, delete, replace and attach")
		return
	}
	if ev.Run == nil && (ev.Packet != nil || ev.Context != nil || ev.Interrupt != nil) {
		b.failf(ev.Pos, "packet, context and interrupt belong to a run")
	}
	if ev.Errno != "" {
		if ev.Run != nil || ev.Attach != nil {
			b.failf(ev.Pos, "errno belongs to an update, a delete or a replace")
		} else if !slices.Contains(errnos, ev.Errno) {
			b.failf(ev.Pos, "expected errno %s, found %q%s", asm.OneOf(errnos), ev.Errno, nearest.DidYouMean(ev.Errno, errnos))
		}
	}
	if ev.Expect != nil {
		b.expects(ev)
	}
	switch {
	case ev.Attach != nil:
		b.attach(ev)
	case ev.Run != nil:
		b.run(ev)
	case ev.Delete != nil:
		if e, i, key := b.constRef(ev.Delete, ev.Errno != ""); e != nil {
			b.out.Actions = append(b.out.Actions, Action{Kind: ActDelete, Event: ev, Map: i, Key: key})
		}
	case ev.Replace != nil:
		for _, r := range ev.Replace {
			b.replace(ev, r)
		}
	default:
		for _, u := range ev.Update {
			b.update(ev, u)
		}
	}
}

func (b *builder) run(ev *Event) {
	if b.tracing[ev.Run.Text] {
		b.failf(ev.Run.Pos, "%s is a tracing program: it runs when what it traces runs", ev.Run.Text)
	}
	a := Action{Kind: ActRun, Event: ev, Program: b.programIndex(*ev.Run), Packet: ev.Packet}
	for _, c := range ev.Context {
		f, ok := b.sc.Type.ctxField(c.Name)
		switch {
		case !ok || !f.set:
			b.failf(c.Pos, "no field %q to set: expected %s", c.Name, expected(c.Name, b.sc.Type.ctxFieldNames(true)))
		case c.Value.V < math.MinInt32 || c.Value.V > math.MaxUint32:
			b.failf(c.Value.Pos, "expected a value of 32 bits, found %d", c.Value.V)
		default:
			a.Context = append(a.Context, ContextField{c.Name, int(f.off), uint32(c.Value.V)})
		}
	}
	if ev.Interrupt != nil {
		a.Interrupt = b.interrupt(ev.Interrupt)
	}
	b.out.Actions = append(b.out.Actions, a)
}

// expects checks the expectations of an event.
func (b *builder) expects(ev *Event) {
	b.expectOf(ev, ev.Expect)
	for i := range ev.Expect.On {
		o := &ev.Expect.On[i]
		if len(o.Value.On) != 0 {
			b.failf(o.Pos, "on inside on: expected the fields of expect")
		}
		if slices.Contains(selectors(o.Name), "") {
			b.failf(o.Pos, "expected names of targets separated by commas, found %q", o.Name)
		}
		b.expectOf(ev, &o.Value)
	}
}

// expectOf checks one set of expectations of an event: of an update only the invariant that it breaks
// can be expected.
func (b *builder) expectOf(ev *Event, x *Expect) {
	if ev.Run == nil && (x.Return != nil || x.ReturnOneOf != nil || x.Taken != nil || x.Refused != nil || x.Values != nil || x.StackAtMost != nil) {
		b.failf(ev.Pos, "return, return_one_of, taken, refused, values and stack_at_most belong to a run")
	}
	switch {
	case x.Return != nil && x.ReturnOneOf != nil:
		b.failf(x.Return.Pos, "return and return_one_of exclude each other")
	case x.ReturnOneOf != nil && len(x.ReturnOneOf) == 0:
		b.failf(ev.Pos, "return_one_of is empty: expected at least one value")
	}
	b.checkErrno(ev, x)
	b.expect(x)
}

// expect checks the names in one set of expectations.
func (b *builder) expect(x *Expect) {
	for _, v := range x.Violates {
		if v.Text != "" && !slices.Contains(invariants, v.Text) {
			b.failf(v.Pos, "no invariant %q: expected %s", v.Text, expected(v.Text, invariants))
		}
		if v.Text == "none" && len(x.Violates) > 1 {
			b.failf(v.Pos, "none excludes other invariants")
		}
	}
	for _, v := range x.Values {
		if ref, ok := b.keyRef(v.Name, v.Pos); ok {
			if e, _, _ := b.constRef(&ref, false); e != nil && e.Value.Type == ProgArray {
				b.failf(v.Pos, "%s is a prog_array: its slots cannot be expected", e.Name)
			} else if e != nil {
				b.width(&ref, e)
			}
		}
	}
	for _, n := range []*Int{x.Taken, x.StackAtMost} {
		if n != nil && n.V < 0 {
			b.failf(n.Pos, "expected a count, found %d", n.V)
		}
	}
}

// keyRef reads a map reference that stands as a name in the file.
func (b *builder) keyRef(text string, pos Pos) (Value, bool) {
	v, err := parseValue(text)
	if err != nil {
		b.failf(pos, "%v", err)
		return v, false
	}
	v.Pos = pos
	return v, true
}

// constRef resolves map[key] with a constant key; beyond allows keys outside the map.
func (b *builder) constRef(v *Value, beyond bool) (*Entry[Map], int, []byte) {
	e, i := b.mapEntry(v)
	if e == nil {
		return nil, -1, nil
	}
	if v.Key.Kind != ValueInt || v.Times != 0 {
		b.failf(v.Pos, "expected map[key] with a number as key, found %q", v.Text)
		return nil, -1, nil
	}
	if !beyond && !b.keyFits(e, v.Key.Int, v.Pos) {
		return nil, -1, nil
	}
	return e, i, littleEndian(v.Key.Int, int(e.Value.keySize()))
}

// update translates one "map[key]: what" of an update.
func (b *builder) update(ev *Event, u Entry[Scalar]) {
	ref, ok := b.keyRef(u.Name, u.Pos)
	if !ok {
		return
	}
	e, i, key := b.constRef(&ref, ev.Errno != "")
	if e == nil {
		return
	}
	a := Action{Event: ev, Map: i, Key: key}
	if e.Value.Type == ProgArray {
		a.Kind = ActInsert
		a.Program = b.programIndex(Name{u.Value.Text, u.Value.Pos})
	} else {
		a.Kind = ActStore
		n, err := asm.ParseInt(u.Value.Text)
		if err != nil {
			b.failf(u.Value.Pos, "%v", err)
			return
		}
		size, ok := b.width(&ref, e)
		if !ok {
			return
		}
		a.Off, a.Data = int(ref.Off), littleEndian(n, size)
	}
	b.out.Actions = append(b.out.Actions, a)
}

// selectors splits the key of an "on" entry.
func selectors(key string) []string {
	parts := strings.Split(key, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}
