// SPDX-License-Identifier: GPL-2.0-only

package jit_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/tcsim/tcsim/fixtures/golden"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/verify/rewrite"
	"github.com/tcsim/tcsim/scenarios"
)

// TestCode compiles the BPF programs in testdata/code. Each file there is a comment and an archive of
//
//	maps    the maps of a scenario file (may be absent)
//	bpf     the program as assembly, in the syntax of scenario files
//	TARGET  for each target, in that order: the verdict and the listing of every function
//
// -update rewrites what comes out. To add a case, write the parts above with an empty file for each target.
func TestCode(t *testing.T) {
	files, err := filepath.Glob("testdata/code/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			src, err := os.ReadFile(file)
			must(t, err)
			a := txtar.Parse(src)
			var maps, text string
			for i := range a.Files {
				f := &a.Files[i]
				switch f.Name {
				case "maps":
					maps = string(f.Data)
				case "bpf":
					text = string(f.Data)
				default:
					f.Data = []byte(codeText(t, f.Name, submittedCode(t, file, maps, text)))
				}
			}
			golden.Check(t, file, string(txtar.Format(a)))
		})
	}
}

// submittedCode is the program of a case as it is submitted.
func submittedCode(t *testing.T, file, maps, text string) *bpf.Program {
	t.Helper()
	yaml := "version: 1\nname: code\nprograms:\n  entry: |\n    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") +
		"\nruns:\n  - run: entry\n"
	if maps != "" {
		yaml += "maps:\n  " + strings.ReplaceAll(strings.TrimSpace(maps), "\n", "\n  ") + "\n"
	}
	sc, err := scenarios.Load(file, []byte(yaml))
	must(t, err)
	b, err := scenarios.Build(sc)
	must(t, err)
	return &b.Programs[0]
}

// codeText is what a target's kernel makes of a program: its verdict, and the code if it accepts it.
func codeText(t *testing.T, target string, p *bpf.Program) string {
	t.Helper()
	tgt, err := jit.TargetByName(target)
	must(t, err)
	img, err := compileSubmitted(p, tgt)
	if err != nil {
		return fmt.Sprintf("refused: %v\n", err)
	}
	size := 0
	for i := range img.Funcs {
		size += len(img.Funcs[i].Code)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "accepted: %d bytes\n", size)
	for i := range img.Funcs {
		b.WriteString("\n")
		must(t, image.WriteListing(&b, &img.Funcs[i], img.Program))
	}
	return b.String()
}

func compileSubmitted(p *bpf.Program, tgt *jit.Target) (*image.Image, error) {
	p, err := rewrite.Program(p, &tgt.Kernel)
	if err != nil {
		return nil, err
	}
	v, err := verify.Analyse(p, &tgt.Kernel)
	if err != nil {
		return nil, err
	}
	return jit.Compile(v, tgt, flatEnv{})
}
