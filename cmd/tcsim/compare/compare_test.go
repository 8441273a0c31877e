// SPDX-License-Identifier: GPL-2.0-only

package compare_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/cmd/tcsim/compare"
)

const base = `{"schema": "tcsim.run/v1", "results": [
 {"scenario": "x", "target": "6.1", "ok": true, "runs": [{"program": "entry", "taken": 33, "cycles": {"cold": 100}, "big": "8589934591"}]},
 {"scenario": "y", "target": "6.1", "ok": true, "runs": [{"program": "p", "taken": 1}]}]}`

// lines are differences as text.
func lines(l []compare.Difference) string {
	var b strings.Builder
	for _, d := range l {
		fmt.Fprintf(&b, "%s|%s|%s|%s|%g|%.1f\n", d.Where, d.What, d.A, d.B, d.By, d.Part)
	}
	return b.String()
}

func TestObjects(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"same":    {"", "", ""},
		"number":  {`"cold": 100`, `"cold": 150`, "x, 6.1, entry, run 1|cycles.cold|100|150|50|50.0\n"},
		"large":   {`8589934591`, `8589934592`, "x, 6.1, entry, run 1|big|8589934591|8589934592|1|0.0\n"},
		"verdict": {`"ok": true, "runs": [{"program": "p"`, `"ok": false, "runs": [{"program": "p"`, "y, 6.1|ok|true|false|0|0.0\n"},
		"violation": {`"taken": 33`, `"taken": 34, "violation": {"invariant": "limit", "event": 7}`,
			"x, 6.1, entry, run 1|violation.invariant||limit|0|0.0\nx, 6.1, entry, run 1|taken|33|34|1|3.0\n"},
		"row": {`"scenario": "y"`, `"scenario": "z"`, "y, 6.1|(all)|there||0|0.0\nz, 6.1|(all)||there|0|0.0\n"},
		"order": {`"taken": 33, "cycles": {"cold": 100}`, `"taken": 34, "cycles": {"cold": 40}`,
			"x, 6.1, entry, run 1|cycles.cold|100|40|-60|-60.0\nx, 6.1, entry, run 1|taken|33|34|1|3.0\n"},
	} {
		l, err := objects(base, strings.Replace(base, c.old, c.new, 1))
		if err != nil || lines(l) != c.want {
			t.Errorf("%s: %v\n%swant\n%s", name, err, lines(l), c.want)
		}
	}
}

// TestMoved matches rows by name.
func TestMoved(t *testing.T) {
	rows := strings.SplitN(base, "\n", 3)
	moved := rows[0] + "\n" + strings.TrimSuffix(rows[2], "]}") + ",\n" + strings.TrimSuffix(rows[1], ",") + "]}"
	if l, err := objects(base, moved); err != nil || len(l) != 0 {
		t.Errorf("%v\n%s", err, lines(l))
	}
}

// objects compares two texts as files a.json and b.json.
func objects(a, b string) ([]compare.Difference, error) {
	l, _, err := compare.Objects(compare.File{Name: "a.json", Text: []byte(a)}, compare.File{Name: "b.json", Text: []byte(b)})
	return l, err
}

// TestTargets: a result of one target is compared with that of another, row by row; results of several are not.
func TestTargets(t *testing.T) {
	later := strings.ReplaceAll(strings.Replace(base, `"taken": 33`, `"taken": 34`, 1), `"6.1"`, `"6.12"`)
	several := strings.Replace(base, `"target": "6.1"`, `"target": "7.3"`, 1)
	for name, c := range map[string]struct{ other, want, targets string }{
		"another": {later, "x, entry, run 1|taken|33|34|1|3.0\n", "6.1 6.12"},
		"same":    {strings.Replace(base, "33", "32", 1), "x, 6.1, entry, run 1|taken|33|32|-1|-3.0\n", ""},
		"several": {several, "x, 6.1|(all)|there||0|0.0\nx, 7.3|(all)||there|0|0.0\n", ""},
	} {
		l, targets, err := compare.Objects(compare.File{Name: "a.json", Text: []byte(base)}, compare.File{Name: "b.json", Text: []byte(c.other)})
		if err != nil || lines(l) != c.want || strings.Join(targets, " ") != c.targets {
			t.Errorf("%s: targets %q, error %v\n%swant\n%s", name, targets, err, lines(l), c.want)
		}
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"x", base, "a.json:1:1: expected an object as --json prints it"}, {base, "[1]", "b.json:1:1: "}, {"x", "y", "\nb.json:1:1: "},
		{base, "{\n\"a\": nope}", "b.json:2:7: "}, {base + "{}", base, "a.json:3:"}, {"\x1f\x8b\x08", base, "compressed with gzip"},
		{`{"a": [` + strings.Repeat("0,", compare.MaxValues) + "0]}", base, "values are more than"},
		{base, `{"schema": "tcsim.count/v1"}`, "two of one command"},
	} {
		if _, err := objects(c.a, c.b); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.20s: %v, want %q", c.b, err, c.want)
		}
	}
}
