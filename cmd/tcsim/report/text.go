// SPDX-License-Identifier: GPL-2.0-only

package report

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios/measure"
)

// codeLine is an instruction of a listing: offset, bytes in hex, x86, number of the BPF instruction, its text, note.
type codeLine struct {
	off            int
	bytes          string
	x86, bpf, note int // words
	insn           int // -1 for none
}

// MarshalJSON implements json.Marshaler: one list, for there are many.
func (l codeLine) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `[%d,"%s",%d,%d,%d,%d]`, l.off, l.bytes, l.x86, l.insn, l.bpf, l.note), nil
}

// codeFunc is a function with its listing in each of the states in which its text was seen.
type codeFunc struct {
	Name     int          `json:"name"` // a word
	Addr     hexa         `json:"addr"`
	Size     int          `json:"size"`
	Versions [][]codeLine `json:"versions"`
	// Heat are cycles of BPF instructions: number, cycles, number of executions, causes (a word).
	Heat [][4]int `json:"heat,omitempty"`
}

// text follows the machine code of a play, which pokes change.
type text struct {
	words  *words
	mem    func(image.Addr, int) ([]byte, error)
	fns    []*trace.Fn
	seen   [][][]byte // by function: each text
	Funcs  []codeFunc `json:"funcs"`
	States [][]int    `json:"states"` // by state and function: index into Versions
}

func newText(w *words, code *trace.Code, mem func(image.Addr, int) ([]byte, error)) *text {
	t := &text{words: w, mem: mem, fns: code.Funcs(), seen: make([][][]byte, len(code.Funcs())), Funcs: make([]codeFunc, len(code.Funcs()))}
	for i, f := range t.fns {
		t.Funcs[i] = codeFunc{Name: w.of(f.String()), Addr: hexa(f.Addr), Size: len(f.Code)}
	}
	return t
}

// read looks at the text as it is now and returns its state.
func (t *text) read() (state int, err error) {
	now := make([]int, len(t.fns))
	for i, f := range t.fns {
		b, err := t.mem(f.Addr, len(f.Code))
		if err != nil {
			return 0, fmt.Errorf("text of %s: %w", f, err)
		}
		v := slices.IndexFunc(t.seen[i], func(old []byte) bool { return bytes.Equal(old, b) })
		if v < 0 {
			v = len(t.seen[i])
			t.seen[i] = append(t.seen[i], b)
			t.Funcs[i].Versions = append(t.Funcs[i].Versions, t.list(f, b))
		}
		now[i] = v
	}
	state = slices.IndexFunc(t.States, func(old []int) bool { return slices.Equal(old, now) })
	if state < 0 {
		state = len(t.States)
		t.States = append(t.States, now)
	}
	return state, nil
}

// list is the listing of a function whose text is b.
func (t *text) list(f *trace.Fn, b []byte) []codeLine {
	now := *f.FuncImage
	now.Code = b
	var out []codeLine
	for _, l := range image.Listing(&now, f.Image.Program) {
		out = append(out, codeLine{
			int(l.Off), hex.EncodeToString(l.Bytes), t.words.of(l.Text), t.words.of(l.BPF), t.words.of(l.Note), int(l.Insn),
		})
	}
	return out
}

// heat puts cycles beside the code.
func (t *text) heat(p *measure.Profile) {
	for i := range p.Funcs {
		f := &p.Funcs[i]
		n := slices.IndexFunc(t.fns, func(o *trace.Fn) bool { return f.Fn != nil && o.Addr == f.Fn.Addr })
		if n < 0 {
			continue
		}
		for k := range f.Insns {
			in := &f.Insns[k]
			t.Funcs[n].Heat = append(t.Funcs[n].Heat, [4]int{int(in.Insn), int(in.Costs.Total()), in.Executed, t.words.of(causes(&in.Costs))})
		}
	}
}
