// SPDX-License-Identifier: GPL-2.0-only

package differ_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/differ"
	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/fixtures/golden"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/x86"
)

var (
	executions = flag.Uint64("executions", 0, "how many executions; 0 is 1,000,000, or 100,000 with -short")
	seed       = flag.Uint64("seed", 1, "of the choice of registers and values")
)

// child is set in the process that executes, as what the code does is done to it: to a file that has the
// code that it executed last.
const child = "TCSIM_DIFFER_CHILD"

// TestHardware compares the engine with the processor over every form that our encoder, the captures and
// the compilers of other tools have.
func TestHardware(t *testing.T) {
	if os.Getenv(child) != "" {
		hardware(t)
		return
	}
	cmd := exec.Command(os.Args[0], append(os.Args[1:], "-test.run=^TestHardware$", "-test.v")...)
	last := filepath.Join(t.TempDir(), "code")
	cmd.Env = append(os.Environ(), child+"="+last)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && !exit.Exited():
		code, err := os.ReadFile(last)
		t.Fatalf("the process died (%v), of: %s %v", exit, code, err)
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP")):
		t.Skip(string(out))
	}
	t.Logf("%s\n%s", time.Since(began).Round(time.Millisecond), out)
}

func hardware(t *testing.T) {
	n := *executions
	switch {
	case n > 0:
	case testing.Short():
		n = 100_000
	default:
		n = 1_000_000
	}
	file, err := os.Create(os.Getenv(child))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	all := forms(t)
	r, err := differ.Compare(all, *seed, n, lastLine{file})
	if errors.Is(err, emu.ErrNative) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range r.Differences {
		t.Error(d)
	}
	t.Logf("%d executions of %d variants of %d forms", r.Executions, r.Variants, len(all))
	for what, n := range r.Refused {
		t.Logf("refused: %s (%d variants)", what, n)
	}
	for _, what := range r.Lacking {
		t.Logf("skipped: this processor has no %s", what)
	}
	if r.Executions < n {
		t.Errorf("%d executions, want %d", r.Executions, n)
	}
}

// lastLine keeps what was written last at the start of a file.
type lastLine struct{ f *os.File }

func (l lastLine) Write(b []byte) (int, error) { return l.f.WriteAt(b, 0) }

// forms are all samples.
func forms(t testing.TB) []differ.Form {
	t.Helper()
	all := encoderForms(t)
	for _, name := range []string{"testdata/foreign.txt", "testdata/captures.txt"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, untried, err := differ.ReadForms(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Logf("%s: %d samples; not compared: %v", name, len(f), untried)
		all = append(all, f...)
	}
	return differ.Unique(all)
}

// encoderForms are the forms of the encoder, with a register and with memory.
func encoderForms(t testing.TB) []differ.Form {
	t.Helper()
	var out []differ.Form
	for id := range x86.NumForms {
		samples := sample(id)
		for _, code := range samples {
			f, err := differ.Parse(code)
			if err != nil {
				t.Fatalf("%s: % x: %v", id.Syntax(), code, err)
			}
			out = append(out, f)
		}
	}
	return out
}

// sample writes a form from the manual's text of it.
func sample(id x86.FormID) (out [][]byte) {
	var code []byte
	var modRM byte
	imm, hasModRM := 0, false
	first, _, _ := strings.Cut(id.Syntax(), ",")
	if strings.Contains(first, "r/m16") {
		code = append(code, 0x66)
	}
	for _, tok := range strings.Fields(id.Encoding()) {
		switch {
		case tok == "+":
		case tok == "REX.W":
			code = append(code, 0x48)
		case strings.HasPrefix(tok, "VEX."):
			pp := byte(strings.Index("..66F3F2", tok[strings.Index(tok, "LZ.")+3:][:2]) / 2)
			w := byte(0)
			if strings.HasSuffix(tok, "W1") {
				w = 0x80
			}
			code = append(code, 0xc4, 0xe2, w|0x68|pp)
		case tok == "/r":
			modRM, hasModRM = 0x0a, true
		case tok[0] == '/':
			modRM, hasModRM = (tok[1]-'0')<<3|2, true
		case tok == "ib" || tok == "cb":
			imm = 1
		case tok == "iw":
			imm = 2
		case tok == "id" || tok == "cd":
			imm = 4
		case tok == "io":
			imm = 8
		default:
			var b byte
			fmt.Sscanf(tok[:2], "%X", &b)
			code = append(code, b)
		}
	}
	if !hasModRM {
		return [][]byte{append(code, make([]byte, imm)...)}
	}
	if !strings.Contains(id.Syntax(), " m") {
		out = append(out, append(append(bytes.Clone(code), modRM|0xc0), make([]byte, imm)...))
	}
	return append(out, append(append(bytes.Clone(code), modRM), make([]byte, imm)...))
}

// captureFiles are read by TestCaptureForms.
func captureFiles(t *testing.T) []string {
	if testing.Short() {
		return []string{"kernels/6.12-off.jsonl.gz", "kernels/extra-7.2-default.jsonl.gz"}
	}
	entries, err := fixtures.FS.ReadDir("kernels")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".jsonl.gz") {
			out = append(out, "kernels/"+e.Name())
		}
	}
	return out
}

// TestCaptureForms has each form of the captures in the list, or a reason why it is not compared.
func TestCaptureForms(t *testing.T) {
	known := map[string]bool{}
	for _, f := range forms(t) {
		known[f.Key()] = true
	}
	untried, missing := map[string]int{}, map[string]string{}
	for _, name := range captureFiles(t) {
		src, err := capture.OpenFS(fixtures.FS, name, name)
		if err != nil {
			t.Fatal(err)
		}
		for sc, err := range src.All() {
			if err != nil {
				t.Fatal(err)
			}
			for i := range sc.Progs {
				for j := range sc.Progs[i].Funcs {
					code := sc.Progs[i].Funcs[j].Code(capture.Populated)
					for len(code) > 0 {
						in, err := x86.Decode(code, 0)
						if err != nil {
							t.Fatalf("%s: %s: %v", name, sc.Name, err)
						}
						f, err := differ.Parse(code[:in.Len])
						if err != nil {
							t.Fatalf("%s: % x: %v", in.String(), code[:in.Len], err)
						}
						if why := differ.Untried(&in); why != "" {
							untried[why+": "+in.Op]++
						} else if k := f.Key(); !known[k] {
							known[k] = true
							missing[k] = fmt.Sprintf("% x # %s", code[:in.Len], in.String())
						}
						code = code[in.Len:]
					}
				}
			}
		}
	}
	t.Logf("not compared: %v", untried)
	if golden.Update() {
		b, err := os.ReadFile("testdata/captures.txt")
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range missing {
			b = append(b, line+"\n"...)
		}
		if err := os.WriteFile("testdata/captures.txt", b, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for k, line := range missing {
		t.Errorf("form %s is not compared: %s", k, line)
	}
}
