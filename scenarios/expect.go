// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Outcome is what somebody observed of one run.
type Outcome struct {
	Return  uint64 // r0 at the end; only its low 32 bits are judged, as BPF_PROG_TEST_RUN returns them
	Taken   uint64 // tail calls taken
	Refused RefusedCount
	// DeepestStack is the largest distance in bytes from the stack pointer to the outside caller's.
	DeepestStack uint64
	// Violation is the name of the first broken invariant, empty if none broke. After a violation
	// the other fields say how far the run came.
	Violation string
	// Lookup returns the value of a key of map m (an index into Built.Maps) after the run; ok is
	// false if there is none. It is called only if values are expected.
	Lookup func(m int, key []byte) (value []byte, ok bool)
}

// RefusedCount counts tail calls that fell through, by reason. Unknown are those of code that does not show its checks: each
// may have been for any of the reasons.
type RefusedCount struct {
	Limit, Bounds, Empty, Unknown uint64
}

// Mismatch is an expectation that a run did not meet.
type Mismatch struct {
	File string
	Pos  Pos    // of the expectation; zero for one that stands in no file
	Msg  string // "expected return 1, found 0"
	// Found is the number in place of the one at Pos with which the expectation would hold; nil if it is not a number that
	// it lacks.
	Found *int64
}

func (m Mismatch) String() string {
	if m.Pos == (Pos{}) {
		return fmt.Sprintf("%s: %s", m.File, m.Msg)
	}
	return fmt.Sprintf("%s:%d:%d: %s", m.File, m.Pos.Line, m.Pos.Col, m.Msg)
}

// For returns what x expects on a target: names are the target's name and the classes it belongs
// to, such as its design. x itself does not change.
func (x *Expect) For(names ...string) Expect {
	out := *x
	out.On = nil
	for _, o := range x.On {
		hit := slices.ContainsFunc(selectors(o.Name), func(s string) bool { return slices.Contains(names, s) })
		if !hit {
			continue
		}
		over := &o.Value
		if over.Violates.expected() {
			out = Expect{Pos: over.Pos} // the run ends at the violation
		}
		if over.Return != nil || over.ReturnOneOf != nil {
			out.Return, out.ReturnOneOf = over.Return, over.ReturnOneOf
		}
		replace(&out.Taken, over.Taken)
		replace(&out.Refused, over.Refused)
		replace(&out.StackAtMost, over.StackAtMost)
		if over.Violates != nil {
			out.Violates = over.Violates
		}
		if over.Errno != "" {
			out.Errno = over.Errno
		}
		for _, v := range over.Values {
			if i := out.Values.Index(v.Name); i >= 0 {
				out.Values = slices.Clone(out.Values)
				out.Values[i] = v
			} else {
				out.Values = append(slices.Clip(out.Values), v)
			}
		}
	}
	return out
}

func replace[T any](p **T, with *T) {
	if with != nil {
		*p = with
	}
}

// expected reports whether the names ask for a violation.
func (v Names) expected() bool { return len(v) > 0 && v[0].Text != "none" }

func (v Names) String() string {
	var out []string
	for _, n := range v {
		out = append(out, n.Text)
	}
	return strings.Join(out, " or ")
}

// Check compares a run with what action a expects of it on a target with these names (see
// Expect.For). The result is empty if everything is as expected. A run without expectations may
// not break an invariant either, but for one: on a target of ClassBelowRSP below-rsp may be broken
// where nothing is said.
func (b *Built) Check(a *Action, o *Outcome, names ...string) []Mismatch {
	c := checker{b: b, o: o}
	x := Expect{Pos: a.Event.Pos}
	if a.Event.Expect != nil {
		x = a.Event.Expect.For(names...)
	}
	if x.Violates == nil && o.Violation == belowRSP && slices.Contains(names, ClassBelowRSP) {
		return nil
	}
	c.violation(&x)
	if (o.Violation != "") != x.Violates.expected() {
		return c.out // one of the two worlds is wrong: its numbers would only distract
	}
	if x.Return != nil && uint32(o.Return) != uint32(x.Return.V) {
		c.number(x.Return.Pos, uint64(uint32(o.Return)), "expected return %s, found %s", as32(x.Return.V), as32(int64(int32(o.Return))))
	}
	c.oneOf(x.ReturnOneOf, uint32(o.Return))
	c.count(x.Taken, "tail calls taken", o.Taken)
	if r := x.Refused; r != nil {
		c.refused(r, &o.Refused)
	}
	if x.StackAtMost != nil && o.DeepestStack > uint64(x.StackAtMost.V) {
		c.number(x.StackAtMost.Pos, o.DeepestStack, "expected at most %d bytes of stack, found %d", x.StackAtMost.V, o.DeepestStack)
	}
	for _, v := range x.Values {
		c.value(v)
	}
	return c.out
}

// Mismatch is what it means that an update or a deletion gave found (an errno or "success") where
// something else was expected.
func (b *Built) Mismatch(a *Action, want, found string) Mismatch {
	return Mismatch{File: b.Scenario.File, Pos: a.Event.Pos, Msg: fmt.Sprintf("expected %s, found %s", want, found)}
}

// as32 renders a return value as the kernel would, followed by the negative form.
func as32(v int64) string {
	if v < 0 {
		return fmt.Sprintf("%d (%d)", uint32(v), v)
	}
	return fmt.Sprint(v)
}

// belowRSP is the name of the invariant that ClassBelowRSP is about.
const belowRSP = "below-rsp"

type checker struct {
	b   *Built
	o   *Outcome
	out []Mismatch
}

func (c *checker) failf(pos Pos, format string, args ...any) {
	c.out = append(c.out, Mismatch{File: c.b.Scenario.File, Pos: pos, Msg: fmt.Sprintf(format, args...)})
}

// number is failf where another number is what was expected.
func (c *checker) number(pos Pos, found uint64, format string, args ...any) {
	c.failf(pos, format, args...)
	if n := int64(found); n >= 0 {
		c.out[len(c.out)-1].Found = &n
	}
}

// refused compares the reasons, and lets tail calls that were refused for an unknown one stand for what is missing.
func (c *checker) refused(x *Refused, o *RefusedCount) {
	c.count(x.Total, "refused tail calls", o.Limit+o.Bounds+o.Empty+o.Unknown)
	left := o.Unknown
	for _, r := range []struct {
		want  *Int
		by    string
		found uint64
	}{{x.Limit, "the limit", o.Limit}, {x.Bounds, "the bounds", o.Bounds}, {x.Empty, "an empty slot", o.Empty}} {
		if r.want != nil && r.want.V >= 0 && r.found < uint64(r.want.V) {
			more := min(left, uint64(r.want.V)-r.found)
			r.found, left = r.found+more, left-more
		}
		c.count(r.want, "tail calls refused by "+r.by, r.found)
	}
}

func (c *checker) violation(x *Expect) {
	pos := x.Pos
	if len(x.Violates) > 0 {
		pos = x.Violates[0].Pos
	}
	switch found := c.o.Violation; {
	case x.Violates.expected() && found == "":
		c.failf(pos, "expected a violation of %s, found none", x.Violates)
	case x.Violates.expected() && !slices.ContainsFunc(x.Violates, func(n Name) bool { return n.Text == found }):
		c.failf(pos, "expected a violation of %s, found %s", x.Violates, found)
	case !x.Violates.expected() && found != "":
		c.failf(pos, "expected no violation, found %s", found)
	}
}

func (c *checker) oneOf(want []Int, found uint32) {
	var words []string
	for _, v := range want {
		if uint32(v.V) == found {
			return
		}
		words = append(words, as32(v.V))
	}
	if len(words) > 0 {
		c.failf(want[0].Pos, "expected one of the returns %s, found %s", strings.Join(words, ", "), as32(int64(int32(found))))
	}
}

func (c *checker) count(want *Int, what string, found uint64) {
	if want != nil && uint64(want.V) != found {
		c.number(want.Pos, found, "expected %d %s, found %d", want.V, what, found)
	}
}

// value compares one map value.
func (c *checker) value(want Entry[Int]) {
	ref, err := parseValue(want.Name)
	m := c.b.Scenario.Maps.Find(ref.Map)
	if err != nil || m == nil {
		panic("BUG: a value expectation that Build accepted does not resolve: " + want.Name)
	}
	key := littleEndian(ref.Key.Int, int(m.Value.keySize()))
	bytes, ok := c.o.Lookup(c.b.Scenario.Maps.Index(ref.Map), key)
	if !ok {
		c.failf(want.Pos, "expected %s = %d, found no such entry", want.Name, want.Value.V)
		return
	}
	size := defaultWidth(&ref, int(m.Value.valueSize()))
	if int(ref.Off)+size > len(bytes) {
		c.failf(want.Pos, "expected %s = %d, found a value of only %d bytes", want.Name, want.Value.V, len(bytes))
		return
	}
	var found [8]byte
	copy(found[:], bytes[ref.Off:int(ref.Off)+size])
	mask := ^uint64(0) >> (64 - 8*size)
	if got := binary.LittleEndian.Uint64(found[:]); got != uint64(want.Value.V)&mask {
		c.number(want.Value.Pos, got, "expected %s = %d, found %d", want.Name, want.Value.V, got)
	}
}
