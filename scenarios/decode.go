// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"

	"github.com/tcsim/tcsim/scenarios/asm"
	"github.com/tcsim/tcsim/scenarios/bounds"
)

// nodeDecoder is a type of the format that does not follow from its Go kind.
type nodeDecoder interface {
	decodeNode(d *decoder, n ast.Node)
}

// Entry is one member of a YAML mapping.
type Entry[T any] struct {
	Name  string
	Pos   Pos // of the name
	Value T
}

// Named is a YAML mapping with free names, in the order of the file.
type Named[T any] []Entry[T]

// Find returns the entry called name, nil if there is none.
func (m Named[T]) Find(name string) *Entry[T] {
	if i := m.Index(name); i >= 0 {
		return &m[i]
	}
	return nil
}

// Index returns the index of the entry called name, -1 if there is none.
func (m Named[T]) Index(name string) int {
	for i := range m {
		if m[i].Name == name {
			return i
		}
	}
	return -1
}

func (m *Named[T]) decodeNode(d *decoder, n ast.Node) {
	for _, p := range d.pairs(n, "a mapping") {
		e := Entry[T]{Name: p.key, Pos: p.pos}
		d.decode(p.value, reflect.ValueOf(&e.Value).Elem())
		*m = append(*m, e)
	}
}

// decoder fills values of the format from YAML nodes. It never stops at a mistake.
type decoder struct{ *source }

// parseYAML returns the body of the one document in src, nil after recording why there is none.
func (s *source) parseYAML(src []byte) ast.Node {
	tokens := lexer.Tokenize(string(src))
	if key, n := bounds.Below(tokens); key != nil {
		s.failf(Pos{Line: key.Position.Line, Col: key.Position.Column},
			"too many names one below the other, of which the parser gets slow (this is number %d): write them in braces, as in {a: 1, b: 2}", n)
		return nil
	}
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		pos, msg := Pos{Line: 1, Col: 1}, err.Error()
		var syn *yaml.SyntaxError
		if errors.As(err, &syn) && syn.Token != nil {
			pos = Pos{Line: syn.Token.Position.Line, Col: syn.Token.Position.Column}
			msg = syn.Message
		}
		if strings.Contains(msg, "character '\t'") {
			msg = "a tab cannot indent, only spaces can"
		}
		s.failf(pos, "not valid YAML: %s", msg)
		return nil
	}
	var body ast.Node
	for _, doc := range f.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			s.failf(nodePos(doc.Body), "a second YAML document: expected one per file")
			break
		}
		body = doc.Body
	}
	if body == nil {
		s.failf(Pos{Line: 1, Col: 1}, "empty file: expected a mapping with version, name, programs and runs")
	}
	return body
}

func nodePos(n ast.Node) Pos {
	switch n := n.(type) {
	case *ast.MappingNode:
		// the node's own token is the first colon of a block mapping
		if len(n.Values) > 0 && !n.IsFlowStyle {
			return nodePos(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return nodePos(n.Key)
	}
	p := n.GetToken().Position
	return Pos{Line: p.Line, Col: p.Column}
}

// kindOf names what a node is, for "found ...".
func kindOf(n ast.Node) string {
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	case *ast.LiteralNode:
		return "a block of text"
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return "an anchor or alias, which scenario files do not use"
	case *ast.TagNode:
		return "a tag, which scenario files do not use"
	default:
		return fmt.Sprintf("%.40q", n.GetToken().Value)
	}
}

// pair is a key of a mapping with its value.
type pair struct {
	key   string
	pos   Pos
	value ast.Node
}

// pairs returns the members of a mapping and records duplicate keys. want names what was expected.
func (d *decoder) pairs(n ast.Node, want string) []pair {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		d.failf(nodePos(n), "expected %s, found %s", want, kindOf(n))
		return nil
	}
	var out []pair
	first := map[string]Pos{}
	for _, v := range values {
		text, ok := scalarText(v.Key)
		pos := nodePos(v.Key)
		if !ok {
			d.failf(pos, "expected a name, found %s", kindOf(v.Key))
			continue
		}
		if at, dup := first[text]; dup {
			d.failf(pos, "duplicate %q: first given in line %d", text, at.Line)
			continue
		}
		first[text] = pos
		out = append(out, pair{text, pos, v.Value})
	}
	return out
}

// scalarText returns the text of a scalar as it was written, without quotes.
func scalarText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// decode fills v, which must be settable, from n.
func (d *decoder) decode(n ast.Node, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if c, ok := v.Addr().Interface().(nodeDecoder); ok {
		c.decodeNode(d, n)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.decodeStruct(n, v)
	case reflect.Slice:
		seq, ok := n.(*ast.SequenceNode)
		if !ok {
			d.failf(nodePos(n), "expected a list, found %s", kindOf(n))
			return
		}
		for _, e := range seq.Values {
			item := reflect.New(v.Type().Elem()).Elem()
			d.decode(e, item)
			v.Set(reflect.Append(v, item))
		}
	case reflect.String:
		if s, ok := d.scalar(n, "text"); ok {
			v.SetString(s)
		}
	case reflect.Bool:
		if b, ok := n.(*ast.BoolNode); ok {
			v.SetBool(b.Value)
		} else {
			d.failf(nodePos(n), "expected true or false, found %s", kindOf(n))
		}
	case reflect.Int:
		if i, ok := d.integer(n, 0, 1<<31-1); ok {
			v.SetInt(i)
		}
	case reflect.Uint32:
		if i, ok := d.integer(n, 0, 1<<32-1); ok {
			v.SetUint(uint64(i))
		}
	default:
		panic("BUG: no rule to decode " + v.Type().String())
	}
}

// scalar returns the text of n, or records that want was expected.
func (d *decoder) scalar(n ast.Node, want string) (string, bool) {
	s, ok := scalarText(n)
	if !ok {
		d.failf(nodePos(n), "expected %s, found %s", want, kindOf(n))
	}
	return s, ok
}

// integer returns the value of n if it lies in [lo, hi].
func (d *decoder) integer(n ast.Node, lo, hi int64) (int64, bool) {
	want := fmt.Sprintf("an integer from %d to %d", lo, hi)
	i, ok := d.anyInteger(n, want)
	if ok && (i < lo || i > hi) {
		d.failf(nodePos(n), "expected %s, found %s", want, n.GetToken().Value)
		return 0, false
	}
	return i, ok
}

// anyInteger returns the value of n, which must be an integer without quotes.
func (d *decoder) anyInteger(n ast.Node, want string) (int64, bool) {
	if _, ok := n.(*ast.IntegerNode); !ok {
		d.failf(nodePos(n), "expected %s, found %s", want, kindOf(n))
		return 0, false
	}
	i, err := asm.ParseInt(n.GetToken().Value)
	if err != nil {
		d.failf(nodePos(n), "%v", err)
		return 0, false
	}
	return i, true
}

// field finds the struct field with the given name in the file, looking into embedded structs.
func field(v reflect.Value, name string) (reflect.Value, bool) {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			if x, ok := field(v.Field(i), name); ok {
				return x, true
			}
		} else if tagName(f) == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// fieldNames lists the names of a struct's fields in the file.
func fieldNames(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			out = append(out, fieldNames(f.Type)...)
		} else if n := tagName(f); n != "-" {
			out = append(out, n)
		}
	}
	return out
}

func tagName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// decodeStruct fills the tagged fields of v and its field Pos, if it has one.
func (d *decoder) decodeStruct(n ast.Node, v reflect.Value) {
	if p := v.FieldByName("Pos"); p.IsValid() {
		p.Set(reflect.ValueOf(nodePos(n)))
	}
	for _, p := range d.pairs(n, "a mapping") {
		f, ok := field(v, p.key)
		if !ok || p.key == "-" {
			d.failf(p.pos, "unknown field %q: expected %s", p.key, expected(p.key, fieldNames(v.Type())))
			continue
		}
		if _, null := p.value.(*ast.NullNode); null {
			d.failf(p.pos, "%s has no value", p.key)
			continue
		}
		d.decode(p.value, f)
	}
}
