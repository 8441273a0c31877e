// SPDX-License-Identifier: GPL-2.0-only

package scenarios_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios"
)

// codeScenario has one program with a subprogram; text is what stands under main's jited, more under
// that of sub.
func codeScenario(text, more string) string {
	indent := func(s string) string { return strings.ReplaceAll(s, "\n", "\n        ") }
	s := "version: 1\nname: x\nprograms:\n  main:\n    steps: [call: sub, return: 0]\n"
	if text != "" {
		s += "    jited:\n      6.12: |\n        " + indent(text) + "\n"
	}
	s += "    functions:\n      sub:\n        steps: [return: 0]\n"
	if more != "" {
		s += "        jited: " + more + "\n"
	}
	return s + "runs:\n  - {run: main, packet: 64}\n"
}

// lines reads "offset [label:] text".
func lines(text ...string) (out []image.ATTLine) {
	for _, x := range text {
		off, rest, _ := strings.Cut(x, " ")
		n, err := strconv.Atoi(off)
		if err != nil {
			panic(err)
		}
		l := image.ATTLine{Off: image.CodeOff(n), Text: rest}
		if label, text, ok := strings.Cut(rest, ": "); ok {
			l.Label, l.Text = label, text
		}
		out = append(out, l)
	}
	return out
}

// checkCode compares with code of two functions.
func checkCode(t *testing.T, file string, names ...string) []string {
	t.Helper()
	sc, err := scenarios.Load("x.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	b, err := scenarios.Build(sc)
	if err != nil {
		t.Fatal(err)
	}
	code := [][]image.ATTLine{
		lines("0 endbr64", "4 ja L0", "6 pushq %rax", "7 L0: pushq %rax", "8 callq 0xffffffffc0000100", "13 retq"),
		lines("0 endbr64", "4 movq -0x10(%rbp), %rax", "11 leave", "12 retq"),
	}
	found, err := b.CheckJited(func(_, fn int) ([]image.ATTLine, error) { return code[fn], nil }, names...)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range found {
		out = append(out, m.String())
	}
	return out
}

// TestJited has expectations that code meets or not. want is the begin of the mismatch.
func TestJited(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"all", "endbr64\nja L0\npushq %rax\nL0: pushq %rax\ncallq 0x{{.*}}\nretq", ""},
		{"blanks", "endbr64\nja\tL0\npushq   %rax", ""},
		{"anywhere", "pushq %rax\nL0: pushq %rax", ""},
		{"label left out", "pushq %rax\npushq %rax", ""},
		{"rest left out", "callq\nretq", ""},
		{"gap", "endbr64\n...\nretq", ""},
		{"gap of nothing", "endbr64\n...\nja L0", ""},
		{"function", "retq\n...\nmovq -0x10(%rbp), %rax\nleave", ""},
		{"function header", "retq\nfunc #1:\nendbr64", ""},
		{"last match is later", "endbr64\nmovq {{.*}}, %rax", ""},
		{"comments", "# begins so\nendbr64 # landing\nja L0 ; or not\n\n// or so\npushq %rax", ""},
		{"regexp", "endbr64\nja L{{[0-9]+}}\n{{(push|pop)}}q %r{{(ax|bx)}}", ""},
		{"other line", "endbr64\nja L1", `x.yaml:9:9: expected machine code "ja L1", found "ja L0" at main+0x4`},
		{"gap does not help", "leave\n...\nja L0", `x.yaml:10:9: expected machine code "ja L0", found no such line from "retq" at sub+0xc on`},
		{"over functions", "callq 0x{{.*}}\nretq\nendbr64", `x.yaml:10:9: expected machine code "endbr64", found "func #1:" at sub`},
		{"no literal regexp", "endbr64\n.*", `x.yaml:9:9: expected machine code ".*", found "ja L0"`},
		{"wrong label", "L1: pushq %rax", `x.yaml:8:9: expected machine code "L1: pushq %rax", found no such line from "func #0:" at main on`},
		{"after the end", "leave\nretq\nnop", `x.yaml:10:9: expected machine code "nop", found "the end of the code"`},
		{"in the middle", "0xffffffffc0000100", `x.yaml:8:9: expected machine code "0xffffffffc0000100", found no such line`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := checkCode(t, codeScenario(c.text, ""), "6.12")
			switch {
			case c.want == "" && len(got) == 0:
			case len(got) != 1 || c.want == "" || !strings.HasPrefix(got[0], c.want):
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// TestJitedPicture shows both texts side by side, with a mark where they part.
func TestJitedPicture(t *testing.T) {
	got := checkCode(t, codeScenario("endbr64\nja L0\npushq %rbx\nL0: pushq %rax", ""), "6.12")
	want := []string{`x.yaml:10:9: expected machine code "pushq %rbx", found "pushq %rax" at main+0x6
    expected                                 found
    endbr64                                  main+0x0       endbr64
    ja L0                                    main+0x4       ja L0
  > pushq %rbx                               main+0x6       pushq %rax
    L0: pushq %rax                           main+0x7       L0: pushq %rax
                                             main+0x8       callq 0xffffffffc0000100
                                             main+0xd       retq`}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestJitedTargets takes the last entry that names the target, and none if none does.
func TestJitedTargets(t *testing.T) {
	file := codeScenario("", "{6.12: leave, \"6.1, 5.10\": nop, 6.12-stuff: nop}")
	for _, c := range []struct {
		names string
		bad   int
	}{{"6.12", 0}, {"7.2", 0}, {"5.10", 1}, {"6.1", 1}, {"6.12 6.12-stuff", 1}} {
		if got := checkCode(t, file, strings.Fields(c.names)...); len(got) != c.bad {
			t.Errorf("%s: %q, want %d", c.names, got, c.bad)
		}
	}
}

// TestJitedMistakes reports every mistake of a file with its place.
func TestJitedMistakes(t *testing.T) {
	for _, c := range []struct{ text, more, want string }{
		{"endbr64\nmovq {{(, %rax", "", "x.yaml:9:9: expected }} after {{(, %rax"},
		{"movq {{(}}, %rax\n\n  ja {{[}}", "", "x.yaml:8:9: {{(}} is not a regular expression;x.yaml:10:11: {{[}} is not a regular expression"},
		{"...", "", "x.yaml:8:1: expected lines of machine code, found none"},
		{"# nothing", "", "x.yaml:8:1: expected lines of machine code"},
		{"", "{\"6.12,\": nop}", "x.yaml:9:17: expected names of targets separated by commas"},
		{"", "[nop]", "x.yaml:9:16: expected a mapping, found a list"},
		{"", "{6.12: [nop]}", "x.yaml:9:23: expected machine code, found a list"},
	} {
		_, err := scenarios.Load("x.yaml", []byte(codeScenario(c.text, c.more)))
		var all scenarios.Errors
		if !errors.As(err, &all) {
			t.Errorf("%q: %v", c.text+c.more, err)
			continue
		}
		wants := strings.Split(c.want, ";")
		if len(all) != len(wants) {
			t.Errorf("%q: %v, want %d mistakes", c.text+c.more, err, len(wants))
			continue
		}
		for i, want := range wants {
			if got := fmt.Sprint(all[i]); !strings.HasPrefix(got, want) {
				t.Errorf("%q: %s, want %s", c.text+c.more, got, want)
			}
		}
	}
}
