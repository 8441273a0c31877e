// SPDX-License-Identifier: GPL-2.0-only

package timing

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Param is one parameter of a core that has a plain value.
type Param struct {
	Path   string `json:"path"` // "branch.mispredict"
	Value  string `json:"value"`
	Source string `json:"source,omitempty"`
	// Optional: the mechanism is off with the value 0 or false.
	Optional bool `json:"optional"`
}

// Params returns the plain parameters of a core in the order of core files: no lists.
func (c *Core) Params() []Param {
	var out []Param
	c.plain(func(path string, f field, v reflect.Value) bool {
		out = append(out, Param{path, fmt.Sprint(v), c.sources[path], f.optional || v.Kind() == reflect.Bool})
		return true
	})
	return out
}

// plain visits the plain parameters until visit returns false.
func (c *Core) plain(visit func(path string, f field, v reflect.Value) bool) {
	top := reflect.ValueOf(c).Elem()
	for n := range top.NumField() {
		group := top.Type().Field(n).Tag.Get("core")
		if group == "" || top.Field(n).Kind() != reflect.Struct {
			continue
		}
		for k := range top.Field(n).NumField() {
			f, v := fieldOf(top.Field(n).Type().Field(k)), top.Field(n).Field(k)
			if v.Kind() != reflect.Slice && !visit(group+"."+f.name, f, v) {
				return
			}
		}
	}
}

// With returns a copy of a core in which one plain parameter has another value.
func (c *Core) With(path, value string) (*Core, error) {
	d := *c
	err := fmt.Errorf("parameter %q: not known; there are %s", path, strings.Join(c.paths(), ", "))
	d.plain(func(p string, f field, v reflect.Value) bool {
		if p != path {
			return true
		}
		if err = setValue(v, f, value); err != nil {
			err = fmt.Errorf("parameter %s: %w", path, err)
		}
		return false
	})
	if err != nil {
		return nil, err
	}
	r := coreReader{file: "core " + c.Name, core: &d, forms: make([]place, len(d.forms)), special: make([]place, len(d.Special))}
	if r.check(); len(r.errs) != 0 {
		return nil, fmt.Errorf("parameter %s: %w", path, r.errs[0])
	}
	d.sources = map[string]string{}
	for p, s := range c.sources {
		d.sources[p] = s
	}
	return &d, nil
}

func (c *Core) paths() []string {
	var out []string
	for _, p := range c.Params() {
		out = append(out, p.Path)
	}
	return out
}

// Near returns values of a parameter that a sweep tries: off if it can be, the present one, and steps
// to either side of it, ascending.
func (p *Param) Near() []string {
	if p.Value == "true" || p.Value == "false" {
		return []string{"false", "true"}
	}
	var n int
	if _, err := fmt.Sscan(p.Value, &n); err != nil {
		return []string{p.Value}
	}
	step := max(1, n/8)
	values := []int{n - 2*step, n - step, n, n + step, n + 2*step}
	if p.Optional {
		values = append(values, 0)
	}
	slices.Sort(values)
	var out []string
	for _, v := range slices.Compact(values) {
		if v > 0 || v == 0 && p.Optional || v == n {
			out = append(out, fmt.Sprint(v))
		}
	}
	return out
}
