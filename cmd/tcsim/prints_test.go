// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPrints: nothing prints past the writers that quote what a terminal must not get. Only the main function, which
// wraps them, names the process's own output; the program of virtual machines has no terminal.
func TestPrints(t *testing.T) {
	atTop(t)
	raw := map[string][]string{"fmt": {"Print", "Printf", "Println"}, "os": {"Stdout", "Stderr"}, "log": {"Print", "Printf", "Println", "Fatal", "Fatalf"}}
	allowed := []string{
		"cmd/tcsim/main.go", "cmd/tcsim/guest/main_linux.go", "jit/capture/inside/inside_linux.go", "emu/timing/genforms/main.go", ".ci/mutate/main.go",
		".ci/scale/main.go",
	}
	files := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || slices.Contains(allowed, filepath.ToSlash(path)) {
			return err
		}
		files++
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch x := n.(type) {
			case *ast.SelectorExpr:
				if pkg, ok := x.X.(*ast.Ident); ok && slices.Contains(raw[pkg.Name], x.Sel.Name) {
					t.Errorf("%v: %s.%s: print to the writers of env, which quote what a terminal must not get", set.Position(x.Pos()), pkg.Name, x.Sel.Name)
				}
			case *ast.CallExpr:
				if name, ok := x.Fun.(*ast.Ident); ok && (name.Name == "println" || name.Name == "print") {
					t.Errorf("%v: %s: print to the writers of env", set.Position(x.Pos()), name.Name)
				}
			}
			return true
		})
		return nil
	})
	if err != nil || files < 300 {
		t.Errorf("%d files, %v", files, err)
	}
}
