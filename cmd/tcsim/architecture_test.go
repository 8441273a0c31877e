// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures/golden"
)

const module = "github.com/tcsim/tcsim/"

// packages returns the packages of the module, without its name, and which of them each imports.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		p := strings.TrimPrefix(words[0], module)
		all[p] = nil
		for _, q := range words[1:] {
			if q, ours := strings.CutPrefix(q, module); ours {
				all[p] = append(all[p], q)
			}
		}
	}
	return all
}

// closure returns all that a package has through its imports.
func closure(all map[string][]string, p string) map[string]bool {
	has := map[string]bool{}
	var visit func(string)
	visit = func(p string) {
		for _, q := range all[p] {
			if !has[q] {
				has[q] = true
				visit(q)
			}
		}
	}
	visit(p)
	return has
}

// layers prints packages in the order in which they build on each other, with what each imports, less what it
// has through another of its imports. A package is in the layer above the highest that it imports.
func layers(all map[string][]string) string {
	depth := map[string]int{}
	var of func(string) int
	of = func(p string) int {
		if n, ok := depth[p]; ok {
			return n
		}
		n := 0
		for _, q := range all[p] {
			n = max(n, of(q)+1)
		}
		depth[p] = n
		return n
	}
	names := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		if of(a) != of(b) {
			return of(a) - of(b)
		}
		return strings.Compare(a, b)
	})
	var b strings.Builder
	for i, p := range names {
		if i > 0 && of(p) != of(names[i-1]) {
			b.WriteString("\n")
		}
		var direct []string
		for _, q := range all[p] {
			if !slices.ContainsFunc(all[p], func(r string) bool { return closure(all, r)[q] }) {
				direct = append(direct, q)
			}
		}
		line := strings.TrimRight(fmt.Sprintf("%-28s%s", p, strings.Join(direct, " ")), " ")
		for len(line) > 100 {
			at := strings.LastIndex(line[:101], " ")
			b.WriteString(line[:at] + "\n")
			line = strings.Repeat(" ", 28) + line[at+1:]
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// TestArchitecture compares docs/architecture.md with the tree: the table of packages has each once and no
// other, the layers are those of the imports (-update writes them), and files and identifiers that the text
// names exist.
func TestArchitecture(t *testing.T) {
	t.Chdir("../..")
	const file = "docs/architecture.md"
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text, all := string(src), packages(t)
	_, table, _ := strings.Cut(text, "\n| package | owns |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var listed []string
	for row := range strings.Lines(table) {
		listed = append(listed, strings.Split(row, "`")[1])
	}
	slices.Sort(listed)
	if want := slices.Sorted(maps.Keys(all)); !slices.Equal(listed, want) {
		t.Errorf("the table has the packages\n%q\nthe tree\n%q", listed, want)
	}
	const begin, end = "<!-- layers -->\n```\n", "```\n"
	before, rest, ok := strings.Cut(text, begin)
	block, after, ended := strings.Cut(rest, end)
	if !ok || !ended {
		t.Fatalf("no block after %q", begin)
	}
	if want := layers(all); want != block {
		if golden.Update() {
			if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o644); err != nil {
				t.Fatal(err)
			}
		} else {
			t.Errorf("the layers are (-update writes them)\n%s", want)
		}
	}
	namedExist(t, text, all)
}

// TestDocsName has the same of the other documents.
func TestDocsName(t *testing.T) {
	t.Chdir("../..")
	files, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	all := packages(t)
	for _, f := range append(files, "README.md") {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(f, func(t *testing.T) { namedExist(t, string(text), all) })
	}
}

// namedExist expects files with a folder, and identifiers of our packages, that a text names in code.
func namedExist(t *testing.T, text string, all map[string][]string) {
	t.Helper()
	for _, m := range regexp.MustCompile("`((?:cmd|docs|emu|fixtures|jit|scenarios)/[a-zA-Z0-9_./-]+\\.[a-z]+)`").FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(m[1]); err != nil {
			t.Error(err)
		}
	}
	folders := map[string][]string{} // by name of the package
	for p := range all {
		folders[path.Base(p)] = append(folders[path.Base(p)], p)
	}
	for _, m := range regexp.MustCompile(`\b([a-z][a-z0-9]+)\.([A-Z]\w+)`).FindAllStringSubmatch(text, -1) {
		if of := folders[m[1]]; of != nil && !slices.ContainsFunc(of, func(p string) bool { return declares(t, p, m[2]) }) {
			t.Errorf("there is no %s", m[0])
		}
	}
}

// declares reports whether a package has something exported of a name.
func declares(t *testing.T, folder, name string) bool {
	t.Helper()
	entries, err := fs.Glob(os.DirFS(folder), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		f, err := parser.ParseFile(token.NewFileSet(), path.Join(folder, e), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == name {
					return true
				}
			case *ast.GenDecl:
				if slices.ContainsFunc(d.Specs, func(s ast.Spec) bool { return specNames(s, name) }) {
					return true
				}
			}
		}
	}
	return false
}

// specNames reports whether a declaration is of a name.
func specNames(s ast.Spec, name string) bool {
	switch s := s.(type) {
	case *ast.TypeSpec:
		return s.Name.Name == name
	case *ast.ValueSpec:
		return slices.ContainsFunc(s.Names, func(i *ast.Ident) bool { return i.Name == name })
	}
	return false
}

// TestCorpora: what fuzzing found is tried again by the target that it is kept for.
func TestCorpora(t *testing.T) {
	atTop(t)
	folders, err := filepath.Glob("*/testdata/fuzz/*")
	for _, deeper := range []string{"*/*", "*/*/*"} {
		more, wrong := filepath.Glob(deeper + "/testdata/fuzz/*")
		folders, err = append(folders, more...), errors.Join(err, wrong)
	}
	if err != nil || len(folders) < 8 {
		t.Fatalf("%d corpora: %v", len(folders), err)
	}
	for _, folder := range folders {
		pkg := filepath.Dir(filepath.Dir(filepath.Dir(folder)))
		tests, err := filepath.Glob(filepath.Join(pkg, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, name := range tests {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(text), "\nfunc "+filepath.Base(folder)+"(f *testing.F)")
		}
		if !found {
			t.Errorf("%s: %s has no such fuzz target", folder, pkg)
		}
	}
}
