// SPDX-License-Identifier: GPL-2.0-only

package imports_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/imports"
	"github.com/tcsim/tcsim/jit/x86"
)

var update = flag.Bool("update", false, "write the samples of fixtures/imports again")

const folder = "../../fixtures/imports/"

// sampled is the program that the samples are of.
const (
	sampledFile     = "kernels/6.12-off.jsonl.gz"
	sampledScenario = "hier/self/const/n2/r6"
)

// sample returns the functions of the sampled program.
func sample(t testing.TB) []imports.Func {
	t.Helper()
	src, err := capture.OpenFS(fixtures.FS, sampledFile, sampledFile)
	if err != nil {
		t.Fatal(err)
	}
	for i := range src.Len() {
		sc, err := src.Scenario(i)
		if err != nil {
			t.Fatal(err)
		}
		if sc.Name != sampledScenario {
			continue
		}
		var out []imports.Func
		for k := range sc.Progs[0].Funcs {
			f := &sc.Progs[0].Funcs[k]
			name := fmt.Sprintf("bpf_prog_%s_%s", sc.Progs[0].Tag, f.Name)
			out = append(out, imports.Func{Name: name, Addr: f.Addr, Known: true, Code: f.Code(capture.Populated)})
		}
		return out
	}
	t.Fatalf("no scenario %s", sampledScenario)
	return nil
}

// bpftool writes what bpftool -j prog dump jited id N opcodes prints, built with LLVM.
func bpftool(t testing.TB, funcs []imports.Func, opcodes bool) []byte {
	t.Helper()
	type insn struct {
		PC        string   `json:"pc"`
		Operation string   `json:"operation"`
		Operands  []string `json:"operands"`
		Opcodes   []string `json:"opcodes,omitempty"`
	}
	type fn struct {
		Name  string `json:"name"`
		Insns []insn `json:"insns"`
	}
	var out []fn
	for _, f := range funcs {
		o := fn{Name: f.Name}
		for off := 0; off < len(f.Code); {
			in, err := x86.Decode(f.Code[off:], f.Addr+jit.Addr(off))
			if err != nil {
				t.Fatal(err)
			}
			op, args, _ := strings.Cut(in.ATT(), " ")
			l := insn{PC: fmt.Sprintf("%#x", off), Operation: op, Operands: []string{}}
			if in.Branch.Direct() {
				args = fmt.Sprintf("%#x", uint64(in.Target))
			}
			l.Operands = append(l.Operands, strings.FieldsFunc(args, func(r rune) bool { return strings.ContainsRune(", ()", r) })...)
			for _, b := range f.Code[off : off+int(in.Len)] {
				if opcodes {
					l.Opcodes = append(l.Opcodes, fmt.Sprintf("0x%02x", b))
				}
			}
			o.Insns = append(o.Insns, l)
			off += int(in.Len)
		}
		out = append(out, o)
	}
	b, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

// kernelLog writes what the kernel logs with net.core.bpf_jit_enable=2.
func kernelLog(funcs []imports.Func) []byte {
	var b bytes.Buffer
	at := 71.204017
	line := func(format string, args ...any) {
		fmt.Fprintf(&b, "[%12.6f] %s\n", at, fmt.Sprintf(format, args...))
		at += 0.000007
	}
	line("systemd[1]: Started a unit that has nothing to do with it.")
	for i, f := range funcs {
		line("flen=%d proglen=%d pass=%d image=%016x from=loader pid=412", 20-i, len(f.Code), 6, 0x5d8c21f3+i*0x31f00)
		for off := 0; off < len(f.Code); off += 16 {
			line("JIT code: %08x: % x", off, f.Code[off:min(off+16, len(f.Code))])
		}
	}
	return b.Bytes()
}

func raw(funcs []imports.Func) (code []byte, lens []int, addrs []jit.Addr) {
	for _, f := range funcs {
		code = append(code, f.Code...)
		lens = append(lens, len(f.Code))
		addrs = append(addrs, f.Addr)
	}
	return
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(folder + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSamples reads each sample and compares with the capture that it is of.
func TestSamples(t *testing.T) {
	funcs := sample(t)
	code, lens, addrs := raw(funcs)
	samples := map[string][]byte{
		"bpftool.json": bpftool(t, funcs, true), "bpftool-without-opcodes.json": bpftool(t, funcs, false),
		"raw.bin": code, "jit-enable-2.log": kernelLog(funcs),
	}
	for name, want := range samples {
		if *update {
			if err := os.WriteFile(folder+name, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(read(t, name), want) {
			t.Errorf("%s is not as made from %s: run with -update", name, sampledFile)
		}
	}
	for _, tc := range []struct {
		file   string
		opt    imports.Options
		format imports.Format
		names  bool
	}{
		{"bpftool.json", imports.Options{}, imports.Bpftool, true},
		{"bpftool.json", imports.Options{Addrs: addrs}, imports.Bpftool, true},
		{"raw.bin", imports.Options{Lens: lens, Addrs: addrs}, imports.Raw, false},
		{"jit-enable-2.log", imports.Options{Addrs: addrs}, imports.KernelLog, false},
	} {
		d, err := imports.Read(imports.Auto, read(t, tc.file), tc.opt)
		if err != nil {
			t.Errorf("%s: %v", tc.file, err)
			continue
		}
		if d.Format != tc.format {
			t.Errorf("%s: format %s", tc.file, d.Format)
		}
		want := append([]imports.Func(nil), funcs...)
		for i := range want {
			if !tc.names {
				want[i].Name = ""
			}
		}
		if diff := cmp.Diff(want, d.Funcs); diff != "" {
			t.Errorf("%s: %s", tc.file, diff)
		}
		img, err := d.Image()
		if err != nil {
			t.Fatal(err)
		}
		design, err := jit.RecogniseDesign(img)
		if err != nil || design.Name != "hier-6.12" || design.Limit != 33 || len(img.Funcs[1].TailCalls) == 0 || img.Funcs[0].Calls[0].Func != 1 {
			t.Errorf("%s: design %+v, %v", tc.file, design, err)
		}
	}
}

// TestWithoutAddresses recognises the design all the same and says what is missing.
func TestWithoutAddresses(t *testing.T) {
	d, err := imports.Read(imports.Auto, read(t, "jit-enable-2.log"), imports.Options{})
	if err != nil {
		t.Fatal(err)
	}
	img, err := d.Image()
	if err != nil {
		t.Fatal(err)
	}
	design, err := jit.RecogniseDesign(img)
	if err != nil || design.Name != "hier-6.12" || len(d.Notes) != 2 {
		t.Errorf("%+v, %v, notes %q", design, err, d.Notes)
	}
}

// TestRefused expects each bad source to be refused with the reason.
func TestRefused(t *testing.T) {
	tool, log, code := string(read(t, "bpftool.json")), string(read(t, "jit-enable-2.log")), string(read(t, "raw.bin"))
	lines := strings.SplitAfter(log, "\n")
	for want, tc := range map[string]struct {
		data string
		opt  imports.Options
	}{
		"has no opcodes, and its text":        {data: string(read(t, "bpftool-without-opcodes.json"))},
		`bpftool says "No libbfd support"`:    {data: `{"error":"No libbfd support"}`},
		"not the list of functions":           {data: `{"id":108,"type":"sched_cls","name":"entry"}`},
		"BPF instructions (xlated)":           {data: `[{"insns":[{"disasm":"(b7) r0 = 0"}]}]`},
		"unexpected end of JSON input":        {data: tool[:len(tool)/2]},
		"the instructions before it have 0x4": {data: strings.Replace(tool, `"pc":"0x4"`, `"pc":"0x5"`, 1)},
		`opcode "0x1f3"`:                      {data: strings.Replace(tool, `"0xf3"`, `"0x1f3"`, 1)},
		"no functions":                        {data: `[ ]`},
		"does not say where functions begin":  {data: code},
		"bytes are left behind the last":      {data: code, opt: imports.Options{Lens: []int{10}}},
		"but 0 are left":                      {data: code, opt: imports.Options{Lens: []int{len(code), 1}}},
		"1 addresses for 2 functions":         {data: tool, opt: imports.Options{Addrs: []jit.Addr{1}}},
		"function lengths belong to raw":      {data: tool, opt: imports.Options{Lens: []int{1}}},
		"but its branches say":                {data: tool, opt: imports.Options{Addrs: []jit.Addr{1 << 40, 2 << 40}}},
		"the log is cut at its start":         {data: strings.Join(lines[2:], "")},
		"bytes are there: the log is cut":     {data: strings.Join(lines[:len(lines)-3], "")},
		"lines were lost, or two functions":   {data: strings.Join(append(append([]string{}, lines[:3]...), lines[4:]...), "")},
		"expected up to 32 bytes in hex":      {data: strings.Replace(log, "JIT code: 00000000: f3", "JIT code: 00000000: x3", 1)},
		`proglen "many": expected`:            {data: "flen=3 proglen=many pass=1 image=1\nJIT code: 00000000: 90\n"},
		"functions 0 and 1 overlap":           {data: code, opt: imports.Options{Lens: []int{10, len(code) - 10}, Addrs: []jit.Addr{100, 105}}},
	} {
		d, err := imports.Read(imports.Auto, []byte(tc.data), tc.opt)
		if d != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestLogVariants reads a log with other prefixes, and with a function that was compiled twice.
func TestLogVariants(t *testing.T) {
	const text = "<3>[   12.3] flen=2 proglen=3 pass=1 image=00000000deadbeef from=a pid=1\r\n" +
		"<3>[   12.3] JIT code: 00000000: 31 c1 c3\r\n" +
		"Nov 21 10:00:00 host kernel: [   12.4][  T12] flen=2 proglen=3 pass=2 image=00000000deadbeef from=a pid=1\n" +
		"Nov 21 10:00:00 host kernel: [   12.4][  T12] JIT code: 00000000: 31 c0\n" +
		"unrelated\nNov 21 10:00:00 host kernel: [   12.4][  T12] JIT code: 00000002: c3\n"
	d, err := imports.Read(imports.Auto, []byte(text), imports.Options{})
	if err != nil || len(d.Funcs) != 1 || hex.EncodeToString(d.Funcs[0].Code) != "31c0c3" {
		t.Errorf("%+v, %v", d, err)
	}
}

// fuzz reads with one importer: there is a dump or an error, and what there is can be decoded.
func fuzz(f *testing.F, format imports.Format, opt func(data []byte) imports.Options, seeds ...string) {
	for _, s := range seeds {
		b := read(f, s)
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := imports.Read(format, data, opt(data))
		if (d == nil) == (err == nil) {
			t.Fatalf("dump %v with error %v", d, err)
		}
		if err != nil {
			return
		}
		if img, err := d.Image(); err == nil {
			if _, err := jit.RecogniseDesign(img); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func none([]byte) imports.Options { return imports.Options{} }

func FuzzBpftool(f *testing.F) {
	fuzz(f, imports.Bpftool, none, "bpftool.json", "bpftool-without-opcodes.json")
}

func FuzzKernelLog(f *testing.F) { fuzz(f, imports.KernelLog, none, "jit-enable-2.log") }

// FuzzRaw cuts the bytes in two at the place that the first byte names.
func FuzzRaw(f *testing.F) {
	fuzz(f, imports.Raw, func(data []byte) imports.Options {
		if len(data) < 2 {
			return imports.Options{}
		}
		n := max(1, int(data[0])%len(data))
		return imports.Options{Lens: []int{n, len(data) - n}}
	}, "raw.bin")
}
