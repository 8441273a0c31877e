// SPDX-License-Identifier: GPL-2.0-only

package imports_test

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/fixtures/flood"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/conform"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/imports"
	"github.com/tcsim/tcsim/jit/recognise"
)

const folder = "../../fixtures/imports/"

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(folder + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// prog is a program as tcsim capture read it on the machine where the samples were recorded.
type prog struct {
	name  string
	funcs []imports.Func
}

// captured returns the programs of a capture in a state, by name.
func captured(t testing.TB, file string, state capture.State) map[string]prog {
	t.Helper()
	f, err := capture.Load(folder + file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]prog{}
	for i := range f.Scenarios {
		sc := &f.Scenarios[i]
		for k := range sc.Progs {
			p := &sc.Progs[k]
			q := prog{name: p.Name}
			for n := range p.Funcs {
				g := &p.Funcs[n]
				q.funcs = append(q.funcs, imports.Func{Name: g.Name, Addr: g.Addr, Place: imports.Known, Code: g.Code(state)})
			}
			out[sc.Name+"/"+p.Name] = q
		}
	}
	return out
}

func symbols(t testing.TB, file string) *imports.Symbols {
	t.Helper()
	s, err := imports.ReadSymbols(read(t, file))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// logged are the programs in the logs, in order; "" is one that the loader compiled to see what the
// kernel can do.
var logged = []string{
	"", "hierarchy/entry", "helper_before_call/entry", "hierarchy_2/main", "hierarchy_2/classifier_0", "hierarchy_2/classifier_1",
}

// samples are the recordings: what they hold according to tcsim capture, which read the same programs.
var samples = []struct {
	file    string
	lens    []int
	symbols string
	format  imports.Format
	capture string
	state   capture.State
	progs   []string
	place   imports.Place // of functions without symbols
	names   bool          // the dump itself names functions
}{
	{"6.18/hierarchy.json", nil, "6.18/hierarchy.kallsyms", imports.Bpftool, "6.18/hierarchy.jsonl.gz", capture.Populated, []string{"hierarchy/entry"}, imports.Known, true},
	{"6.18/hierarchy-libbfd.json", nil, "6.18/hierarchy.kallsyms", imports.Bpftool, "6.18/hierarchy.jsonl.gz", capture.Populated, []string{"hierarchy/entry"}, imports.Relative, true},
	{"6.18/hierarchy-no-names.json", nil, "6.18/hierarchy.kallsyms", imports.Bpftool, "6.18/hierarchy.jsonl.gz", capture.Populated, []string{"hierarchy/entry"}, imports.Known, false},
	{"6.18/hierarchy.txt", nil, "6.18/hierarchy.kallsyms", imports.BpftoolText, "6.18/hierarchy.jsonl.gz", capture.Populated, []string{"hierarchy/entry"}, imports.Known, true},
	{"6.18/hierarchy-libbfd.txt", nil, "6.18/hierarchy.kallsyms", imports.BpftoolText, "6.18/hierarchy.jsonl.gz", capture.Populated, []string{"hierarchy/entry"}, imports.Relative, true},
	{"6.18/hierarchy.bin", []int{85, 59}, "6.18/hierarchy.kallsyms", imports.Raw, "6.18/hierarchy.jsonl.gz", capture.Populated, []string{"hierarchy/entry"}, imports.Relative, false},
	{"6.18/object-linum.json", nil, "6.18/objects.kallsyms", imports.Bpftool, "6.18/objects.jsonl.gz", capture.Empty, []string{"found/SchedCLS/entry#6908"}, imports.Known, true},
	{"6.18/two-programs.json", nil, "", imports.Bpftool, "6.18/objects.jsonl.gz", capture.Empty, []string{"found/SchedCLS/entry#6908", ""}, imports.Known, true},
	{"6.18/from_container.json", nil, "6.18/objects.kallsyms", imports.Bpftool, "6.18/objects.jsonl.gz", capture.Empty, []string{"found/SchedCLS/from_container#6917"}, imports.Known, true},
	{"6.18/handle_ipv4.json", nil, "6.18/objects.kallsyms", imports.Bpftool, "6.18/objects.jsonl.gz", capture.Empty, []string{"found/SchedCLS/handle_ipv4#6915"}, imports.Known, true},
	{"6.12/jit-enable-2.log", nil, "6.12/kallsyms", imports.KernelLog, "6.12/programs.jsonl.gz", capture.Empty, logged, imports.Relative, false},
	{"6.1/jit-enable-2.log", nil, "6.1/kallsyms", imports.KernelLog, "6.1/programs.jsonl.gz", capture.Empty, logged, imports.Relative, false},
}

// TestSamples reads each recording, without and with the symbols of its kernel, and compares with what
// tcsim capture read of the very same programs.
func TestSamples(t *testing.T) {
	for _, s := range samples {
		t.Run(s.file, func(t *testing.T) {
			want := captured(t, s.capture, s.state)
			d, err := imports.Read(imports.Auto, read(t, s.file), imports.Options{Lens: s.lens})
			if err != nil {
				t.Fatal(err)
			}
			if d.Format != s.format || len(d.Progs) != len(s.progs) {
				t.Fatalf("format %s, %d programs, want %s, %d", d.Format, len(d.Progs), s.format, len(s.progs))
			}
			for i, name := range s.progs {
				compare(t, d.Progs[i], want[name], s.names, s.place)
			}
			if s.symbols == "" {
				return
			}
			d, err = imports.Read(imports.Auto, read(t, s.file), imports.Options{Lens: s.lens, Symbols: symbols(t, s.symbols)})
			if err != nil {
				t.Fatal(err)
			}
			for i, name := range s.progs {
				compare(t, d.Progs[i], want[name], true, imports.Known)
			}
		})
	}
}

// compare checks an imported program against the captured one, if that is given.
func compare(t *testing.T, got imports.Prog, want prog, names bool, place imports.Place) {
	t.Helper()
	if want.funcs == nil {
		return
	}
	short := strings.Split(want.name, "#")[0]
	if names && got.Name != short && !strings.HasPrefix(got.Name, short+"#") {
		t.Errorf("program %s, want %s", got.Name, want.name)
	}
	if len(got.Funcs) != len(want.funcs) {
		t.Fatalf("program %s has %d functions, want %d", got.Name, len(got.Funcs), len(want.funcs))
	}
	for i, f := range got.Funcs {
		w := want.funcs[i]
		if diff := cmp.Diff(w.Code, f.Code); diff != "" {
			t.Errorf("%s: code: %s", w.Name, diff)
		}
		if f.Place != place && len(got.Funcs) > 1 {
			t.Errorf("%s: place %d, want %d", w.Name, f.Place, place)
		}
		if f.Place == imports.Known && f.Addr != w.Addr {
			t.Errorf("%s: at %#x, want %#x", w.Name, uint64(f.Addr), uint64(w.Addr))
		}
		if f.Addr-got.Funcs[0].Addr != w.Addr-want.funcs[0].Addr && f.Place != imports.Nowhere {
			t.Errorf("%s: %#x after the entry, want %#x", w.Name, uint64(f.Addr-got.Funcs[0].Addr), uint64(w.Addr-want.funcs[0].Addr))
		}
		if names && imports.ShortName(f.Name) != w.Name {
			t.Errorf("name %s, want %s", f.Name, w.Name)
		}
	}
}

// TestSamplesConform has our JIT compile the programs of the samples: it emits what was recorded,
// since the captures hold the recorded bytes (TestSamples).
func TestSamplesConform(t *testing.T) {
	for _, file := range []string{"6.18/hierarchy.jsonl.gz", "6.12/programs.jsonl.gz", "6.1/programs.jsonl.gz"} {
		src, err := capture.Open(folder + file)
		if err != nil {
			t.Fatal(err)
		}
		target, err := src.Header.Target()
		if err != nil {
			t.Fatal(err)
		}
		r, err := conform.Compare(src, conform.Options{Target: target, Keep: 3})
		if err != nil {
			t.Fatal(err)
		}
		if n := r.Total(); n.Same != n.Total || n.Total < 2 {
			t.Errorf("%s: %v identical: %v", file, n, r.Mismatches)
		}
	}
}

// TestDesigns recognises the designs of the recorded kernels.
func TestDesigns(t *testing.T) {
	for file, want := range map[string]string{
		"6.18/hierarchy.json": "hier-6.12", "6.12/jit-enable-2.log": "hier-6.12", "6.1/jit-enable-2.log": "rework-5.10 or rework-6.7",
	} {
		d, err := imports.Read(imports.Auto, read(t, file), imports.Options{})
		if err != nil {
			t.Fatal(err)
		}
		p := &d.Progs[min(1, len(d.Progs)-1)]
		img, err := p.Image()
		if err != nil {
			t.Fatal(err)
		}
		design, err := recognise.RecogniseDesign(img)
		if err != nil || design.Name() != want || design.Limit != 33 || len(img.Funcs[1].TailCalls) != 1 || img.Funcs[0].Calls[0].Func != 1 {
			t.Errorf("%s: design %+v, %v, calls %+v", file, design, err, img.Funcs[0].Calls)
		}
	}
}

// TestLogVariants reads a recorded log with the prefixes of other tools, and one in which two
// tasks had programs compiled at once.
func TestLogVariants(t *testing.T) {
	log := strings.ReplaceAll(string(read(t, "6.12/jit-enable-2.log")), "\r", "")
	plain, err := imports.Read(imports.Auto, []byte(log), imports.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(string) string{
		"syslog":   func(s string) string { return "Nov 22 00:18:47 host kernel: " + s },
		"dmesg -r": func(s string) string { return "<3>" + s },
		"caller":   func(s string) string { return strings.Replace(s, "] ", "][    T1] ", 1) },
		"untimed":  func(s string) string { return s[min(len(s), len("[    3.473994] ")):] },
		"iso":      func(s string) string { return "2026-11-22T00:18:47,473994+00:00 " + s },
		"noise": func(s string) string {
			return s + "\n[    3.5] audit: type=1334 audit(1795306727.1:5): prog-id=3 op=LOAD"
		},
		"html mail": func(s string) string { return "> " + s },
	} {
		var b strings.Builder
		for _, line := range strings.Split(strings.TrimSuffix(log, "\n"), "\n") {
			b.WriteString(change(line) + "\n")
		}
		d, err := imports.Read(imports.Auto, []byte(b.String()), imports.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(plain, d); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	const two = "flen=2 proglen=1 pass=3 image=01 from=a pid=1\nJIT code: 00000000: 90\n" +
		"flen=2 proglen=1 pass=3 image=02 from=a pid=1\nJIT code: 00000000: 91\n" +
		"flen=2 proglen=1 pass=3 image=03 from=b pid=2\nJIT code: 00000000: 92\n" +
		"flen=2 proglen=1 pass=1 image=01 from=a pid=1\nJIT code: 00000000: 93\n" +
		"flen=2 proglen=1 pass=2 image=01 from=b pid=2\nJIT code: 00000000: 94\n" +
		"flen=2 proglen=1 pass=1 image=02 from=a pid=1\nJIT code: 00000000: 95\n" +
		"flen=2 proglen=1 pass=2 image=01 from=a pid=1\nJIT code: 00000000: 96\n"
	d, err := imports.Read(imports.Auto, []byte(two), imports.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range d.Progs {
		text := ""
		for _, f := range p.Funcs {
			text += hex.EncodeToString(f.Code)
		}
		got = append(got, text)
	}
	if diff := cmp.Diff([]string{"9395", "92", "94", "96"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestRefused expects each bad source to be refused with the reason.
func TestRefused(t *testing.T) {
	tool, log, code := string(read(t, "6.18/hierarchy.json")), string(read(t, "6.12/jit-enable-2.log")), string(read(t, "6.18/hierarchy.bin"))
	text, two := string(read(t, "6.18/hierarchy.txt")), string(read(t, "6.18/two-programs.json"))
	lines := strings.SplitAfter(log, "\n")
	second := strings.Index(log, "flen=11 proglen=97 pass=1")
	for want, tc := range map[string]struct {
		data string
		opt  imports.Options
	}{
		"has no opcodes, and its text":         {data: string(read(t, "6.18/hierarchy-without-opcodes.json"))},
		`bpftool says "No libbfd support"`:     {data: string(read(t, "6.18/no-disassembler.json"))},
		"not the list of functions":            {data: `{"id":108,"type":"sched_cls","name":"entry"}`},
		"without its functions":                {data: `[{"id":108,"type":"sched_cls","name":"entry"}]`},
		"functions and programs in one":        {data: two[:len(two)-2] + `,` + tool[1:]},
		"BPF instructions (xlated)":            {data: `[{"insns":[{"disasm":"(b7) r0 = 0"}]}]`},
		"unexpected end of JSON input":         {data: tool[:len(tool)/2]},
		"the instructions before it have 0x5":  {data: strings.Replace(tool, `"pc":"0x5"`, `"pc":"0x6"`, 1)},
		`opcode "0x1f3"`:                       {data: strings.Replace(tool, `"0x55"`, `"0x1f3"`, 1)},
		"no functions":                         {data: `[ ]`},
		"does not say where functions begin":   {data: code},
		"bytes are left after the last":        {data: code, opt: imports.Options{Lens: []int{10}}},
		"but 0 are left":                       {data: code, opt: imports.Options{Lens: []int{len(code), 1}}},
		"1 addresses for 2 functions":          {data: tool, opt: imports.Options{Addrs: []image.Addr{1}}},
		"function lengths belong to raw":       {data: tool, opt: imports.Options{Lens: []int{1}}},
		"but its branches say":                 {data: tool, opt: imports.Options{Addrs: []image.Addr{1 << 40, 2 << 40}}},
		"they are of another boot":             {data: tool, opt: imports.Options{Symbols: other(t)}},
		"expected the bytes of the":            {data: strings.ReplaceAll(text, "\t0f 1f 44 00 00 \n", "")},
		"the text is cut, or ":                 {data: text[:strings.LastIndex(text, "\n\tc3")]},
		"cut at its start":                     {data: text[strings.Index(text, "   0:\t"):]},
		"code before the first line":           {data: strings.Join(lines[1:], "")},
		"whose first compilation is not":       {data: log[second:]},
		"bytes are there: the log is cut":      {data: strings.Join(lines[:5], "")},
		"lines were lost, or two functions":    {data: strings.Join(append(append([]string{}, lines[:1]...), lines[2:]...), "")},
		"expected up to 32 bytes in hex":       {data: strings.Replace(log, "JIT code: 00000000: f3", "JIT code: 00000000: x3", 1)},
		`proglen "many": expected`:             {data: "flen=3 proglen=many pass=1 image=1\nJIT code: 00000000: 90\n"},
		"functions 0 and 1 overlap":            {data: code, opt: imports.Options{Lens: []int{10, len(code) - 10}, Addrs: []image.Addr{100, 105}}},
		`no format "perf": expected auto, bpf`: {data: "perf"},
	} {
		f := imports.Auto
		if tc.data == "perf" {
			f = "perf"
		}
		d, err := imports.Read(f, []byte(tc.data), tc.opt)
		if d != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// other are the symbols of another boot.
func other(t *testing.T) *imports.Symbols {
	s, err := imports.ReadSymbols([]byte(strings.ReplaceAll(string(read(t, "6.18/hierarchy.kallsyms")), "ffffffffc002", "ffffffffc003")))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSymbolsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "no symbols",
		"0000000000000000 T bpf_prog_free\n": "the kernel hides them",
		"ffffffff81000000 T\n":               "line 1: expected an address",
		"\nffffffff8100000g T x\n":           `line 2: "ffffffff8100000g" is not an address`,
	} {
		if s, err := imports.ReadSymbols([]byte(text)); s != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestAmbiguous has an entry that calls two functions of one size: it is impossible to tell which is which.
func TestAmbiguous(t *testing.T) {
	entry := "e8 1b 00 00 00 e8 36 00 00 00 c3 00 00 00 00 00"
	code, err := hex.DecodeString(strings.ReplaceAll(entry, " ", "")[:22])
	if err != nil {
		t.Fatal(err)
	}
	code = append(code, 0x31, 0xc0, 0xc3, 0x31, 0xc9, 0xc3)
	d, err := imports.Read(imports.Raw, code, imports.Options{Lens: []int{11, 3, 3}})
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range d.Progs[0].Funcs {
		if f.Place != imports.Nowhere {
			t.Errorf("function %d: place %d", i, f.Place)
		}
	}
	if len(d.Notes) != 1 {
		t.Errorf("notes %q", d.Notes)
	}
}

// fuzz reads with one importer: there is a dump or an error, and what there is can be decoded.
func fuzz(f *testing.F, format imports.Format, opt func(data []byte) imports.Options, seeds ...string) {
	for _, s := range seeds {
		b := read(f, s)
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(flood.One(func(t *testing.T, data []byte) {
		d, err := imports.Read(format, data, opt(data))
		if (d == nil) == (err == nil) {
			t.Fatalf("dump %v with error %v", d, err)
		}
		if err != nil {
			return
		}
		for i := range d.Progs {
			if img, err := d.Progs[i].Image(); err == nil {
				if _, err := recognise.RecogniseDesign(img); err != nil {
					t.Fatal(err)
				}
			}
		}
	}))
}

// withSymbols is the same for all inputs.
func withSymbols(f *testing.F, file string) func([]byte) imports.Options {
	s := symbols(f, file)
	return func([]byte) imports.Options { return imports.Options{Symbols: s} }
}

func FuzzBpftool(f *testing.F) {
	fuzz(f, imports.Bpftool, withSymbols(f, "6.18/objects.kallsyms"), "6.18/hierarchy.json", "6.18/hierarchy-libbfd.json",
		"6.18/hierarchy-no-names.json", "6.18/hierarchy-without-opcodes.json", "6.18/two-programs.json")
}

func FuzzText(f *testing.F) {
	fuzz(f, imports.BpftoolText, withSymbols(f, "6.18/hierarchy.kallsyms"), "6.18/hierarchy.txt", "6.18/hierarchy-libbfd.txt")
}

func FuzzKernelLog(f *testing.F) {
	fuzz(f, imports.KernelLog, withSymbols(f, "6.1/kallsyms"), "6.1/jit-enable-2.log", "6.12/jit-enable-2.log")
}

// FuzzRaw cuts the bytes in three at the places that the first bytes name.
func FuzzRaw(f *testing.F) {
	fuzz(f, imports.Raw, func(data []byte) imports.Options {
		if len(data) < 4 {
			return imports.Options{}
		}
		a := 1 + int(data[0])%(len(data)-2)
		b := 1 + int(data[1])%(len(data)-a-1)
		return imports.Options{Lens: []int{a, b, len(data) - a - b}}
	}, "6.18/hierarchy.bin")
}

func FuzzSymbols(f *testing.F) {
	f.Add(read(f, "6.1/kallsyms"))
	log := read(f, "6.1/jit-enable-2.log")
	f.Fuzz(flood.One(func(t *testing.T, data []byte) {
		s, err := imports.ReadSymbols(data)
		if (s == nil) == (err == nil) {
			t.Fatalf("symbols %v with error %v", s, err)
		}
		if err == nil {
			_, _ = imports.Read(imports.KernelLog, log, imports.Options{Symbols: s}) // must not crash
		}
	}))
}
