// SPDX-License-Identifier: GPL-2.0-only

package scenarios_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tcsim/tcsim/fixtures/golden"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/files"
)

const schemaFile = "../docs/scenario.schema.json"

// TestSchema keeps the schema for editors equal to what the Go types say.
func TestSchema(t *testing.T) {
	got, err := json.MarshalIndent(schema(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, schemaFile, string(append(got, '\n')))
}

// words are the types of the format that are one word in the file.
var words = map[reflect.Type]*jsonschema.Schema{
	reflect.TypeFor[scenarios.Name]():     {Type: "string", Pattern: `^[A-Za-z_][A-Za-z0-9_.-]*$`},
	reflect.TypeFor[scenarios.Int]():      {Type: "integer"},
	reflect.TypeFor[scenarios.Register](): {Enum: []any{"r6", "r7", "r8", "r9"}},
	reflect.TypeFor[scenarios.ProgType](): {Enum: typeNames()},
	reflect.TypeFor[scenarios.VoidRAX]():  {Enum: []any{"zero", "pointer"}},
	reflect.TypeFor[scenarios.Policy]():   {Enum: []any{"as-shipped", "if-allowed"}},
	reflect.TypeFor[scenarios.MapType]():  {Enum: []any{"prog_array", "array", "percpu_array", "hash", "arena"}},
	reflect.TypeFor[scenarios.Asm]():      {Type: "string"},
	reflect.TypeFor[scenarios.Jited]():    {Type: "string"},
	reflect.TypeFor[scenarios.Names](): oneOf(
		&jsonschema.Schema{Type: "string"},
		&jsonschema.Schema{Type: "array", Items: &jsonschema.Schema{Type: "string"}}),
	reflect.TypeFor[scenarios.Packet](): oneOf(
		&jsonschema.Schema{Type: "integer", Minimum: "1", Maximum: "3520"},
		&jsonschema.Schema{Type: "string", Pattern: `^([0-9a-fA-F]{2} *)+$`}),
	reflect.TypeFor[scenarios.Helper](): {Enum: []any{
		"ktime_get_ns", "get_prandom_u32", "get_smp_processor_id", "jiffies64", "ktime_get_boot_ns"}},
	reflect.TypeFor[scenarios.Scalar](): oneOf(
		&jsonschema.Schema{Type: "string"}, &jsonschema.Schema{Type: "integer"}),
	reflect.TypeFor[scenarios.Value](): oneOf(
		&jsonschema.Schema{Type: "string"}, &jsonschema.Schema{Type: "integer"}),
}

func typeNames() (out []any) {
	for _, n := range bpf.ProgTypeNames() {
		out = append(out, n)
	}
	return out
}

func oneOf(s ...*jsonschema.Schema) *jsonschema.Schema { return &jsonschema.Schema{OneOf: s} }

func ref(name string) *jsonschema.Schema { return &jsonschema.Schema{Ref: "#/$defs/" + name} }

// mapper gives the schemas of types that do not follow from their Go kind.
func mapper(t reflect.Type) *jsonschema.Schema {
	if s, ok := words[t]; ok {
		return s
	}
	switch t.Kind() {
	case reflect.Uint32:
		return &jsonschema.Schema{Type: "integer", Minimum: "0", Maximum: "4294967295"}
	case reflect.Int:
		return &jsonschema.Schema{Type: "integer", Minimum: "0", Maximum: "2147483647"}
	}
	if !strings.HasPrefix(t.Name(), "Named[") {
		return nil
	}
	elem, _ := t.Elem().FieldByName("Value")
	of := ref(elem.Type.Name())
	if s, ok := words[elem.Type]; ok {
		of = s
	}
	return &jsonschema.Schema{Type: "object", AdditionalProperties: of}
}

// schema reflects the types and adds what Go types cannot say.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	r := &jsonschema.Reflector{ExpandedStruct: true, Mapper: mapper, RequiredFromJSONSchemaTags: true, Anonymous: true}
	if err := r.AddGoComments("github.com/tcsim/tcsim/scenarios", "."); err != nil {
		t.Fatal(err)
	}
	root := r.Reflect(&scenarios.Scenario{})
	root.Title = "tcsim scenario"
	root.Required = []string{"version", "name", "programs", "runs"}
	for _, v := range []any{scenarios.Map{}, scenarios.Program{}, scenarios.Function{}, scenarios.Step{}, scenarios.Event{}, scenarios.Expect{}, scenarios.Refused{}, scenarios.Interrupt{}, scenarios.Attach{}} {
		name := reflect.TypeOf(v).Name()
		s := r.Reflect(v)
		s.Definitions, s.Version = nil, ""
		root.Definitions[name] = s
	}
	defs := root.Definitions
	steps := &jsonschema.Schema{Type: "array", Items: ref("Step")}
	for _, name := range []string{"Function", "Program"} {
		defs[name] = oneOf(steps, &jsonschema.Schema{Type: "string"}, defs[name])
	}
	defs["Refused"] = oneOf(&jsonschema.Schema{Type: "integer"}, defs["Refused"])
	defs["Step"].OneOf = nil
	for _, verb := range []struct{ name, with string }{
		{"count", ""}, {"call", ""}, {"tail_call", ""}, {"helper", ""}, {"clobber", ""}, {"atomic", "on to"}, {"set", "to"},
		{"check", "is"}, {"if", "is then"}, {"repeat", "do"}, {"return", ""},
	} {
		need := append([]string{verb.name}, strings.Fields(verb.with)...)
		defs["Step"].OneOf = append(defs["Step"].OneOf, &jsonschema.Schema{Required: need})
	}
	defs["Interrupt"].Required = []string{"run"}
	defs["Interrupt"].OneOf = []*jsonschema.Schema{{Required: []string{"at"}}, {Required: []string{"after"}}}
	defs["Event"].OneOf = []*jsonschema.Schema{
		{Required: []string{"run"}}, {Required: []string{"update"}}, {Required: []string{"delete"}},
		{Required: []string{"replace"}}, {Required: []string{"attach"}},
	}
	defs["Attach"].OneOf = []*jsonschema.Schema{{Required: []string{"fentry", "by"}}, {Required: []string{"fexit", "by"}}}
	return root
}

// compileSchema compiles the checked-in schema.
func compileSchema(t *testing.T) *validator.Schema {
	t.Helper()
	path, err := filepath.Abs(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	s, err := validator.NewCompiler().Compile(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// generic reads YAML the way an editor does.
func generic(t *testing.T, src []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(src, &v); err != nil {
		t.Fatal(err)
	}
	js, err := json.Marshal(textKeys(v))
	if err != nil {
		t.Fatal(err)
	}
	out, err := validator.UnmarshalJSON(bytes.NewReader(js))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func textKeys(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = textKeys(v[k])
		}
	case map[any]any:
		out := map[string]any{}
		for k, x := range v {
			out[fmt.Sprint(k)] = textKeys(x)
		}
		return out
	case []any:
		for i := range v {
			v[i] = textKeys(v[i])
		}
	}
	return v
}

// TestSchemaAgrees checks that the schema accepts what Load accepts and rejects what Load rejects,
// as far as a mistake is one of form.
func TestSchemaAgrees(t *testing.T) {
	s := compileSchema(t)
	for _, name := range files.Builtin() {
		_, src, err := files.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(generic(t, src)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	const good = `version: 1
name: x
maps:
  m: {type: array}
programs:
  p: [{count: m}, {return: 1}]
runs:
  - run: p
    packet: 64
    expect: {return: 1, refused: 0, violates: none}
`
	check := func(name, src string, want bool) {
		t.Run(name, func(t *testing.T) {
			_, loadErr := scenarios.Load("x.yaml", []byte(src))
			schemaErr := s.Validate(generic(t, []byte(src)))
			if (loadErr == nil) != want || (schemaErr == nil) != want {
				t.Errorf("accepted should be %v: Load says %v; schema says %v", want, loadErr, schemaErr)
			}
		})
	}
	check("good", good, true)
	for _, c := range []struct{ old, new string }{
		{"version: 1", "version: one"},
		{"version: 1\n", ""},
		{"name: x", "nam: x"},
		{"type: array", "type: arry"},
		{"type: array", "type: array, value_size: -1"},
		{"count: m", "cuont: m"},
		{"count: m", "count: m, call: p"},
		{"count: m", "set: m"},
		{"count: m", "helper: no_such"},
		{"count: m", "count: [m]"},
		{"programs:", "progs: {}\nprograms:"},
		{"- run: p", "- ran: p"},
		{"- run: p", "- run: p\n    delete: m"},
		{"- run: p", "- run: p\n    interrupt: {run: p}"},
		{"- run: p", "- run: p\n    interrupt: {run: p, at: \"tailcall:1\", after: 4}"},
		{"version: 1", "version: 1\npolicy: never"},
		{"packet: 64", "packet: 0"},
		{"packet: 64", "packet: \"xyz\""},
		{"expect: {return: 1", "expect: {return: \"1\""},
		{"refused: 0", "refused: {limt: 0}"},
		{"violates: none", "violates: {limit: 1}"},
		{"violates: none", "on: {6.1: {retrun: 1}}"},
	} {
		bad := strings.Replace(good, c.old, c.new, 1)
		if bad == good {
			t.Fatalf("%q does not occur", c.old)
		}
		check(c.new, bad, false)
	}
}
