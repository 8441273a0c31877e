// SPDX-License-Identifier: GPL-2.0-only

package timing

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"

	"github.com/tcsim/tcsim/jit/filekind"
	"github.com/tcsim/tcsim/scenarios/bounds"
)

// maxCoreFile bounds the size of a core file in bytes.
const maxCoreFile = 1 << 22

// ReadCore reads a core file; name is its path in the errors, of which there is one for each
// mistake, with its place. Nothing is returned together with an error.
func ReadCore(name string, src []byte) (*Core, error) {
	r := &coreReader{file: name, core: &Core{sources: map[string]string{}}}
	if body := r.parse(src); body != nil {
		r.top(body)
		if len(r.errs) == 0 {
			r.check()
		}
	}
	if len(r.errs) != 0 {
		return nil, errors.Join(r.errs...)
	}
	r.core.index()
	return r.core, nil
}

// place is a line and a column, both from 1.
type place struct{ line, col int }

// coreReader collects the mistakes of one file.
type coreReader struct {
	file    string
	core    *Core
	letters map[string]bool  // of the sources
	at      map[string]place // of each parameter, by path
	block   string           // the lines of the table of forms
	tableAt int              // line of the first of them
	forms   []place          // of each row
	special []place
	errs    []error
}

func (r *coreReader) failf(p place, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s:%d:%d: %w", r.file, p.line, p.col, fmt.Errorf(format, args...)))
}

// parse returns the body of the only document, nil after a mistake.
func (r *coreReader) parse(src []byte) ast.Node {
	if len(src) > maxCoreFile {
		r.failf(place{1, 1}, "%d bytes are more than the %d that a core file may have", len(src), maxCoreFile)
		return nil
	}
	if what := filekind.Instead(src); what != "" {
		r.failf(place{1, 1}, "expected a core; it is %s", what)
		return nil
	}
	src = r.cutTable(src)
	if line, col, ok := bounds.Nesting(strings.Split(string(src), "\n")); ok {
		r.failf(place{line, col}, "nested too deeply")
		return nil
	}
	tokens := lexer.Tokenize(string(src))
	if key, n := bounds.Below(tokens); key != nil {
		r.failf(place{key.Position.Line, key.Position.Column}, "too many names one below the other: this is number %d", n)
		return nil
	}
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at, msg := place{1, 1}, err.Error()
		var syn *yaml.SyntaxError
		if errors.As(err, &syn) && syn.Token != nil {
			at, msg = place{syn.Token.Position.Line, syn.Token.Position.Column}, syn.Message
		}
		r.failf(at, "not valid YAML: %s", msg)
		return nil
	}
	if len(f.Docs) != 1 || f.Docs[0].Body == nil {
		r.failf(place{1, 1}, "found %d documents, expected one core", len(f.Docs))
		return nil
	}
	return f.Docs[0].Body
}

// cutTable takes the lines of the block of forms out of a file and leaves empty ones: it is most of
// the file, and lexing it as YAML would take longer than all the rest.
func (r *coreReader) cutTable(src []byte) []byte {
	const head = "\nforms: |\n"
	before, block, ok := strings.Cut(string(src), head)
	if !ok {
		return src
	}
	r.tableAt = strings.Count(before, "\n") + 3
	end := 0
	for line := range strings.Lines(block) {
		if line[0] != ' ' && line[0] != '\n' {
			break
		}
		end += len(line)
	}
	r.block = block[:end]
	if block[end:] == "" { // no line has to stay in its place
		return []byte(before + head + "  #\n")
	}
	return []byte(before + head + "  #\n" + strings.Repeat("\n", max(0, strings.Count(r.block, "\n")-1)) + block[end:])
}

func placeOf(n ast.Node) place {
	switch n := n.(type) {
	case *ast.MappingNode:
		if len(n.Values) > 0 && !n.IsFlowStyle {
			return placeOf(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return placeOf(n.Key)
	}
	p := n.GetToken().Position
	return place{p.Line, p.Column}
}

// pair is a key of a mapping with its value.
type yamlPair struct {
	key   string
	at    place
	value ast.Node
}

// pairs returns the members of a mapping, each key once.
func (r *coreReader) pairs(n ast.Node, what string) []yamlPair {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		r.failf(placeOf(n), "%s: expected a mapping, found %.40q", what, n.GetToken().Value)
		return nil
	}
	var out []yamlPair
	for _, v := range values {
		p := yamlPair{v.Key.GetToken().Value, placeOf(v.Key), v.Value}
		if slices.ContainsFunc(out, func(q yamlPair) bool { return q.key == p.key }) {
			r.failf(p.at, "%s: %s stands here twice", what, p.key)
			continue
		}
		out = append(out, p)
	}
	return out
}

// top reads the file's mapping.
func (r *coreReader) top(body ast.Node) {
	r.at, r.letters = map[string]place{}, map[string]bool{}
	v := reflect.ValueOf(r.core).Elem()
	known := []string{"name", "title", "sources", "forms"}
	groups := map[string]reflect.Value{}
	for n := range v.NumField() {
		if tag := v.Type().Field(n).Tag.Get("core"); tag != "" {
			groups[tag] = v.Field(n)
			known = append(known, tag)
		}
	}
	pairs := r.pairs(body, "core")
	for _, p := range pairs { // what the sources of values refer to
		if p.key == "sources" {
			for _, s := range r.pairs(p.value, "sources") {
				r.letters[s.key] = true
			}
		}
	}
	seen := map[string]bool{}
	for _, p := range pairs {
		seen[p.key] = true
		g, isGroup := groups[p.key]
		switch {
		case p.key == "name":
			r.core.Name = r.text(p.value)
		case p.key == "title":
			r.core.Title = r.text(p.value)
		case p.key == "sources":
		case p.key == "forms":
			r.table(p.value)
		case p.key == "special":
			r.specials(p.value)
		case isGroup:
			r.group(p, g)
		default:
			r.failf(p.at, "%q is not known; there are %s", p.key, strings.Join(known, ", "))
		}
	}
	for _, k := range known {
		if !seen[k] && k != "special" {
			r.failf(placeOf(body), "no %s", k)
		}
	}
}

func (r *coreReader) text(n ast.Node) string {
	s, ok := n.(*ast.StringNode)
	if !ok || s.Value == "" {
		r.failf(placeOf(n), "expected text, found %.40q", n.GetToken().Value)
		return ""
	}
	return s.Value
}

// field is what a tag says.
type field struct {
	name     string
	optional bool
	min      int64
}

func fieldOf(f reflect.StructField) field {
	name, rest, _ := strings.Cut(f.Tag.Get("core"), ",")
	out := field{name: name, min: 1}
	for _, w := range strings.Split(rest, ",") {
		if w == "optional" {
			out.optional, out.min = true, 0
		}
	}
	if _, text, ok := strings.Cut(rest, "min="); ok {
		out.min, _ = strconv.ParseInt(text, 10, 64)
	}
	return out
}

// group reads one group of parameters, each a mapping of its value and its source.
func (r *coreReader) group(g yamlPair, v reflect.Value) {
	pairs := r.pairs(g.value, g.key)
	r.fields(g, pairs, v, func(p yamlPair, f field, v reflect.Value) {
		path := g.key + "." + p.key
		r.at[path] = p.at
		var value ast.Node
		source := ""
		for _, q := range r.pairs(p.value, path) {
			switch q.key {
			case "value":
				value = q.value
			case "source":
				source = r.source(q.value)
			default:
				r.failf(q.at, "%s: %q is not known; expected value and source", path, q.key)
			}
		}
		if value == nil || source == "" {
			r.failf(p.at, "%s: expected {value: ..., source: ...}", path)
			return
		}
		r.core.sources[path] = source
		r.value(value, path, f, v)
	})
}

// fields finds the field of v for each pair.
func (r *coreReader) fields(g yamlPair, pairs []yamlPair, v reflect.Value, each func(yamlPair, field, reflect.Value)) {
	var names, missing []string
	for n := range v.NumField() {
		f := fieldOf(v.Type().Field(n))
		names = append(names, f.name)
		i := slices.IndexFunc(pairs, func(p yamlPair) bool { return p.key == f.name })
		if i < 0 {
			if !f.optional && v.Field(n).Kind() != reflect.Bool {
				missing = append(missing, f.name)
			}
			continue
		}
		each(pairs[i], f, v.Field(n))
	}
	for _, p := range pairs {
		if !slices.Contains(names, p.key) {
			r.failf(p.at, "%s: %q is not known; there are %s", g.key, p.key, strings.Join(names, ", "))
		}
	}
	if len(missing) != 0 {
		r.failf(g.at, "%s: missing %s", g.key, strings.Join(missing, ", "))
	}
}

// source reads where a value is from: it begins with a key of sources.
func (r *coreReader) source(n ast.Node) string {
	s := r.text(n)
	letter := s
	if i := strings.IndexFunc(s, func(c rune) bool { return strings.ContainsRune(":;, ", c) }); i >= 0 {
		letter = s[:i]
	}
	if s != "" && !r.letters[letter] {
		r.failf(placeOf(n), "source %.40q: %q is not listed under sources", s, letter)
	}
	return s
}

// value reads one value of a parameter.
func (r *coreReader) value(n ast.Node, path string, f field, v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice:
		seq, ok := n.(*ast.SequenceNode)
		if !ok {
			r.failf(placeOf(n), "%s: expected a list, found %.40q", path, n.GetToken().Value)
			return
		}
		for _, e := range seq.Values {
			x := reflect.New(v.Type().Elem()).Elem()
			if x.Kind() == reflect.Struct {
				g := yamlPair{path, placeOf(e), e}
				r.fields(g, r.pairs(e, path), x, func(p yamlPair, f field, y reflect.Value) {
					r.value(p.value, path+"."+p.key, f, y)
				})
			} else {
				r.value(e, path, f, x)
			}
			v.Set(reflect.Append(v, x))
		}
	default:
		if err := setValue(v, f, n.GetToken().Value); err != nil {
			r.failf(placeOf(n), "%s: %w", path, err)
		}
	}
}

// maxValue bounds every figure of a core: buffers are allocated by them.
const maxValue = 1 << 16

// setValue sets a plain field from its text.
func setValue(v reflect.Value, f field, text string) error {
	switch v.Kind() {
	case reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("expected true or false, found %.40q", text)
		}
		v.SetBool(text == "true")
	case reflect.Int, reflect.Int64:
		i, err := strconv.ParseInt(text, 10, 64)
		if err != nil || i < f.min || i > maxValue {
			return fmt.Errorf("expected a whole number from %d to %d, found %.40q", f.min, maxValue, text)
		}
		v.SetInt(i)
	case reflect.Float64:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || !(x >= 0 && x <= maxValue) {
			return fmt.Errorf("expected a number from 0 to %d, found %.40q", maxValue, text)
		}
		v.SetFloat(x)
	case reflect.String:
		v.SetString(text)
	default:
		panic("BUG: field of kind " + v.Kind().String())
	}
	return nil
}

// specials reads the corrections of rows.
func (r *coreReader) specials(n ast.Node) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		r.failf(placeOf(n), "special: expected a list, found %.40q", n.GetToken().Value)
		return
	}
	for _, e := range seq.Values {
		var s Special
		g := yamlPair{"special", placeOf(e), e}
		r.fields(g, r.pairs(e, "special"), reflect.ValueOf(&s).Elem(), func(p yamlPair, f field, v reflect.Value) {
			if p.key == "source" {
				s.Source = r.source(p.value)
				return
			}
			r.value(p.value, "special."+p.key, f, v)
		})
		r.core.Special = append(r.core.Special, s)
		r.special = append(r.special, g.at)
	}
}
