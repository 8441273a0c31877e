// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package lockstep_test

import (
	"context"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures/golden"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios/lockstep"
)

var profile = flag.String("profile", "", "profile of package jit/emit that TestAgree wrote, to report what programs reach (make emission)")

// notReached says why programs do not reach something of package jit/emit, by file and function; a function alone means
// all of it.
var notReached = map[string]string{
	"castUser": "the reference interpreter does not know what user space sees of an arena", "movReg": "its call of castUser",
	"poke.go": "pokes are changes of prog arrays, which graphs make", "variant.go": "edits of emission are for tests",
	"tramp.go": "trampolines are compared with those of kernels", "tramp_code.go": "likewise", "tramp_regs.go": "likewise",
	"replace.go": "replaced functions are changes that scenarios make", "loadImm64": "stands in the table of opcodes and is never called",
	"pad": "an image whose jumps still shrink after 15 passes", "nops": "nops of more than 8 bytes before such jumps",
	"config.go": "names symbols for captures",
	"random":    "numbers that a kernel has drawn are those of captures", "cfi": "images of captures without their preamble",
	"hasCallThunk": "the machine's kernel has no thunks for calls of helpers", "call": "designs whose callee returns the count",
	"newFunc": "edits of emission are for tests", "NewBareFrame": "only fp40's frames, which recognition builds",
	"check": "a jump to itself, which no program has that ends", "makeOpTable": "lfence against speculation: programs are loaded by root",
	"jump": "a jump to itself; edits of emission", "loadPrivateFP": "kernels that load a per-CPU address without rip",
	"CallRoutine": "a routine that the machine does not have", "LoadOwnCounter": "likewise",
	"arenaLoadAcquire": "bytes, which few programs load so", "WithENDBR": "a landing without endbr64: all targets that ask are built with IBT",
}

// notEncoded says the same of forms of the encoder.
var notEncoded = map[string]string{
	"CMOVE r64, r/m64": "castUser", "ROL r/m64, imm8u": "castUser", "CALL r/m64": "trampolines",
}

// TestEmission reports which blocks of package jit/emit and which forms of the encoder programs reach. Blocks whose last
// statement returns an error are for programs that no verifier lets through, and are not counted.
func TestEmission(t *testing.T) {
	if *profile == "" {
		t.Skip("no profile: make emission makes one and reports")
	}
	text, err := os.ReadFile(*profile)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("# What random programs reach of emission\n\n`make emission` writes this page: `TestAgree` plays programs on every listed target.\n\n" +
		"## Functions of jit/emit\n\nBlocks that end in an error are for programs that no verifier lets through and are not counted.\n\n" +
		"| function | blocks | reached | the rest |\n|---|---|---|---|\n")
	for _, f := range functionsReached(t, string(text)) {
		reason := ""
		if f.reached < f.blocks {
			if reason = cmpReason(f); reason == "" {
				t.Errorf("%s: %s: %d of %d blocks are not reached, at lines %v, and nothing says why", f.file, f.name, f.blocks-f.reached, f.blocks, f.missing)
			}
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %s |\n", f.name, f.blocks, f.reached, reason)
	}
	forms := formsReached(t)
	fmt.Fprintf(&b, "\n## Forms of the encoder\n\n%d of %d forms are in code of programs. The others:\n\n", len(forms), int(x86.NumForms))
	for f := x86.FormID(0); f < x86.NumForms; f++ {
		if !forms[f] {
			if notEncoded[f.Syntax()] == "" {
				t.Errorf("no program has %s, and nothing says why", f.Syntax())
			}
			fmt.Fprintf(&b, "* %s: %s\n", f.Syntax(), notEncoded[f.Syntax()])
		}
	}
	golden.Check(t, "../../docs/emission.md", b.String())
}

func cmpReason(f reached) string {
	for _, k := range []string{f.name, f.file} {
		if r := notReached[k]; r != "" {
			return r
		}
	}
	return ""
}

// reached counts the blocks of a function.
type reached struct {
	file, name      string
	blocks, reached int
	missing         []int // lines
}

var profileLine = regexp.MustCompile(`jit/emit/([a-z_]+\.go):(\d+)\.\d+,(\d+)\.\d+ \d+ (\d+)`)

// functionsReached reads a profile of go test.
func functionsReached(t *testing.T, text string) []reached {
	t.Helper()
	const folder = "../../jit/emit"
	set := token.NewFileSet()
	hit := map[[3]string]bool{} // file, first and last line
	for _, m := range profileLine.FindAllStringSubmatch(text, -1) {
		k := [3]string{m[1], m[2], m[3]}
		hit[k] = hit[k] || m[4] != "0"
	}
	byFile := map[string]*ast.File{}
	sources := map[string][]string{}
	out := map[string]*reached{}
	for k, yes := range hit {
		if byFile[k[0]] == nil {
			f, err := parser.ParseFile(set, filepath.Join(folder, k[0]), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			src, err := os.ReadFile(filepath.Join(folder, k[0]))
			if err != nil {
				t.Fatal(err)
			}
			byFile[k[0]], sources[k[0]] = f, strings.Split(string(src), "\n")
		}
		from, _ := strconv.Atoi(k[1])
		to, _ := strconv.Atoi(k[2])
		if !yes && fails(sources[k[0]], from, to) {
			continue
		}
		name := functionAt(set, byFile[k[0]], from)
		f := out[k[0]+" "+name]
		if f == nil {
			f = &reached{file: k[0], name: name}
			out[k[0]+" "+name] = f
		}
		f.blocks++
		if yes {
			f.reached++
		} else {
			f.missing = append(f.missing, from)
		}
	}
	var list []reached
	whole := map[string]*reached{} // files that have a reason as a whole
	for _, k := range slices.Sorted(maps.Keys(out)) {
		f := out[k]
		slices.Sort(f.missing)
		if notReached[f.file] == "" || notReached[f.name] != "" {
			list = append(list, *f)
			continue
		}
		w := whole[f.file]
		if w == nil {
			w = &reached{file: f.file, name: f.file}
			whole[f.file] = w
		}
		w.blocks += f.blocks
		w.reached += f.reached
	}
	for _, k := range slices.Sorted(maps.Keys(whole)) {
		list = append(list, *whole[k])
	}
	return list
}

var failing = regexp.MustCompile(`return .*(err\b|Errorf|errors\.|fail\()|panic\(`)

// fails reports whether a block gives up.
func fails(lines []string, from, to int) bool {
	return slices.ContainsFunc(lines[from-1:min(to, len(lines))], failing.MatchString)
}

// functionAt names the function that a line is in.
func functionAt(set *token.FileSet, f *ast.File, line int) string {
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && set.Position(fn.Pos()).Line <= line && line <= set.Position(fn.End()).Line {
			return fn.Name.Name
		}
	}
	return ""
}

// formsReached plays programs and collects the forms of the encoder in their code.
func formsReached(t *testing.T) map[x86.FormID]bool {
	t.Helper()
	out := map[x86.FormID]bool{}
	for _, name := range append(jit.TargetNames(), blindedTargets...) {
		tg := target(t, name)
		p := lockstep.New()
		p.Edit(nil, func(img *image.Image) {
			for i := range img.Funcs {
				noteForms(out, img.Funcs[i].Code)
			}
		})
		if _, err := p.Play(context.Background(), programs(tg, 1, 0, *perTarget), tg); err != nil {
			t.Fatal(err)
		}
		p.Close()
	}
	return out
}

// noteForms notes the forms of all instructions.
func noteForms(out map[x86.FormID]bool, code []byte) {
	for len(code) > 0 {
		in, err := x86.Decode(code, 0)
		if err != nil {
			return
		}
		for f := x86.FormID(0); f < x86.NumForms; f++ {
			if !out[f] && isForm(f, code[:in.Len]) {
				out[f] = true
			}
		}
		code = code[in.Len:]
	}
}

// isVEX reports whether code is of a form with a VEX prefix.
func isVEX(words []string, code []byte) bool {
	if len(code) < 4 || code[0] != 0xc4 {
		return false
	}
	pp := map[byte]string{1: ".66.", 2: ".F3.", 3: ".F2."}[code[2]&3]
	op, err := strconv.ParseUint(words[1], 16, 8)
	return err == nil && strings.Contains(words[0], pp) && strings.HasSuffix(words[0], "W1") == (code[2]&0x80 != 0) && code[3] == byte(op)
}

// isForm reports whether code is of a form, by the manual's text of the encoding.
func isForm(f x86.FormID, code []byte) bool {
	at, op66, rex := 0, false, byte(0)
	for at < len(code) && (code[at] == 0x66 || code[at] == 0xf0 || code[at] == 0x65 || code[at]&0xf0 == 0x40) {
		op66 = op66 || code[at] == 0x66
		if code[at]&0xf0 == 0x40 {
			rex = code[at]
		}
		at++
	}
	words := strings.Fields(f.Encoding())
	wide := slices.Contains(words, "REX.W")
	first := strings.Split(f.Syntax(), " ")
	word16 := len(first) > 1 && strings.Contains(strings.Split(first[1], ",")[0], "16")
	if strings.HasPrefix(words[0], "VEX") {
		return isVEX(words, code)
	}
	if wide != (rex&8 != 0) || op66 != word16 {
		return false
	}
	for _, w := range words {
		hex, plus, _ := strings.Cut(w, "+r")
		v, err := strconv.ParseUint(hex, 16, 8)
		switch {
		case len(w) == 2 && w[0] == '/' && w[1] != 'r':
			return at < len(code) && code[at]>>3&7 == w[1]-'0'
		case len(hex) != 2 || err != nil || slices.Contains([]string{"ib", "id", "iw", "io", "cb", "cd"}, w):
			continue
		case at >= len(code):
			return false
		case plus != "" && code[at]&0xf8 != byte(v), plus == "" && code[at] != byte(v):
			return false
		}
		at++
	}
	return true
}
