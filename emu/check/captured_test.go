// SPDX-License-Identifier: GPL-2.0-only

package check_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/fixtures/golden"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/recognise"
)

// captured are scenarios of real kernels whose sites are recorded in testdata, as the machine
// reports them for the bytes that the kernel emitted.
var captured = []struct {
	file, scenario string
	name           string // of the files in testdata
	taken          uint64
	violation      string // "" for none
}{
	{"6.12-off", "hier/via/const/n2", "6.12-hier-via", 33, ""},
	{"7.2-default", "hier/self/var/n2/allregs", "7.2-hier-self", 33, ""},
	{"6.1-off", "hier/self/const/n2/r6", "6.1-hier-self", 34, "limit: the 34th tail call was taken; the limit is 33"},
}

// scenarioOf loads a scenario with the images that the kernel had when the slots were filled.
func scenarioOf(t testing.TB, file, name string) (*capture.Source, *capture.Scenario, []*image.Image) {
	t.Helper()
	src, err := capture.OpenFS(fixtures.FS, "kernels/"+file+".jsonl.gz", file)
	if err != nil {
		t.Fatal(err)
	}
	for sc, err := range src.All() {
		if err != nil {
			t.Fatal(err)
		}
		if sc.Name != name {
			continue
		}
		var imgs []*image.Image
		for i := range sc.Progs {
			p := &sc.Progs[i]
			var fns []image.FuncImage
			for k := range p.Funcs {
				f := &p.Funcs[k]
				fns = append(fns, image.FuncImage{Name: f.Name, Addr: f.Addr, Code: f.Code(capture.Populated)})
			}
			img, err := recognise.RecogniseImage(fns)
			if err != nil {
				t.Fatal(err)
			}
			img.Program = &bpf.Program{Name: p.Name}
			imgs = append(imgs, img)
		}
		return src, sc, imgs
	}
	t.Fatalf("%s has no scenario %s", file, name)
	return nil, nil, nil
}

func capturedCode(t testing.TB, imgs []*image.Image) *trace.Code {
	t.Helper()
	c, err := trace.NewCode(imgs, trace.Options{Marks: full, Limit: 33})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The recorded sites of real kernels' code give the events that they should, and the verdict.
func TestCaptured(t *testing.T) {
	for _, tt := range captured {
		t.Run(tt.name, func(t *testing.T) {
			_, _, imgs := scenarioOf(t, tt.file, tt.scenario)
			code := capturedCode(t, imgs)
			b, err := os.ReadFile(filepath.Join("testdata", tt.name+".sites.json"))
			if err != nil {
				t.Fatal(err)
			}
			var sites []record.Site
			if err := json.Unmarshal(b, &sites); err != nil {
				t.Fatal(err)
			}
			ck := check.New(code, trace.Config{}, check.Config{})
			ck.Consume(trace.Batch{Sites: sites})
			ck.Finish()
			verdict(t, ck, tt.taken, tt.violation)

			text := trace.Text(code, ck.Recorder().Events())
			path := filepath.Join("testdata", tt.name+".txt")
			golden.Check(t, path, text)
		})
	}
}

func verdict(t *testing.T, ck *check.Checker, taken uint64, violation string) {
	t.Helper()
	if n := ck.Recorder().Counts().Taken; n != taken {
		t.Errorf("%d tail calls taken, want %d", n, taken)
	}
	got := ""
	if v := ck.Violation(); v != nil {
		got = v.String()
	}
	if !strings.HasPrefix(got, violation) || violation == "" && got != "" {
		t.Errorf("got %q, want %q", got, violation)
	}
	if violation == "" && len(ck.Recorder().Stack()) != 0 {
		t.Errorf("%d frames left", len(ck.Recorder().Stack()))
	}
}
