// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"reflect"
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/tcsim/tcsim/scenarios/asm"
)

// verbs are the forms a step may have: the verb, the modifiers that must be there and those that
// may.
var verbs = []struct {
	name       string
	need, also []string
}{
	{name: "count"},
	{name: "call", also: []string{"with"}},
	{name: "tail_call"},
	{name: "helper"},
	{name: "clobber"},
	{name: "atomic", need: []string{"on", "to"}, also: []string{"is"}},
	{name: "set", need: []string{"to"}},
	{name: "check", need: []string{"is"}},
	{name: "if", need: []string{"is", "then"}, also: []string{"else"}},
	{name: "repeat", need: []string{"do"}},
	{name: "return"},
}

func (x *Step) decodeNode(d *decoder, n ast.Node) {
	before := len(d.errs)
	d.decodeStruct(n, reflect.ValueOf(x).Elem())
	keys := map[string]Pos{}
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		quiet := decoder{&source{}} // duplicates are already recorded
		for _, p := range quiet.pairs(n, "") {
			keys[p.key] = p.pos
		}
	}
	var found, need, also []string
	for _, v := range verbs {
		if _, ok := keys[v.name]; ok {
			found = append(found, v.name)
			need, also = v.need, v.also
		}
	}
	switch {
	case len(found) == 1:
		x.Verb, x.Pos = found[0], keys[found[0]]
	case len(d.errs) > before:
		return // the missing verb is already reported as something else
	case len(found) == 0:
		d.failf(x.Pos, "a step without a verb: expected %s", asm.OneOf(verbNames()))
		return
	default:
		d.failf(x.Pos, "a step with several verbs (%s and %s): expected one", found[0], found[1])
		return
	}
	for _, k := range need {
		if _, ok := keys[k]; !ok {
			d.failf(x.Pos, "%s needs %q in the same step", x.Verb, k)
		}
	}
	for _, k := range []string{"with", "on", "to", "is", "then", "else", "do"} {
		if pos, ok := keys[k]; ok && !slices.Contains(need, k) && !slices.Contains(also, k) {
			d.failf(pos, "%q does not belong to %s", k, x.Verb)
		}
	}
}

func verbNames() []string {
	var out []string
	for _, v := range verbs {
		out = append(out, v.name)
	}
	return out
}

// walk calls f for every step in order, branches and loop bodies included.
func walk(steps []Step, f func(*Step)) {
	for i := range steps {
		s := &steps[i]
		f(s)
		walk(s.Then, f)
		walk(s.Else, f)
		walk(s.Do, f)
	}
}

// values calls f for each operand of the step itself.
func (x *Step) values(f func(*Value)) {
	for _, v := range []*Value{x.Count, x.TailCall, x.Set, x.Check, x.If, x.Return, x.With, x.On, x.To, x.Is} {
		if v != nil {
			f(v)
		}
	}
}
