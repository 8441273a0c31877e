// SPDX-License-Identifier: GPL-2.0-only

package capture_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/fixtures/flood"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/jittest"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify"
)

func TestLoadAll(t *testing.T) {
	for _, name := range jittest.CaptureNames(t) {
		if testing.Short() && !strings.Contains(name, "extra-") {
			continue
		}
		f, err := capture.LoadFS(fixtures.FS, name)
		if err != nil {
			t.Errorf("%s: %.2000s", name, err.Error())
			continue
		}
		if len(f.Scenarios) != f.Header.Scenarios {
			t.Errorf("%s: %d scenarios, header says %d", name, len(f.Scenarios), f.Header.Scenarios)
		}
	}
}

const (
	goodHeader   = `{"type": "header", "format": 1, "set": "main", "variant": "off", "release": "6.12.1", "bpf_call_base": "ffffffff81000000", "scenarios": 1, "default_inputs": ["1f"], "run_data": "0001"}`
	goodScenario = `{"type": "scenario", "name": "isa/x", "category": "isa", "prog_type": 3, "maps": [{"name": "io", "type": 2, "key_size": 4, "value_size": 512, "max_entries": 1, "value_addr": "ffff888000000000"}, {"name": "jmp", "type": 3, "key_size": 4, "value_size": 4, "max_entries": 2}], "progs": [{"name": "p", "tag": "00", "insns": "b7000000000000009500000000000000", "xlated": "b7000000000000009500000000000000", "funcs": [{"name": "main", "start": 0, "addr": "ffffffffc0000000", "len": 4, "image": {"empty": "31c0c9c3"}}], "insn_map": [[0, 0, 0, 0]], "refs": {"empty": []}}], "prog_arrays": [[1, 0, 0]], "run": {"prog": 0, "retval": 0, "out": ["1"]}}`
	goodSymbols  = `{"type": "symbols", "symbols": {"bpf_x": "ffffffff81000010"}, "aliases": {"bpf_x": ["x"]}}`
)

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func load(t testing.TB, data []byte) error {
	t.Helper()
	src, err := capture.Read(bytes.NewReader(data), "f")
	if err != nil {
		return err
	}
	var all capture.Mistakes
	for _, err := range src.All() {
		var m capture.Mistakes
		if errors.As(err, &m) {
			all = append(all, m...)
		}
	}
	if len(all) > 0 {
		return all
	}
	return nil
}

func TestGoodCapture(t *testing.T) {
	if err := load(t, jittest.Pack(t, goodHeader+"\n"+goodScenario+"\n"+goodSymbols+"\n")); err != nil {
		t.Fatal(err)
	}
}

// TestMistakes changes the good capture in one place each and expects the mistake at its place.
func TestMistakes(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{`"set"`, `"sett"`, "f:1:41: sett: unknown field"},
		{`"format": 1`, `"format": 9`, `format 9 is unknown: expected 1 to 3`},
		{`"scenarios": 1`, `"scenarios": 7`, "f:1: scenarios: 7 scenarios announced, 1 found"},
		{`"variant": "off"`, `"variant": 3`, `variant: expected a string, found "3, `},
		{`"type": "header"`, `"type": "scenario"`, `f:1: type: expected a header line here, found "scenario"`},
		{`"type": "symbols"`, `"type": "scenario"`, `f:3: type: expected a symbols line here, found "scenario"`},
		{`"ffffffff81000010"`, `"0xff"`, `symbols.bpf_x: expected a hexadecimal number`},
		{`"name": "isa/x"`, `"name": ""`, `f:2: name: expected a name`},
		{`"key_size": 4`, `"key_size": -4`, `f:2:121: maps[0].key_size: -4 is out of range: expected 0 to 4294967295`},
		{`"key_size": 4`, `"key_size": 4.5`, `maps[0].key_size: expected an integer, found 4.5`},
		{`"insns": "b7`, `"insns": "b`, `progs[0].insns: bad hex string`},
		{`"insns": "b7`, `"insns": "b700`, `progs[0].insns: 17 bytes are not a whole number of 8-byte instructions`},
		{`"insns": "b7`, `"insns": "18`, `f:2: progs[0].insns: slot 0: ld_imm64 lacks its second half`},
		{`"insns": "b7`, `"insns": "1820000005000000`, `progs[0].insns: 23 bytes`},
		{`"len": 4`, `"len": 5`, `f:2: progs[0].funcs[0].image.empty: 4 bytes, but len is 5`},
		{`"start": 0`, `"start": 1`, `the entry function starts at slot 1, not 0`},
		{`"image": {"empty"`, `"image": {"full"`, `progs[0].funcs[0].image.full: unknown state`},
		{`[[0, 0, 0, 0]]`, `[[0, 0, 0]]`, `progs[0].insn_map[0]: expected 4 numbers, found 3`},
		{`[[0, 0, 0, 0]]`, `[[9, 8, 1, 0]]`, "f:2: progs[0].insn_map[0].func: function 1 does not exist: there are 1\nf:2: progs[0].insn_map[0]: slot 9 of insns does not exist: there are 2\nf:2: progs[0].insn_map[0]: slot 8 of xlated"},
		{`[[1, 0, 0]]`, `[[0, 0, 0]]`, `prog_arrays[0]: map 0 is no prog array`},
		{`[[1, 0, 0]]`, `[[1, 2, 3]]`, "prog_arrays[0]: key 2 is out of range: map 1 has 2 entries\nf:2: prog_arrays[0]: program 3 does not exist: there are 1"},
		{`"prog_type": 3`, `"prog_type": 3, "source": "x", "object": "AA=="`, `object: there is a source already`},
		{`"maps": [{`, `"maps": [{"inner": 9, `, `maps[0].inner: expected one more than the index of a map`},
		{`"maps": [{`, `"maps": [{"frozen": "00", `, `maps[0].frozen: expected the one value of an array of one entry`},
		{`"prog_type": 3`, `"prog_type": 3, "object": "A"`, `object: bad base64 string`},
		{`"prog_type": 3`, `"prog_type": 3, "trampolines": [{"prog": 0, "func": 0, "error": "x", "attached": [0]}]`, `trampolines[0].attached[0]: program 0 traces nothing`},
		{`"prog_type": 3`, `"prog_type": 3, "trampolines": [{"prog": 0, "func": 0, "error": "x", "attached": [1]}]`, `trampolines[0].attached[0]: program 1 does not exist`},
		{`"tag": "00"`, `"tag": "00", "attach": {"kind": "freplace", "prog": 1}`, `progs[0].attach.prog: program 1 does not exist`},
		{`"scenarios": 1`, `"scenarios": 1, "context": {"skb_length": 1}`, `context.skb_length: unknown field`},
		{`"scenarios": 1`, `"scenarios": 1, "context": {"skb_len": 32767}`, `context.skb_len: 32767 is out of range`},
		{`"run": {"prog": 0`, `"run": {"prog": 1`, `run.prog: program 1 does not exist`},
		{`"refs": {"empty": []}`, `"refs": {"empty": [{"func": 0, "off": 0, "imm": 1, "kind": "call", "target": "0", "sym": ""}]}`, `progs[0].refs.empty[0].off: 4 bytes at offset 1 are beyond the function's 4`},
		{`"refs": {"empty": []}`, `"refs": {"empty": [{"kind": "hop"}]}`, `progs[0].refs.empty[0].kind: expected one of`},
		{`"image": {"empty": "31c0c9c3"}}`, `"image": {"empty": "31c0c9c3"}}, {"name": "s", "start": 1, "addr": "ffffffffc0000003", "len": 1, "image": {"empty": "c3"}}`, `progs[0].funcs[1]: code at 0xffffffffc0000003 overlaps progs[0].funcs[0], which ends at 0xffffffffc0000004`},
		{`"tag": "00"`, `"tag": "00", "tag": "01"`, `progs[0].tag: field occurs twice`},
		{`"tag": "00"`, `"tag": "00`, `f:2:`},
		{`"prog_type": 3`, `"prog_type": 3 3`, `expected ",", found "3, `},
		{`"maps": [{`, `"maps": {}, "mapz": [{`, `f:2:82: maps: expected an array`},
	} {
		t.Run(c.new, func(t *testing.T) {
			text := goodHeader + "\n" + goodScenario + "\n" + goodSymbols + "\n"
			bad := strings.Replace(text, c.old, c.new, 1)
			if bad == text {
				t.Fatalf("%q is not in the capture", c.old)
			}
			err := load(t, jittest.Pack(t, bad))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got\n%v\nexpected %s", err, c.want)
			}
		})
	}
}

func TestBadFiles(t *testing.T) {
	good := jittest.Pack(t, goodHeader+"\n"+goodScenario+"\n"+goodSymbols+"\n")
	corrupt := bytes.Clone(good)
	corrupt[len(corrupt)/2] ^= 0x55
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"no gzip":      {[]byte(goodHeader), "f: expected a gzip file"},
		"empty":        {nil, "f: expected a gzip file"},
		"truncated":    {good[:len(good)/2], "f: gzip file is truncated after"},
		"corrupt":      {corrupt, "f: gzip file is "},
		"header only":  {jittest.Pack(t, goodHeader), "expected a header line and a symbol line, found 1 lines"},
		"no header":    {jittest.Pack(t, goodScenario+"\n"+goodSymbols), `f:1: type: expected a header line here, found "scenario"`},
		"cut off":      {jittest.Pack(t, goodHeader+"\n"+goodScenario), `f:2: type: expected a symbols line here, found "scenario"`},
		"empty line":   {jittest.Pack(t, goodHeader+"\n\n"+goodSymbols), `f:2:1: expected an object, found the end of the line`},
		"deep nesting": {jittest.Pack(t, goodHeader+"\n"+`{"x": `+strings.Repeat("[", 100)+"\n"+goodSymbols), "nested deeper than"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := load(t, c.data); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, expected %s", err, c.want)
			}
		})
	}
}

// TestAllMistakes expects mistakes of several lines in one error.
func TestAllMistakes(t *testing.T) {
	one := strings.Replace(goodScenario, `"len": 4`, `"len": 9`, 1)
	two := strings.Replace(goodScenario, `"addr"`, `"adr"`, 1)
	header := strings.Replace(goodHeader, `"scenarios": 1`, `"scenarios": 3`, 1)
	dir := t.TempDir()
	path := dir + "/c.jsonl.gz"
	writeFile(t, path, jittest.Pack(t, fmt.Sprintf("%s\n%s\n%s\n%s\n%s\n", header, one, two, goodScenario, goodSymbols)))
	_, err := capture.Load(path)
	var m capture.Mistakes
	if !errors.As(err, &m) || len(m) != 2 || m[0].Line != 2 || m[1].Line != 3 || m[1].Path != "progs[0].funcs[0].adr" {
		t.Errorf("got %v", err)
	}
}

func TestDuplicateNames(t *testing.T) {
	header := strings.Replace(goodHeader, `"scenarios": 1`, `"scenarios": 2`, 1)
	path := t.TempDir() + "/c.jsonl.gz"
	writeFile(t, path, jittest.Pack(t, header+"\n"+goodScenario+"\n"+goodScenario+"\n"+goodSymbols+"\n"))
	if _, err := capture.Load(path); err == nil || !strings.Contains(err.Error(), `"isa/x" is also the name in line 2`) {
		t.Errorf("got %v", err)
	}
}

// contextFields is a layout of contexts as headers have it.
func contextFields() string {
	var out []string
	for name := range new(kernels.ContextLayout).Fields() {
		out = append(out, fmt.Sprintf("%q: 8", name))
	}
	slices.Sort(out)
	return "{" + strings.Join(out, ", ") + "}"
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(goodHeader + "\n" + goodScenario + "\n" + goodSymbols + "\n"))
	f.Add(jittest.Pack(f, goodHeader+"\n"+goodSymbols))
	header2 := strings.Replace(goodHeader, `"format": 1`, `"format": 2, "offsets": {"map_max_entries": 1, "array_ptrs": 2, "prog_bpf_func": 3}`, 1)
	scenario2 := strings.Replace(goodScenario, `"prog_type": 3`, `"prog_type": 3, "found": 1, "source": "x", "played": [{"action": 1, "retval": 2, "values": [[0, "00", "01"]]}]`, 1)
	f.Add([]byte(header2 + "\n" + scenario2 + "\n" + goodSymbols + "\n"))
	header3 := strings.Replace(goodHeader, `"format": 1`, `"format": 3, "context": `+contextFields(), 1)
	scenario3 := strings.Replace(goodScenario, `"prog_type": 3`, `"prog_type": 3, "object": "f0VMRg==", "trampolines": [{"prog": 0, "func": 0, "attached": [0], `+
		`"site": {"off": 0, "before": "0f1f440000", "after": "e800000000"}, "addr": "ffffffffc0000100", "len": 1, "image": "c3"}]`, 1)
	scenario3 = strings.Replace(scenario3, `"tag": "00"`, `"tag": "00", "prog_type": 6, "attach": {"kind": "freplace", "prog": 0, "func": 0}`, 1)
	f.Add([]byte(header3 + "\n" + scenario3 + "\n" + goodSymbols + "\n"))
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.NoCompression)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(flood.One(func(t *testing.T, data []byte) {
		if bytes.HasPrefix(data, []byte("{")) {
			packed.Reset()
			z.Reset(&packed)
			_, err := z.Write(data)
			if err := errors.Join(err, z.Close()); err != nil {
				t.Fatal(err)
			}
			data = packed.Bytes()
		}
		src, err := capture.Read(bytes.NewReader(data), "f")
		if err != nil {
			return
		}
		sym := src.Symbols.Table()
		for s, err := range src.All() {
			if err != nil {
				continue
			}
			_ = s.Derive(func(image.Addr) string { return "" }) // must not crash; it says what does not decode
			for i := range s.Progs {
				s.Submitted(i)
				s.Order()
				if s.Progs[i].LoadError == "" {
					s.Xlated(i, &src.Header, sym)
				}
			}
			for i := range s.Trampolines {
				_, _ = s.Traced(i, make([]*verify.Verified, len(s.Progs)), sym)
			}
		}
	}))
}
