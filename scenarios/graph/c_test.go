// SPDX-License-Identifier: GPL-2.0-only

package graph_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/graph"
)

// TestC has a compiler accept the C of random graphs, against the few declarations in
// testdata/include that stand for the kernel's headers.
func TestC(t *testing.T) {
	cc, err := exec.LookPath("gcc")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no gcc to check C with")
		}
		t.Skip("no gcc to check C with")
	}
	dir := t.TempDir()
	var files []string
	n := uint64(40)
	if testing.Short() {
		n = 10
	}
	for i := range n {
		g := graph.Random(graph.NewChoices(4, i))
		sc := g.Scenario("fuzz")
		for k := range sc.Runs {
			if sc.Runs[k].Run != nil {
				sc.Runs[k].Expect = &scenarios.Expect{Return: &scenarios.Int{V: 5}}
			}
		}
		for suffix, text := range map[string]string{"": g.C("What it is."), "_test": g.CTest(sc, "fuzz")} {
			if suffix != "" { // the skeleton is made from the programs by bpftool
				text = strings.Replace(text, "#include \"fuzz.skel.h\"\n", skeleton(g), 1)
			}
			file := filepath.Join(dir, sc.Name+string(rune('a'+i%26))+string(rune('a'+i/26))+suffix+".c")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
	}
	args := append([]string{"-fsyntax-only", "-Wall", "-Werror", "-Itestdata/include"}, files...)
	if out, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestCBPF has the compiler of BPF programs make code of the programs of random graphs.
func TestCBPF(t *testing.T) {
	clang := ""
	for _, name := range []string{"clang", "clang-21", "clang-20", "clang-19", "clang-18", "clang-17"} {
		if path, err := exec.LookPath(name); err == nil {
			clang = path
			break
		}
	}
	if clang == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("no clang to compile with: .ci/setup-vm installs it")
		}
		t.Skip("no clang to compile with")
	}
	dir := t.TempDir()
	n := 24
	if testing.Short() {
		n = 6
	}
	for i := range n {
		text := graph.Random(graph.NewChoices(5, uint64(i))).C("")
		cmd := exec.Command(clang, "-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Werror", "-Itestdata/include", "-x", "c", "-c", "-o", filepath.Join(dir, "o"), "-")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("graph %d: %v\n%s\n%s", i, err, out, text)
		}
	}
}

// skeleton declares what the skeleton of a graph's programs would.
func skeleton(g *graph.Graph) string {
	var b strings.Builder
	b.WriteString("struct fuzz { struct { struct bpf_map *jmp0, *jmp1; } maps; struct { struct bpf_program *p0, *p1, *p2, *p3; } progs;\n")
	b.WriteString("struct { __u32 sel0, sel1; } *data, *bss; };\nstruct fuzz *fuzz__open_and_load(void);\nvoid fuzz__destroy(struct fuzz *);\n")
	b.WriteString("void test_fuzz(void);\n")
	return b.String()
}
