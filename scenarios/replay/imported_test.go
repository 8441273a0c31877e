// SPDX-License-Identifier: GPL-2.0-only

package replay_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/fixtures/flood"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/imports"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/replay"
	"github.com/tcsim/tcsim/scenarios/runner"
)

const importFolder = "../../fixtures/imports/"

// importFiles reads recorded samples, with symbols if a file of them is given.
func importFiles(t *testing.T, kallsyms string, lens []int, files ...string) ([]imports.Prog, *imports.Symbols) {
	t.Helper()
	s := imports.NewSymbols()
	if kallsyms != "" {
		var err error
		if s, err = imports.ReadSymbols(readImport(t, kallsyms)); err != nil {
			t.Fatal(err)
		}
	}
	var out []imports.Prog
	for _, f := range files {
		d, err := imports.Read(imports.Auto, readImport(t, f), imports.Options{Symbols: s, Lens: lens})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, d.Progs...)
	}
	return out, s
}

func readImport(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(importFolder + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// importCase is a run of recorded code; the numbers are those of replaying what tcsim capture read of
// the same programs.
type importCase struct {
	files    []string
	kallsyms string
	lens     []int
	opt      replay.ImportOptions
	taken    uint64
	refused  uint64
	returned uint32
	design   string
	broken   check.Invariant
	notes    int
}

func slots(s ...replay.ImportSlot) []replay.ImportSlot { return s }

var importCases = map[string]importCase{
	"llvm":         {files: []string{"6.18/hierarchy.json"}, taken: 33, refused: 35, returned: 1, design: "hier-6.12", notes: 2},
	"libbfd":       {files: []string{"6.18/hierarchy-libbfd.json"}, taken: 33, refused: 35, returned: 1, design: "hier-6.12", notes: 2},
	"text":         {files: []string{"6.18/hierarchy.txt"}, taken: 33, refused: 35, returned: 1, design: "hier-6.12", notes: 2},
	"raw":          {files: []string{"6.18/hierarchy.bin"}, lens: []int{85, 59}, taken: 33, refused: 35, returned: 1, design: "hier-6.12", notes: 2},
	"object":       {files: []string{"6.18/object-linum.json"}, taken: 33, refused: 35, returned: 2, design: "hier-6.12", notes: 2},
	"emptied slot": {files: []string{"6.18/hierarchy.json"}, opt: replay.ImportOptions{Slots: slots(replay.ImportSlot{Key: 0})}, taken: 0, refused: 2, returned: 1, design: "hier-6.12", notes: 2},
	"6.12": {files: []string{"6.12/jit-enable-2.log"}, kallsyms: "6.12/kallsyms", opt: replay.ImportOptions{Entry: "entry"},
		taken: 33, refused: 35, returned: 1, design: "hier-6.12", notes: 3},
	"6.12 without symbols": {files: []string{"6.12/jit-enable-2.log"}, opt: replay.ImportOptions{Entry: "prog2"},
		taken: 33, refused: 35, returned: 1, design: "hier-6.12", notes: 4},
	"6.1": {files: []string{"6.1/jit-enable-2.log"}, kallsyms: "6.1/kallsyms", opt: replay.ImportOptions{Entry: "entry"},
		taken: 34, design: "rework-5.10 or rework-6.7", broken: check.Limit, notes: 3},
	"6.1 without symbols": {files: []string{"6.1/jit-enable-2.log"}, opt: replay.ImportOptions{Entry: "prog2"},
		taken: 34, design: "rework-5.10 or rework-6.7", broken: check.Limit, notes: 4},
	"6.1 helper": {files: []string{"6.1/jit-enable-2.log"}, kallsyms: "6.1/kallsyms", opt: replay.ImportOptions{Entry: "entry#2"},
		taken: 33, refused: 1, returned: 1, design: "rework-5.10 or rework-6.7", notes: 3},
	"6.12 several programs": {files: []string{"6.12/jit-enable-2.log"}, kallsyms: "6.12/kallsyms", opt: replay.ImportOptions{Entry: "main",
		Slots: slots(replay.ImportSlot{Key: 0, Prog: "classifier_0"}, replay.ImportSlot{Key: 1, Prog: "classifier_1"})},
		taken: 33, refused: 2, returned: 33, design: "hier-6.12", notes: 3},
	"indirect": {files: []string{"6.18/from_container.json", "6.18/handle_policy.json", "6.18/handle_ipv4.json", "6.18/handle_arp.json"},
		kallsyms: "6.18/objects.kallsyms", opt: replay.ImportOptions{Packet: ipv4, Slots: slots(
			replay.ImportSlot{Key: 0, Prog: "handle_policy"}, replay.ImportSlot{Key: 1, Prog: "handle_ipv4"}, replay.ImportSlot{Key: 2})},
		taken: 2, refused: 0, returned: 0, design: "hier-6.12", notes: 3},
}

// ipv4 is an Ethernet frame with an IPv4 packet.
var ipv4 = append(append(make([]byte, 12), 0x08, 0x00, 0x45), make([]byte, 45)...)

// TestImportRuns runs recorded code. What a capture of the same programs gives is known: on 6.12 and
// later a hierarchy stops at the limit, on 6.1 it does not.
func TestImportRuns(t *testing.T) {
	r, err := replay.New(runner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for name, tc := range importCases {
		t.Run(name, func(t *testing.T) {
			var progs []imports.Prog
			progs, tc.opt.Symbols = importFiles(t, tc.kallsyms, tc.lens, tc.files...)
			if tc.opt.Packet != nil {
				if tc.opt.Target, err = jit.TargetByName("6.18"); err != nil {
					t.Fatal(err)
				}
			}
			before := bytes.Clone(progs[0].Funcs[len(progs[0].Funcs)-1].Code)
			im, err := replay.Import(progs, tc.opt)
			if err != nil {
				t.Fatal(err)
			}
			res, err := r.RunImported(context.Background(), im)
			if err != nil {
				t.Fatal(err)
			}
			if im.Design != tc.design || res.Counts.Taken != tc.taken {
				t.Errorf("design %s, %d taken, want %s, %d", im.Design, res.Counts.Taken, tc.design, tc.taken)
			}
			switch {
			case tc.broken != "":
				if res.Violation == nil || res.Violation.Invariant != tc.broken {
					t.Errorf("violation %v, want %s", res.Violation, tc.broken)
				}
			case res.Violation != nil || res.Killed != "":
				t.Errorf("violation %v, ended by %q", res.Violation, res.Killed)
			case uint32(res.Return) != tc.returned || res.Counts.RefusedTotal() != tc.refused:
				t.Errorf("returned %d, %d refused, want %d, %d", uint32(res.Return), res.Counts.RefusedTotal(), tc.returned, tc.refused)
			}
			if len(im.Notes) != tc.notes+1 { // one says what is unchecked
				t.Errorf("notes %q, want %d", im.Notes, tc.notes)
			}
			if !bytes.Equal(before, progs[0].Funcs[len(progs[0].Funcs)-1].Code) {
				t.Error("the imported code was changed")
			}
			at, err := stack.ParseAt("deepest")
			if err != nil {
				t.Fatal(err)
			}
			if d, err := r.StackImported(context.Background(), im, at); err != nil || len(d) != 1 {
				t.Errorf("%d drawings, %v", len(d), err)
			}
		})
	}
}

// TestImportAsCaptured compares runs of recorded code with replaying the capture that tcsim itself made
// of the same programs.
func TestImportAsCaptured(t *testing.T) {
	for _, tc := range []struct{ file, kallsyms, entry, capture string }{
		{"6.18/hierarchy.json", "", "", "6.18/hierarchy.jsonl.gz"},
		{"6.12/jit-enable-2.log", "6.12/kallsyms", "entry", "6.12/programs.jsonl.gz"},
		{"6.1/jit-enable-2.log", "6.1/kallsyms", "entry", "6.1/programs.jsonl.gz"},
	} {
		r, err := replay.New(runner.Options{})
		if err != nil {
			t.Fatal(err)
		}
		progs, symbols := importFiles(t, tc.kallsyms, nil, tc.file)
		im, err := replay.Import(progs, replay.ImportOptions{Entry: tc.entry, Symbols: symbols})
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.RunImported(context.Background(), im)
		if err != nil {
			t.Fatal(err)
		}
		src, err := capture.Open(importFolder + tc.capture)
		if err != nil {
			t.Fatal(err)
		}
		target, err := replay.TargetOf(src)
		if err != nil {
			t.Fatal(err)
		}
		c, err := replay.Capture(src, target, 0)
		if err != nil {
			t.Fatal(err)
		}
		res, err := r.Run(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		want := &res.Result.Runs[0]
		if got.Counts != want.Counts || got.Retired != want.Retired || got.Deepest != want.Deepest || (got.Violation == nil) != (want.Violation == nil) {
			t.Errorf("%s: %+v %d %d %v, captured %+v %d %d %v", tc.file, got.Counts, got.Retired, got.Deepest, got.Violation,
				want.Counts, want.Retired, want.Deepest, want.Violation)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestImportRefused expects what a dump does not say, and running needs, to be asked for.
func TestImportRefused(t *testing.T) {
	for want, tc := range map[string]importCase{
		"the code uses unknown addresses: 0xffffffff8151b2c0 (used at handle_policy+0x": {files: []string{"6.18/handle_policy.json"}},
		"a place that depends on where the function was":                                {files: []string{"6.1/jit-enable-2.log"}, opt: replay.ImportOptions{Entry: "prog3"}},
		`no program "x"; the file has entry`: {files: []string{"6.18/hierarchy.json"},
			opt: replay.ImportOptions{Slots: slots(replay.ImportSlot{Prog: "x"})}},
		"no tail call uses a prog array at 0x10": {files: []string{"6.18/handle_arp.json"}, kallsyms: "6.18/objects.kallsyms",
			opt: replay.ImportOptions{Slots: slots(replay.ImportSlot{Array: 16})}},
		"expected less than":           {files: []string{"6.18/handle_arp.json"}, opt: replay.ImportOptions{Slots: slots(replay.ImportSlot{Key: 1 << 20})}},
		"two programs are named entry": {files: []string{"6.18/hierarchy.json", "6.18/hierarchy.json"}},
		"they are not of one kernel": {files: []string{"6.18/hierarchy.json", "6.1/jit-enable-2.log"},
			opt: replay.ImportOptions{Slots: slots(replay.ImportSlot{Prog: "prog2"})}},
		"does not say where function 0 is": {files: []string{"6.18/hierarchy.bin"}, lens: []int{80, 5, 59}},
	} {
		progs, symbols := importFiles(t, tc.kallsyms, tc.lens, tc.files...)
		tc.opt.Symbols = symbols
		im, err := replay.Import(progs, tc.opt)
		if im != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestImportUnsupported expects a helper that is not modelled to be named when it is called.
func TestImportUnsupported(t *testing.T) {
	progs, symbols := importFiles(t, "", nil, "6.18/handle_policy.json")
	symbols.Add(0xffffffff8151b2c0, "bpf_no_such_helper")
	im, err := replay.Import(progs, replay.ImportOptions{Symbols: symbols})
	if err != nil {
		t.Fatal(err)
	}
	r, err := replay.New(runner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err = r.RunImported(context.Background(), im); !errors.Is(err, kernels.ErrUnsupported) || !strings.Contains(err.Error(), "bpf_no_such_helper") {
		t.Error(err)
	}
}

// FuzzImported runs any bytes as code of two functions: there is an error, or a verdict within the
// budgets.
func FuzzImported(f *testing.F) {
	for _, name := range []string{"6.18/hierarchy.bin"} {
		data, err := os.ReadFile(importFolder + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, uint16(85))
	}
	for _, kernel := range []string{"6.1", "6.12"} {
		data, err := os.ReadFile(importFolder + kernel + "/jit-enable-2.log")
		if err != nil {
			f.Fatal(err)
		}
		d, err := imports.Read(imports.Auto, data, imports.Options{})
		if err != nil {
			f.Fatal(err)
		}
		for _, p := range d.Progs[1:] {
			f.Add(append(bytes.Clone(p.Funcs[0].Code), p.Funcs[1].Code...), uint16(len(p.Funcs[0].Code)))
		}
	}
	r, err := replay.New(runner.Options{MaxInsns: 20_000, MaxEvents: 2_000})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { r.Close() })
	f.Fuzz(flood.Two(func(t *testing.T, code []byte, first uint16) {
		lens := []int{len(code)}
		if n := int(first); n > 0 && n < len(code) {
			lens = []int{n, len(code) - n}
		}
		d, err := imports.Read(imports.Raw, code, imports.Options{Lens: lens})
		if err != nil {
			return
		}
		im, err := replay.Import(d.Progs, replay.ImportOptions{})
		if (im == nil) == (err == nil) {
			t.Fatalf("%v with error %v", im, err)
		}
		if err != nil {
			return
		}
		if _, err := r.RunImported(context.Background(), im); err != nil && !errors.Is(err, kernels.ErrUnsupported) {
			t.Fatal(err)
		}
	}))
}

// TestImportPlaceBeforeBody runs code of a patch that puts a place for trampolines before the body of main programs,
// over which the entry jumps and at which tail calls land: with its slot empty, and leading to itself.
func TestImportPlaceBeforeBody(t *testing.T) {
	for _, file := range []string{"a05_empty.bin", "a05_filled.bin"} {
		data, err := os.ReadFile("testdata/" + file)
		must(t, err)
		d, err := imports.Read(imports.Raw, data, imports.Options{Lens: []int{len(data)}, Addrs: []image.Addr{0xffffffffc0000000}})
		must(t, err)
		im, err := replay.Import(d.Progs, replay.ImportOptions{})
		must(t, err)
		r, err := replay.New(runner.Options{})
		must(t, err)
		run, err := r.RunImported(context.Background(), im)
		must(t, err)
		must(t, r.Close())
		if run.Violation != nil || run.Counts.Taken != 33 || run.Return != 7 || len(im.Flaws) != 0 || im.Design == "" {
			t.Errorf("%s: %s: %d taken, returned %d, %v, %q", file, im.Design, run.Counts.Taken, run.Return, run.Violation, im.Flaws)
		}
	}
}
