// SPDX-License-Identifier: GPL-2.0-only

package table_test

import (
	"strings"
	"testing"

	"github.com/tcsim/tcsim/cmd/tcsim/table"
)

type row struct {
	name string
	n    float64
	why  string
}

func rows() *table.Table[row] {
	return table.New([]row{{"b", 20, "x, \"y\""}, {"a", 3.5, ""}, {"ab", 20, "z"}},
		table.Text("name", func(r *row) string { return r.name }), table.Number("n", func(r *row) float64 { return r.n }),
		table.Aside("why", func(r *row) string { return r.why }))
}

func TestTable(t *testing.T) {
	for _, c := range []struct {
		sort   string
		filter []string
		want   string // CSV without the head
	}{
		{"", nil, "b,20,\"x, \"\"y\"\"\"\na,3.5,\nab,20,z\n"},
		{"name", nil, "a,3.5,\nab,20,z\nb,20,\"x, \"\"y\"\"\"\n"},
		{"-n", nil, "b,20,\"x, \"\"y\"\"\"\nab,20,z\na,3.5,\n"},
		{"n", []string{"n>=3.5", "name~a"}, "a,3.5,\nab,20,z\n"},
		{"", []string{"n<20"}, "a,3.5,\n"},
		{"", []string{"n!=20"}, "a,3.5,\n"},
		{"", []string{"name=ab"}, "ab,20,z\n"},
		{"", []string{"why~y", "n<=20"}, "b,20,\"x, \"\"y\"\"\"\n"},
		{"", []string{"n>20"}, ""},
	} {
		tab := rows()
		if err := tab.Choose(table.Choice{Sort: c.sort, Filter: c.filter}); err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		var b strings.Builder
		if err := tab.CSV(&b); err != nil || b.String() != "name,n,why\n"+c.want {
			t.Errorf("%+v: %v\n%s", c, err, b.String())
		}
	}
	var b strings.Builder
	if err := rows().Text(&b); err != nil || b.String() != "name    n\nb      20\na     3.5\nab     20\n" {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// TestMistakes reports all of them.
func TestMistakes(t *testing.T) {
	err := rows().Choose(table.Choice{Sort: "-size", Filter: []string{"n~2", "name<b", "n=x", "size=1", "n", "=3"}})
	if err == nil || len(strings.Split(err.Error(), "\n")) != 7 || !strings.Contains(err.Error(), "there are name, n, why") {
		t.Errorf("%v", err)
	}
}
