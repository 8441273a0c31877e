// SPDX-License-Identifier: GPL-2.0-only

package timing_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/fixtures/golden"
)

// coreSchema is where the schema of core files lies.
const coreSchema = "../../docs/schema/core-v1.schema.json"

// object is the schema of a mapping whose members are all known.
func object(members map[string]any, required ...string) map[string]any {
	slices.Sort(required)
	return map[string]any{"type": "object", "properties": members, "required": required, "additionalProperties": false}
}

// fieldSchema makes the schema of a value from its type and its tag.
func fieldSchema(t reflect.Type, options string) any {
	switch t.Kind() {
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Float64:
		return map[string]any{"type": "number", "minimum": 0}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": fieldSchema(t.Elem(), "")}
	case reflect.Struct:
		members, required := structSchema(t, func(s any) any { return s })
		return object(members, required...)
	}
	if strings.Contains(options, "min=") {
		return map[string]any{"type": "integer"}
	}
	least := 1
	if strings.Contains(options, "optional") {
		least = 0
	}
	return map[string]any{"type": "integer", "minimum": least}
}

// structSchema returns the members of a group and those that must be there.
func structSchema(t reflect.Type, wrap func(any) any) (members map[string]any, required []string) {
	members, required = map[string]any{}, []string{}
	for n := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(n).Tag.Get("core"), ",")
		members[name] = wrap(fieldSchema(t.Field(n).Type, options))
		if !strings.Contains(options, "optional") && t.Field(n).Type.Kind() != reflect.Bool {
			required = append(required, name)
		}
	}
	return members, required
}

// schemaOfCores makes the schema from the types that ReadCore fills.
func schemaOfCores() map[string]any {
	text := map[string]any{"type": "string", "minLength": 1}
	top := map[string]any{
		"name": text, "title": text, "forms": text,
		"sources": map[string]any{"type": "object", "additionalProperties": map[string]any{"type": "string"}},
	}
	required := []string{"name", "title", "sources", "forms"}
	core := reflect.TypeFor[timing.Core]()
	for n := range core.NumField() {
		group, t := core.Field(n).Tag.Get("core"), core.Field(n).Type
		switch {
		case group == "":
		case t.Kind() == reflect.Slice: // the list of special forms, which may be empty
			top[group] = map[string]any{"type": []string{"array", "null"}, "items": fieldSchema(t.Elem(), "")}
		default:
			members, must := structSchema(t, func(s any) any {
				return object(map[string]any{"value": s, "source": text}, "value", "source")
			})
			top[group] = object(members, must...)
			required = append(required, group)
		}
	}
	s := object(top, required...)
	s["$schema"], s["title"] = "https://json-schema.org/draft/2020-12/schema", "tcsim.core/v1"
	return s
}

// TestCoreSchema compares the schema of core files with the types, and holds the built-in ones and what
// File writes against it.
func TestCoreSchema(t *testing.T) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	if err := enc.Encode(schemaOfCores()); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, coreSchema, b.String())
	sch, err := validator.NewCompiler().Compile(coreSchema)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range timing.Cores() {
		builtin, err := os.ReadFile("cores/" + c.Name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		for _, src := range [][]byte{builtin, c.File(nil)} {
			if err := sch.Validate(yamlValue(t, src)); err != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
		}
		bad := bytes.Replace(builtin, []byte("  decode_width: {value: "), []byte("  decode_with: {value: "), 1)
		if sch.Validate(yamlValue(t, bad)) == nil {
			t.Errorf("%s: a misspelt parameter is no mistake", c.Name)
		}
	}
}

// yamlValue reads YAML as the validator wants it.
func yamlValue(t *testing.T, src []byte) any {
	t.Helper()
	j, err := yaml.YAMLToJSON(src)
	if err != nil {
		t.Fatal(err)
	}
	v, err := validator.UnmarshalJSON(bytes.NewReader(j))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
