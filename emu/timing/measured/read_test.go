// SPDX-License-Identifier: GPL-2.0-only

package measured_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/emu/timing/timingtest"
	"github.com/tcsim/tcsim/fixtures/flood"
	"github.com/tcsim/tcsim/jit/x86"
)

const sequenceJSON = `{"core": "c", "sequences": [{"name": "a", "kind": "alu", "code": "4801d849ffcc75f8c3",
 "loop": {"start": 0, "end": 8, "copies": 1, "closed_by": "dec r12; jnz", "trips": 10},
 "reg": {"rax": "0x7"}, "mem": [["0x20000008", "0x5"]], "cycles": {"median": 1.1, "p10": 1, "p90": 2}}]}`

func TestRead(t *testing.T) {
	m, err := measured.Read("m.json", strings.NewReader(sequenceJSON))
	if err != nil {
		t.Fatal(err)
	}
	s := m.Sequences[0]
	if s.Regs[x86.RAX] != 7 || s.Regs[x86.R12] != 10 || s.Regs[x86.RSP] != measured.EntryRSP || len(s.Code) != 9 {
		t.Errorf("sequence %+v", s)
	}
	if diff := cmp.Diff([]measured.MemWord{{Addr: 0x20000008, Value: 5}}, s.Mem); diff != "" {
		t.Error(diff)
	}
	if n := len(timingtest.Load(t).Measured.Sequences); n != 130 {
		t.Errorf("measured.json: %d sequences", n)
	}
}

// TestReadEntry reads a file that says where code and memory are to lie.
func TestReadEntry(t *testing.T) {
	text := strings.NewReplacer(`"core"`, `"entry_state": {"code_base": "0x7f0000000000 (64-byte aligned)", "rsp": "0x6001ffe8, holding the return address",
 "data": "0x50000000..0x50000fff, zero", "stack": "0x60000000..0x6003ffff", "registers": "rax=0 r15=0x99 unless listed under reg"}, "core"`,
		"0x20000008", "0x50000ff8").Replace(sequenceJSON)
	m, err := measured.Read("m.json", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	s := &m.Sequences[0]
	want := measured.Sequence{
		At: 0x7f0000000000, Data: measured.Span{Addr: 0x50000000, Size: 0x1000}, Stack: measured.Span{Addr: 0x60000000, Size: 0x40000},
		Mem: []measured.MemWord{{Addr: 0x50000ff8, Value: 5}},
	}
	if s.At != want.At || s.Data != want.Data || s.Stack != want.Stack || s.Mem[0] != want.Mem[0] ||
		s.Regs[x86.RSP] != 0x6001ffe8 || s.Regs[x86.R15] != 0x99 || s.Regs[x86.RAX] != 7 || s.Regs[x86.RCX] != 1 {
		t.Errorf("sequence %+v", s)
	}
}

// TestReadErrors checks that every mistake is reported, with its place.
func TestReadErrors(t *testing.T) {
	change := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(sequenceJSON) }
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"not JSON", "{\n \"core\": x}", []string{"m.json:2:"}},
		{"unknown field", change(`"kind"`, `"knid"`), []string{`m.json:`, `unknown field "knid"`}},
		{"wrong type", change(`"trips": 10`, `"trips": "x"`), []string{"m.json:2:", "trips"}},
		{"nothing", `{"core": "c"}`, []string{"no sequences"}},
		{"trailing data", sequenceJSON + "x", []string{"data after the object"}},
		{"several mistakes", change(`"4801d849ffcc75f8c3"`, `"48 "`, `"rax"`, `"eax"`, `"0x20000008"`, `"0x10"`, `"p10": 1`, `"p10": 3`, `"copies": 1`, `"copies": 0`),
			[]string{`m.json:1:66: sequence 0 ("a"): code:`, `m.json:3:9: sequence 0 ("a"): reg "eax"`, "m.json:3:32: sequence 0 (\"a\"): mem 0: address 0x10", "cycles:", "m.json:2:10: sequence 0 (\"a\"): copies 0"}},
		{"several sequences", strings.Replace(change(`"copies": 1`, `"copies": 0`), "}}]}", "}},\n{\"name\": \"b\", \"trips\": 1},\n7]}", 1),
			[]string{`m.json:2:10: sequence 0 ("a"): copies 0`, `m.json:4:24: sequence 1: json: unknown field "trips"`, "m.json:5:1: sequence 2: json: cannot unmarshal number"}},
		{"sequences are no array", `{"sequences": 7}`, []string{"m.json:1:15: json: cannot unmarshal number"}},
		{"entry state", change(`"core"`, `"entry_state": {"rsp": "0x10", "data": "0x1..0x2", "code_base": "x", "registers": "eax=1", "r16": "2"}, "core"`),
			[]string{"entry_state: code_base:", "entry_state: data: 0x1..0x2 is not", `m.json:1:84: entry_state: registers: reg "eax"`, "entry_state: r16: not known", "rsp 0x10 is not in the stack"}},
		{"loop outside", change(`"end": 8`, `"end": 80`), []string{"loop 0 to 80 is not inside the 9 bytes"}},
		{"bad value", change(`"0x7"`, `"0xg"`, `"0x5"`, `""`), []string{"reg rax", "mem 0"}},
		{"name twice", strings.Replace(sequenceJSON, "}}]}", "}},"+sequenceJSON[strings.Index(sequenceJSON, `{"name"`):], 1), []string{"sequence 1", "used before"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := measured.Read("m.json", strings.NewReader(c.text))
			if err == nil || m != nil {
				t.Fatalf("read %v, error %v", m, err)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("no %q in %v", w, err)
				}
			}
		})
	}
}

func TestPredictTooShort(t *testing.T) {
	c := timingtest.Load(t)
	s, stream := c.Sequence(t, "add_rr_dep")
	if _, err := s.Predict(timingtest.Core(t, ""), stream[:20]); err == nil || !strings.Contains(err.Error(), "too few") {
		t.Errorf("error %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(sequenceJSON))
	f.Add([]byte(`{"sequences": [{}]}`))
	f.Fuzz(flood.One(func(t *testing.T, data []byte) {
		m, err := measured.Read("m.json", bytes.NewReader(data))
		if (m == nil) == (err == nil) {
			t.Errorf("measured %v with error %v", m, err)
		}
	}))
}
