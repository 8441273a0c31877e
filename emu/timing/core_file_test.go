// SPDX-License-Identifier: GPL-2.0-only

package timing_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/timing/timingtest"
	"github.com/tcsim/tcsim/fixtures/flood"
)

func coreText(t testing.TB, name string) string {
	t.Helper()
	src, err := os.ReadFile("cores/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(src)
}

// TestCoreFileMistakes: every mistake of a core file is reported with its place and what was expected.
func TestCoreFileMistakes(t *testing.T) {
	text := coreText(t, "skx")
	for _, c := range []struct {
		name, old, new string
		want           string // regexp
	}{
		{"not YAML", "front:", "front: [", `^x\.yaml:\d+:\d+: not valid YAML`},
		{"unknown group", "rename:", "renames:", `x\.yaml:\d+:1: "renames" is not known(.|\n)*no rename`},
		{"unknown parameter", "  rob:", "  robb:", `x\.yaml:\d+:3: rename: "robb" is not known; there are width, rob, (.|\n)*missing rob`},
		{"twice", "  rob:", "  rob: {value: 1, source: N}\n  rob:", `x\.yaml:\d+:3: rename: rob stands here twice`},
		{"no source", `rob: {value: 224, source: "U"}`, "rob: {value: 224}", `rename\.rob: expected \{value: \.\.\., source: \.\.\.\}`},
		{"no value", `rob: {value: 224, source: "U"}`, "rob: 224", `rename\.rob: expected a mapping, found "224"`},
		{"unlisted source", `rob: {value: 224, source: "U"}`, `rob: {value: 224, source: "X: me"}`, `"X" is not listed under sources`},
		{"zero", `rob: {value: 224,`, `rob: {value: 0,`, `rename\.rob: expected a whole number from 1 to 65536, found "0"`},
		{"huge", `rob: {value: 224,`, `rob: {value: 99999999999,`, `expected a whole number from 1 to 65536`},
		{"text", `rob: {value: 224,`, `rob: {value: many,`, `found "many"`},
		{"port", `load_ports: {value: "23"`, `load_ports: {value: "2Q"`, `memory\.load_ports: port 'Q' in "2Q"`},
		{"unscheduled", `ports: "01234567"`, `ports: "0123456"`, `forms: row \w+: ports \d+ are in no scheduler`},
		{"store buffer", `store_buffer: {value: 56`, `store_buffer: {value: 256`, `memory\.store_buffer: expected less than 256`},
		{"history", "[3, 8, 20", "[8, 3, 20", `branch\.history: expected at most 16 ascending`},
		{"special", "id: div_r64", "id: div_r65", `special: no row div_r65`},
		{"row", "| MOV_88 (R8l, R8l)", "", `row mov_r8_r8: expected 10 columns .*, found 9`},
		{"row twice", "  mov_r16_r16 ", "  mov_r8_r8   ", `forms: row mov_r8_r8 stands here twice`},
		{"class", "| mov  ", "| move ", `expected an id, a source and one of the classes`},
		{"no forms", "forms: |\n", "formen: |\n", `no forms`},
		{"forms of another kind", "forms: |", "forms: # |", `.`},
		{"window", "cache_line_bytes: {value: 32", "cache_line_bytes: {value: 33", `expected a power of two, found 33`},
		{"nested", "title:", "x: " + strings.Repeat("[", 65) + "\ntitle:", `nested too deeply`},
		{"nested in lines", "title:", "x: " + strings.Repeat("[\n", 65) + "\ntitle:", `nested too deeply`},
		{"nested lists", "title:", "x:\n  " + strings.Repeat("- ", 100_000) + "\ntitle:", `nested too deeply`},
		{"many names", "title:", strings.Repeat("x:\n", 100_000) + "title:", `too many names`},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed := strings.Replace(text, c.old, c.new, 1)
			if changed == text {
				t.Fatal("the change changes nothing")
			}
			core, err := timing.ReadCore("x.yaml", []byte(changed))
			if err == nil || core != nil {
				t.Fatalf("core %v, error %v", core, err)
			}
			if !regexp.MustCompile(c.want).MatchString(err.Error()) {
				t.Errorf("error\n%v\ndoes not match %s", err, c.want)
			}
		})
	}
}

// TestEqualPorts: load and store-address micro-operations may share their ports; stores stay stores.
func TestEqualPorts(t *testing.T) {
	text := coreText(t, "skx")
	text = strings.ReplaceAll(text, "237", "23")
	text = strings.Replace(text, `"01234567"`, `"0123456"`, 1)
	text = strings.Replace(text, `"012234567"`, `"0123456"`, 1)
	c, err := timing.ReadCore("equal.yaml", []byte(strings.Replace(text, `"0123456"`, `"01234567"`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	corpus := timingtest.Load(t)
	for _, name := range []string{"store_indep", "push_sub_add", "rmw_reg", "call_mem", "tc33_v2020_direct", "lock_add"} {
		if r := corpus.Predict(t, c, name); r.Predicted <= 0 {
			t.Errorf("%s: %v cycles", name, r.Predicted)
		}
	}
	if r := corpus.Predict(t, c, "store_indep"); r.Predicted < 23 {
		t.Errorf("store_indep: 24 stores, one a cycle, in %.2f cycles", r.Predicted)
	}
}

// BenchmarkReadCore reads a core file.
func BenchmarkReadCore(b *testing.B) {
	text := []byte(coreText(b, "glc"))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := timing.ReadCore("glc.yaml", text); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzReadCore(f *testing.F) {
	f.Add(coreText(f, "skx"))
	f.Add("name: x\nfront: {a: [b, {c: d}]}\nforms: |\n  a | b\n")
	f.Add("front: !!x &a *a\n")
	f.Fuzz(flood.One(func(t *testing.T, text string) {
		if c, err := timing.ReadCore("x.yaml", []byte(text)); (c == nil) == (err == nil) {
			t.Errorf("core %v, error %v", c, err)
		}
	}))
}
