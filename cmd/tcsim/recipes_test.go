// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit/kernels"
)

// The recipes of docs/contributing.md for a kernel and for a design, followed by a machine: what they say to
// write is laid over the source, nothing else is. A design that is right nowhere but in its own file, or a
// kernel that has to be named in a further place, fails here.

// toyDesign is hier-6.12 but for one thing: a tail call to an empty slot counts.
const toyDesign = `package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
)

type toyBurns struct{ hier }

func (t toyBurns) traits() Traits {
	r := t.hier.traits()
	r.Name, r.Kernel, r.Source, r.Evidence, r.Empty = "toy-burns", 0, "a test", BySource, EmptyCounts
	return r
}

func (t toyBurns) Indirect(e *emit.Writer, s *image.TailCallSite) error {
	e.Bounds(s)
	t.refuse(e, s)
	t.bump(e, s)
	e.LoadProg(s)
	t.unwind(e, s)
	return e.LeaveIndirect(s, t.Landing(e.Func.Config))
}

func (t toyBurns) Direct(e *emit.Writer, s *image.TailCallSite) error {
	t.refuse(e, s)
	t.bump(e, s)
	e.Bypass(s)
	t.unwind(e, s)
	e.LeaveDirect(s)
	return nil
}
`

// overlay is a tree with a few files changed or added.
type overlay struct {
	t    *testing.T
	root string
	dir  string
	file map[string]string // by path in the tree, where its text is
}

func newOverlay(t *testing.T) *overlay {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return &overlay{t, root, t.TempDir(), map[string]string{}}
}

// put gives a file other text.
func (o *overlay) put(path, text string) {
	o.t.Helper()
	at := filepath.Join(o.dir, strings.ReplaceAll(path, "/", "_"))
	if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
		o.t.Fatal(err)
	}
	o.file[filepath.Join(o.root, path)] = at
}

// insert adds text to a file before the first end that follows from.
func (o *overlay) insert(path, from, end, text string) {
	o.t.Helper()
	at := filepath.Join(o.root, path)
	if changed, ok := o.file[at]; ok {
		at = changed
	}
	src, err := os.ReadFile(at)
	if err != nil {
		o.t.Fatal(err)
	}
	head, tail, ok := strings.Cut(string(src), from)
	body, rest, found := strings.Cut(tail, end)
	if !ok || !found {
		o.t.Fatalf("%s: no %q, or no %q after it", path, from, end)
	}
	o.put(path, head+from+body+text+end+rest)
}

// tool runs the go tool with the overlay.
func (o *overlay) tool(verb string, args ...string) (out string, ok bool) {
	o.t.Helper()
	table, err := json.Marshal(map[string]any{"Replace": o.file})
	if err != nil {
		o.t.Fatal(err)
	}
	at := filepath.Join(o.dir, "overlay.json")
	if err := os.WriteFile(at, table, 0o600); err != nil {
		o.t.Fatal(err)
	}
	cmd := exec.CommandContext(o.t.Context(), "go", append([]string{verb, "-overlay", at}, args...)...)
	cmd.Dir = o.root
	b, err := cmd.CombinedOutput()
	return string(b), err == nil
}

// toy lays a design and a kernel over the tree, as the recipes say.
func toy(t *testing.T) *overlay {
	t.Helper()
	o := newOverlay(t)
	o.put("jit/design/toy_burns.go", toyDesign)
	o.insert("jit/design/design.go", "const (\n\tNone", "\n\tdesignCount", "\n\tToyBurns\n")
	o.insert("jit/design/design.go", "var designs = ", "\n}\n", "\n\tToyBurns: toyBurns{},")
	o.insert("jit/target_proposal.go", "func proposals() ", "\n\t}\n}\n", "\n\t\tasRelease(kernels.Version{Major: 6, Minor: 12}, design.ToyBurns),")
	r := *kernels.Newest().Row
	row := fmt.Sprintf("\n\t{Version: %#v, Source: \"a test\", Named: []string{\"\"}, Build: %#v, Offsets: %#v, Context: %#v},",
		toyKernel(), r.Build, r.Offsets, r.Context)
	o.insert("jit/kernels/rows.go", "var Rows = ", "\n}\n", strings.ReplaceAll(row, "kernels.", ""))
	return o
}

// toyKernel is the release after the newest; its row is that of the newest.
func toyKernel() kernels.Version {
	v := kernels.Newest().Version
	v.Minor++
	return v
}

// TestToy builds tcsim with a toy kernel and a toy design, and uses them.
func TestToy(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds tcsim")
	}
	o := toy(t)
	exe := filepath.Join(o.dir, "tcsim")
	if out, ok := o.tool("build", "-o", exe, "./cmd/tcsim"); !ok {
		t.Fatal(out)
	}
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), exe, args...)
		cmd.Dir = o.root
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("tcsim %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	kernel, newest := toyKernel().String(), kernels.Newest().Name()
	// What scenarios say of designs holds for it, without its name in any: the cost of an empty slot is
	// an expectation of tailcall_3, and the reference interpreter burns budget, too.
	for _, scenario := range []string{"tailcall_3", "hierarchy", "empty_slot_budget", "empty_slot_indirect", "refused_keeps_state"} {
		for _, target := range []string{"toy-burns", kernel} {
			run("run", scenario, "--target", target)
		}
	}
	// Designs have a row of their own in the matrix; a kernel that is as another one has if it is asked for.
	for row, args := range map[string][]string{"toy-burns": nil, kernel: {"--target", kernel}} {
		table := run(append([]string{"matrix", "--scenario", "tailcall_2,tailcall_3,hierarchy_3,empty_slot_budget"}, args...)...)
		if !strings.Contains(table, "\n"+row+" ") || strings.Contains(table, "!") {
			t.Errorf("matrix: no row %s, or a cell that is not as expected:\n%s", row, table)
		}
	}
	run("fuzz", "--n", "150", "--seed", "3", "--target", "toy-burns,"+kernel)
	// Machine code alone cannot tell it from the design that it is made of: it goes by both names.
	if out := run("import", "fixtures/imports/6.18/hierarchy.json"); !strings.Contains(out, "hier-6.12 or toy-burns") {
		t.Errorf("import:\n%s", out)
	}
	if d := cmp.Diff(insnsOf(run("jit", "hierarchy", "--target", newest)), insnsOf(run("jit", "hierarchy", "--target", kernel))); d != "" {
		t.Errorf("a kernel that changes nothing emits other code (-newest +toy):\n%s", d)
	}
}

// insnsOf are the instructions of a listing.
func insnsOf(listing string) []string {
	var out []string
	for _, line := range strings.Split(listing, "\n") {
		if strings.HasPrefix(line, " ") {
			out = append(out, line)
		}
	}
	return out
}

// TestToyTables: the tests of whole tables take them as they are, the documentation shows them, and a design
// without its row or its traits does not get through.
func TestToyTables(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds packages")
	}
	o := toy(t)
	if out, ok := o.tool("test", "-short", "./jit", "./jit/kernels", "-run", "TestTraits|TestTargets|TestRelease|TestRows|TestFacts"); !ok {
		t.Errorf("tables:\n%s", out)
	}
	out, ok := o.tool("test", "-short", "./jit", "-run", "TestDesignsDoc")
	const row = "| toy-burns | 12 | qword at rbp-sd-8, pointer at rbp-sd-16 | count or pointer in rax | `cmp qword ptr [rax], 0x21`, `jae` | counts | 32 | from source"
	if ok || !strings.Contains(out, row) || !strings.Contains(out, "| `"+toyKernel().String()+"` | hier-6.12 |") {
		t.Errorf("docs/schemes.md: no row for them:\n%s", out)
	}
	o.insert("jit/design/design.go", "const (\n\tNone", "\n\tdesignCount", "\n\tForgotten\n")
	if out, ok := o.tool("test", "-short", "./jit", "-run", "TestTraits"); ok || !strings.Contains(out, "is not described") {
		t.Errorf("a design without a row passes:\n%s", out)
	}
	o = newOverlay(t)
	o.put("jit/design/toy_burns.go", strings.Replace(toyDesign, "EmptyCounts", "0", 1))
	o.insert("jit/design/design.go", "const (\n\tNone", "\n\tdesignCount", "\n\tToyBurns\n")
	o.insert("jit/design/design.go", "var designs = ", "\n}\n", "\n\tToyBurns: toyBurns{},")
	if out, ok := o.tool("test", "-short", "./jit", "-run", "TestTraits"); ok || !strings.Contains(out, "is not described") {
		t.Errorf("a design with a trait missing passes:\n%s", out)
	}
}
