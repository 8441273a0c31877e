// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/parts"
	"github.com/tcsim/tcsim/scenarios/campaign"
	"github.com/tcsim/tcsim/scenarios/corpus"

	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tcsim/tcsim/cmd/tcsim/compare"
	"github.com/tcsim/tcsim/cmd/tcsim/interrupt"
	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/fixtures/golden"
)

// objects are the types of what --json prints, by schema. Several are the forms of one schema.
var objects = map[render.Schema][]any{
	render.SchemaCapture:       {render.Capture{}},
	render.SchemaCompare:       {compare.Result{}},
	render.SchemaConform:       {render.Conform{}},
	render.SchemaCount:         {render.CountResults{}},
	render.SchemaDoctor:        {render.Doctor{}},
	render.SchemaDoctorSources: {render.DoctorSources{}},
	render.SchemaExplore:       {render.Explored{}, render.ExploredTargets{}},
	render.SchemaFuzz:          {render.FuzzResult{}},
	render.SchemaFuzzShard:     {campaign.FuzzShard{}},
	render.SchemaPart:          {parts.File{}},
	render.SchemaGraph:         {render.Graph{}},
	render.SchemaImport:        {render.Import{}, render.ImportRun{}},
	render.SchemaJIT:           {render.Code{}, render.CodeDiff{}, render.CapturedCodes{}},
	render.SchemaList:          {render.List{}, render.Lists{}},
	render.SchemaMatrix:        {render.MatrixResult{}},
	render.SchemaPlugin:        {render.Plugin{}},
	render.SchemaReplay:        {render.Replay{}},
	render.SchemaRun:           {render.Run{}},
	render.SchemaStack:         {render.Stacks{}},
	render.SchemaTrace:         {render.Trace{}, render.CostResult{}, render.Pipeline{}},
	render.SchemaVersion:       {render.Version{}},
	render.SchemaVM:            {render.VM{}},
	render.SchemaCheckKernel:   {render.CheckKernel{}},
	render.SchemaSplat:         {render.Splat{}},
	render.SchemaVerify:        {render.Verdicts{}},
	render.SchemaWorst:         {render.WorstResult{}},
	render.SchemaHistory:       {render.History{}},
	interrupt.Schema:           {interrupt.Nothing{}},
	"tcsim.corpus/v1":          {corpus.State{}},
	"tcsim.cycles/v1":          {measured.Report{}},
	"tcsim.sweep/v1":           {measured.Sweep{}},
	"tcsim.parameters/v1":      {measured.Parameters{}},
}

// schemaFile is where the schema of a form lies: tcsim.trace/v1 in trace-v1.schema.json.
func schemaFile(s render.Schema) string {
	name := strings.ReplaceAll(strings.TrimPrefix(string(s), "tcsim."), "/", "-")
	return filepath.Join("docs", "schema", name+".schema.json")
}

// schemaOf makes the schema of a form from its types.
func schemaOf(s render.Schema, types []any) map[string]any {
	r := jsonschema.Reflector{
		Anonymous: true, AllowAdditionalProperties: true, // new fields are compatible
		Namer: func(t reflect.Type) string { return strings.ReplaceAll(t.String(), ".", "_") },
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			switch t {
			case reflect.TypeFor[*big.Int](), reflect.TypeFor[big.Int]():
				return &jsonschema.Schema{Type: "integer"}
			case reflect.TypeFor[json.RawMessage]():
				return &jsonschema.Schema{}
			case reflect.TypeFor[render.Schema]():
				return &jsonschema.Schema{Const: string(s)}
			}
			if text := reflect.TypeFor[encoding.TextMarshaler](); t.Implements(text) || reflect.PointerTo(t).Implements(text) {
				return &jsonschema.Schema{Type: "string"}
			}
			return nil
		},
	}
	var forms []any
	defs := map[string]any{}
	for _, v := range types {
		text, err := json.Marshal(r.Reflect(v))
		if err != nil {
			panic(err)
		}
		var m map[string]any
		if err := json.Unmarshal(text, &m); err != nil {
			panic(err)
		}
		for name, d := range m["$defs"].(map[string]any) {
			defs[name] = nullable(d)
		}
		forms = append(forms, map[string]any{"$ref": m["$ref"]})
	}
	return map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": string(s), "anyOf": forms, "$defs": defs,
	}
}

// nullable lets lists, maps and what is left out be null, as Go writes them if there are none.
func nullable(d any) any {
	m, ok := d.(map[string]any)
	if !ok {
		return d
	}
	props, _ := m["properties"].(map[string]any)
	for name, p := range props {
		pm, ok := p.(map[string]any)
		if !ok {
			continue
		}
		switch t := pm["type"]; {
		case t == "array" || t == "object":
			pm["type"] = []any{t, "null"}
		case pm["$ref"] != nil:
			props[name] = map[string]any{"anyOf": []any{p, map[string]any{"type": "null"}}}
		}
	}
	return m
}

// TestSchemas compares docs/schema with the types. A change that breaks who reads the output needs a new version of the
// schema: -update does not take it.
func TestSchemas(t *testing.T) {
	t.Chdir("../..")
	for s, types := range objects {
		t.Run(string(s), func(t *testing.T) {
			now := schemaOf(s, types)
			path := schemaFile(s)
			if was, err := os.ReadFile(path); err == nil {
				var old map[string]any
				if err := json.Unmarshal(was, &old); err != nil {
					t.Fatal(err)
				}
				if broken := breaks("", old["$defs"], now["$defs"]); len(broken) > 0 {
					t.Fatalf("give %s a new version, as this breaks who reads it:\n%s", s, strings.Join(broken, "\n"))
				}
			} else if !golden.Update() {
				t.Fatal(err)
			}
			text, err := json.MarshalIndent(now, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				t.Fatal(err)
			}
			golden.Check(t, path, string(text)+"\n")
		})
	}
}

// TestEverySchema expects each schema that is named anywhere in the code in the table above.
func TestEverySchema(t *testing.T) {
	t.Chdir("../..")
	named := regexp.MustCompile(`"(tcsim\.[a-z-]+/v[0-9]+)"`)
	seen := map[string]bool{}
	for _, pattern := range []string{"cmd/tcsim/*.go", "cmd/tcsim/*/*.go", "emu/timing/measured/*.go", "jit/*/*.go", "scenarios/*/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range named.FindAllStringSubmatch(string(text), -1) {
				if seen[m[1]] = true; objects[render.Schema(m[1])] == nil {
					t.Errorf("%s: %s has no types in the table of schemas", f, m[1])
				}
			}
		}
	}
	if len(seen) < len(objects) {
		t.Errorf("%d schemas in the code, %d in the table", len(seen), len(objects))
	}
}

// breaks lists what was there and is gone or different: types of fields, and fields that are always there.
func breaks(at string, old, now any) []string {
	o, ok := old.(map[string]any)
	if !ok {
		if !strings.HasSuffix(at, "/required") {
			if !reflect.DeepEqual(old, now) {
				return []string{fmt.Sprintf("%s: was %v, is %v", at, old, now)}
			}
			return nil
		}
		for _, name := range asList(old) {
			if !slices.ContainsFunc(asList(now), func(v any) bool { return v == name }) {
				return []string{fmt.Sprintf("%s: %v may be missing now", at, name)}
			}
		}
		return nil
	}
	n, ok := now.(map[string]any)
	if !ok {
		return []string{at + ": gone"}
	}
	var out []string
	for _, k := range render.SortedKeys(o) {
		out = append(out, breaks(at+"/"+k, o[k], n[k])...)
	}
	return out
}

func asList(v any) []any {
	l, _ := v.([]any)
	return l
}

// TestBreaks: the comparison sees what breaks readers, and lets new fields be.
func TestBreaks(t *testing.T) {
	def := func(required []any, props map[string]any) any {
		return map[string]any{"X": map[string]any{"properties": props, "required": required}}
	}
	num, text := map[string]any{"type": "integer"}, map[string]any{"type": "string"}
	was := def([]any{"a"}, map[string]any{"a": num, "b": text})
	for name, c := range map[string]struct {
		now  any
		want int
	}{
		"same":         {def([]any{"a"}, map[string]any{"a": num, "b": text}), 0},
		"new field":    {def([]any{"a", "c"}, map[string]any{"a": num, "b": text, "c": num}), 0},
		"field gone":   {def([]any{"a"}, map[string]any{"a": num}), 1},
		"other type":   {def([]any{"a"}, map[string]any{"a": text, "b": text}), 1},
		"now optional": {def([]any{}, map[string]any{"a": num, "b": text}), 1},
	} {
		if got := breaks("", was, c.now); len(got) != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// jsonLines are command lines whose objects are held against their schemas.
var jsonLines = []string{
	"run hierarchy --target 6.1,6.12,fp40", "run hierarchy --core glc,skx", "trace chain33 --target 6.12", "trace chain33 --cost --target 6.12",
	"trace chain33 --pipeline 12+5 --target 6.12", "stack hierarchy --at violation --target 6.1", "stack hierarchy --at each:call",
	"jit hierarchy", "jit hierarchy --diff 6.1,6.12", "graph fixtures/objects/dispatcher.o", "count hierarchy --target 6.1", "count chain33",
	"explore poke_one_site --target 6.12 --update all", "explore poke_one_site --target 6.12,ip-aux --update all --no-rcu",
	"conform fixtures/live/6.18-library.jsonl.gz", "replay --scenario hierarchy fixtures/live/6.18-library.jsonl.gz",
	"import fixtures/imports/6.18/hierarchy.json", "import --run fixtures/imports/6.18/hierarchy.json", "doctor", "list", "list targets", "list helpers",
	"version", "plugin --program b7000000070000009500000000000000", "matrix --scenario chain33 --target 6.12,pop-nop-push",
	"worst --target 6.12", "fuzz --n 5 --target 6.12", "cycles --measured fixtures/uarch/measured.json",
	"cycles --measured fixtures/uarch/measured.json --sweep list", "matrix --kernels --scenario chain33",
	"verify fixtures/objects/dispatcher.o --target 6.12", "check-kernel 6.1", "compare 6.1 6.12 chain33", "splat fixtures/splats/hierarchy-2023.log",
}

// TestJSONSchemas validates what commands print.
func TestJSONSchemas(t *testing.T) {
	t.Chdir("../..")
	for _, line := range jsonLines {
		t.Run(line, func(t *testing.T) {
			if testing.Short() && (strings.HasPrefix(line, "worst") || strings.HasPrefix(line, "cycles") || strings.Contains(line, "kernel")) {
				t.Skip("takes long")
			}
			args := append(strings.Fields(line), "--json")
			if args[0] == "fuzz" {
				args = append(args, "--out", t.TempDir())
			}
			code, out, errs := tcsimHere(t, "", args...)
			var v struct{ Schema render.Schema }
			if err := json.Unmarshal([]byte(out), &v); err != nil || code > exitFailed && code != exitUntestable {
				t.Fatalf("exit code %d: %v: %s", code, err, errs)
			}
			c := validator.NewCompiler()
			sch, err := c.Compile(schemaFile(v.Schema))
			if err != nil {
				t.Fatal(err)
			}
			object, err := validator.UnmarshalJSON(strings.NewReader(out))
			if err != nil {
				t.Fatal(err)
			}
			if err := sch.Validate(object); err != nil {
				t.Errorf("%v", err)
			}
		})
	}
}
