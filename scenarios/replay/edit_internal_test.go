// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// editKinds are the kinds of random edits.
var editKinds = []string{"bit", "byte", "instruction", "swap", "dropped", "dropped, relinked", "doubled, relinked"}

// edit is one random change of captured code.
type edit struct {
	kind     string
	prog, fn int
	state    capture.State
	lo, hi   int    // [lo, hi) of the old code
	repl     []byte // what stands there now
	old, new string // instructions
	// also are the other places with the same code, in all programs: a JIT that is wrong is wrong everywhere.
	also []edit
}

// everywhere makes the same edit in every place of the scenario that has the same code; ok is false if its size
// changes, or if there is no other place.
func (e *edit) everywhere(sc *capture.Scenario) (ok bool) {
	const most = 12 // places that the judge looks at
	if len(e.repl) != e.hi-e.lo {
		return false
	}
	own := sc.Progs[e.prog].Funcs[e.fn].Code(e.state)[e.lo:e.hi]
	for p := range sc.Progs {
		for i := range sc.Progs[p].Funcs {
			f := &sc.Progs[p].Funcs[i]
			for _, state := range []capture.State{capture.Empty, capture.Populated} {
				if state != capture.Empty && !f.Recorded(state) {
					continue
				}
				code := f.Code(state)
				for _, in := range disassemble(code, f.Addr) {
					at := int(in.PC - f.Addr)
					here := edit{kind: e.kind, prog: p, fn: i, state: state, lo: at, hi: at + len(own), repl: e.repl, old: e.old, new: e.new}
					if !bytes.HasPrefix(code[at:], own) || p == e.prog && i == e.fn && at < e.hi && e.lo < here.hi {
						continue
					}
					if n := len(e.also); n > 0 && e.also[n-1].prog == p && e.also[n-1].fn == i && at < e.also[n-1].hi && at >= e.also[n-1].lo {
						continue // it has been edited, or the other state of it has
					}
					if len(e.also) == most {
						return false
					}
					e.also = append(e.also, here)
				}
			}
		}
	}
	return len(e.also) > 0
}

func (e *edit) String() string {
	if n := len(e.also); n > 0 {
		one := *e
		one.also = nil
		return fmt.Sprintf("%s, and in %d places more", &one, n)
	}
	return fmt.Sprintf("%s: program %d, function %d, %v, +%#x: %s -> %s (% x)", e.kind, e.prog, e.fn, e.state, e.lo, e.old, e.new, e.repl)
}

// captureLines are the lines of a capture of fixtures/kernels, or of a file whose name ends as those of captures do.
func captureLines(t testing.TB, file string) []string {
	open, name := fixtures.FS.Open, "kernels/"+file+".jsonl.gz"
	if strings.HasSuffix(file, ".jsonl.gz") {
		open, name = func(n string) (fs.File, error) { return os.Open(n) }, file
	}
	f, err := open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// alone is a capture of one scenario.
func alone(t testing.TB, all []string, scenario string) (*capture.Source, error) {
	i := strings.Index(all[0], `"scenarios":`) + len(`"scenarios":`)
	head := all[0][:i] + "1" + all[0][i+strings.IndexAny(all[0][i:], ",}"):]
	return packed(t, []string{head, scenario, all[len(all)-1]})
}

// packed reads a capture with these lines.
func packed(t testing.TB, lines []string) (*capture.Source, error) {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	for _, l := range lines {
		fmt.Fprintln(z, l)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return capture.Read(&b, "edited")
}

// decoded reads instructions and where each begins.
func disassemble(code []byte, addr image.Addr) (insns []x86.Inst) {
	for off := 0; off < len(code); {
		in, err := x86.Decode(code[off:], addr+image.Addr(off))
		if err != nil {
			return insns
		}
		insns = append(insns, in)
		off += int(in.Len)
	}
	return insns
}

// randomEdit draws an edit of a scenario; ok is false if this one is not possible.
func randomEdit(r *rand.Rand, sc *capture.Scenario) (e edit, ok bool) {
	e.prog = r.IntN(len(sc.Progs))
	p := &sc.Progs[e.prog]
	if len(p.Funcs) == 0 {
		return e, false
	}
	e.fn = r.IntN(len(p.Funcs))
	f := &p.Funcs[e.fn]
	for _, s := range []capture.State{capture.Empty, capture.Populated} {
		if f.Recorded(s) && r.IntN(2) == 0 {
			e.state = s
		}
	}
	code := f.Code(e.state)
	insns := disassemble(code, f.Addr)
	i := r.IntN(len(insns))
	if r.IntN(3) == 0 {
		i = min(i, r.IntN(14)) // prologues are small
	}
	in := insns[i]
	e.kind = editKinds[r.IntN(len(editKinds))]
	e.lo = int(in.PC - f.Addr)
	e.hi = e.lo + int(in.Len)
	e.old = in.String()
	if !e.draw(r, code, insns, i) || e.repl != nil && bytes.Equal(e.repl, code[e.lo:e.hi]) {
		return e, false
	}
	var now []string
	for _, in := range disassemble(e.repl, f.Addr+image.Addr(e.lo)) {
		now = append(now, in.String())
	}
	e.new = strings.Join(now, "; ")
	return e, true
}

// draw chooses what stands in place of instruction i; ok is false if there is nothing.
func (e *edit) draw(r *rand.Rand, code []byte, insns []x86.Inst, i int) (ok bool) {
	in, addr := insns[i], insns[0].PC
	switch e.kind {
	case "bit", "byte":
		at := e.lo + r.IntN(int(in.Len))
		b := code[at] ^ 1<<r.IntN(8)
		if e.kind == "byte" {
			b = byte(r.Uint32())
		}
		e.repl = bytes.Clone(code[e.lo:e.hi])
		e.repl[at-e.lo] = b
	case "instruction":
		var same []int
		for k := range insns {
			if insns[k].Len == in.Len && k != i {
				same = append(same, k)
			}
		}
		if len(same) == 0 {
			return false
		}
		k := same[r.IntN(len(same))]
		at := int(insns[k].PC - addr)
		e.repl = moved(code[at:at+int(in.Len)], &insns[k], in.PC)
	case "swap":
		if i+1 >= len(insns) {
			return false
		}
		next := insns[i+1]
		e.hi += int(next.Len)
		e.old += "; " + next.String()
		a := moved(code[e.lo:e.lo+int(in.Len)], &in, in.PC+image.Addr(next.Len))
		b := moved(code[e.lo+int(in.Len):e.hi], &next, in.PC)
		e.repl = append(bytes.Clone(b), a...)
	case "dropped":
		e.repl = nops(int(in.Len))
	case "dropped, relinked":
	case "doubled, relinked":
		one := code[e.lo:e.hi]
		e.repl = append(bytes.Clone(one), moved(one, &in, in.Next())...)
	}
	return true
}

// nops are nops as one instruction, as compilers write them.
func nops(n int) []byte {
	all := [][]byte{{}, {0x90}, {0x66, 0x90}, {0x0f, 0x1f, 0}, {0x0f, 0x1f, 0x40, 0}, {0x0f, 0x1f, 0x44, 0, 0}, {0x66, 0x0f, 0x1f, 0x44, 0, 0},
		{0x0f, 0x1f, 0x80, 0, 0, 0, 0}, {0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}}
	if n < len(all) {
		return bytes.Clone(all[n])
	}
	return append(bytes.Clone(all[8]), nops(n-8)...)
}

// moved is an instruction at another address that means the same, if its displacement has room for that.
func moved(code []byte, in *x86.Inst, to image.Addr) []byte {
	out := bytes.Clone(code)
	delta := int64(to) - int64(in.PC)
	n := len(out)
	switch {
	case in.Branch.Direct() && n == 2:
		out[1] = byte(int64(int8(out[1])) - delta)
	case in.Branch.Direct() && n >= 5, in.HasMem && in.Mem.RIPRel && n >= 6:
		at := n - 4
		if in.HasMem && in.Mem.RIPRel {
			if _, imm := in.Imm(); imm {
				return out
			}
		}
		binary.LittleEndian.PutUint32(out[at:], uint32(int64(int32(binary.LittleEndian.Uint32(out[at:])))-delta))
	}
	return out
}

// splice puts an edit into code: everything after it moves, and what refers to it follows. ok is false if a
// displacement is too short.
func (e *edit) splice(code []byte, addr image.Addr) (out []byte, ok bool) {
	grow := len(e.repl) - (e.hi - e.lo)
	out = append(append(bytes.Clone(code[:e.lo]), e.repl...), code[e.hi:]...)
	if grow == 0 {
		return out, true
	}
	for _, in := range disassemble(code, addr) {
		at := int(in.PC - addr)
		if at >= e.lo && at < e.hi || !in.Branch.Direct() && !(in.HasMem && in.Mem.RIPRel) {
			if at == e.lo && e.kind == "doubled, relinked" && in.Branch.Direct() {
				return nil, false
			}
			continue
		}
		now := at
		if at >= e.hi {
			now += grow
		}
		delta := now - at
		if to := int(int64(in.Target) - int64(addr)); in.Branch.Direct() && to >= e.hi && to <= len(code) {
			delta -= grow
		}
		n := int(in.Len)
		switch {
		case in.Branch.Direct() && n == 2:
			v := int(int8(code[at+1])) - delta
			if v < -128 || v > 127 {
				return nil, false
			}
			out[now+1] = byte(v)
		case in.Branch.Direct():
			binary.LittleEndian.PutUint32(out[now+n-4:], uint32(int(int32(binary.LittleEndian.Uint32(code[at+n-4:])))-delta))
		default:
			if delta != 0 {
				return nil, false
			}
		}
	}
	return out, true
}

// apply makes the edit in the text of a scenario; ok is false if it is not possible.
func (e *edit) apply(t testing.TB, line string, sc *capture.Scenario) (edited string, ok bool) {
	d := json.NewDecoder(strings.NewReader(line))
	d.UseNumber()
	var doc map[string]any
	if err := d.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	prog := doc["progs"].([]any)[e.prog].(map[string]any)
	fn := prog["funcs"].([]any)[e.fn].(map[string]any)
	images := fn["image"].(map[string]any)
	for i := range e.also {
		e.also[i].inPlace(t, doc, sc)
	}
	f := &sc.Progs[e.prog].Funcs[e.fn]
	was := f.Code(e.state)[e.lo:e.hi]
	grow := len(e.repl) - (e.hi - e.lo)
	changed := false
	for state, v := range images {
		code, err := hex.DecodeString(v.(string))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(code[e.lo:e.hi], was) {
			if grow != 0 {
				return "", false // the states differ here: the kernel would patch other places
			}
			continue
		}
		now, ok := e.splice(code, f.Addr)
		if !ok {
			return "", false
		}
		images[state], changed = hex.EncodeToString(now), true
	}
	if grow != 0 {
		fn["len"] = f.Len + grow
		e.shift(prog, grow)
		if grow > 0 && !room(sc, f, grow) {
			return "", false
		}
	}
	out, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return string(out), changed
}

// inPlace makes an edit of the same size in a scenario that was read.
func (e *edit) inPlace(t testing.TB, doc map[string]any, sc *capture.Scenario) {
	prog := doc["progs"].([]any)[e.prog].(map[string]any)
	images := prog["funcs"].([]any)[e.fn].(map[string]any)["image"].(map[string]any)
	was := sc.Progs[e.prog].Funcs[e.fn].Code(e.state)[e.lo:e.hi]
	for state, v := range images {
		code, err := hex.DecodeString(v.(string))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(code[e.lo:e.hi], was) {
			copy(code[e.lo:], e.repl)
			images[state] = hex.EncodeToString(code)
		}
	}
}

// room reports whether a function can grow.
func room(sc *capture.Scenario, f *capture.Func, n int) bool {
	for i := range sc.Progs {
		for k := range sc.Progs[i].Funcs {
			if g := &sc.Progs[i].Funcs[k]; g.Addr > f.Addr && g.Addr < f.Addr+image.Addr(f.Len+n) {
				return false
			}
		}
	}
	return true
}

// shift moves what a program records of offsets in the edited function.
func (e *edit) shift(prog map[string]any, grow int) {
	move := func(v any) any {
		n, _ := v.(json.Number).Int64()
		if int(n) >= e.hi {
			n += int64(grow)
		}
		return n
	}
	mine := func(v any) bool { n, _ := v.(json.Number).Int64(); return int(n) == e.fn }
	if m, ok := prog["insn_map"].([]any); ok {
		for _, q := range m {
			if q := q.([]any); mine(q[2]) {
				q[3] = move(q[3])
			}
		}
	}
	objects := func(list any) {
		l, _ := list.([]any)
		for _, o := range l {
			o := o.(map[string]any)
			if !mine(o["func"]) {
				continue
			}
			o["off"] = move(o["off"])
			if o["imm"] != nil {
				o["imm"] = move(o["imm"])
			}
		}
	}
	objects(prog["tail_calls"])
	objects(prog["maps_at"])
	if refs, ok := prog["refs"].(map[string]any); ok {
		for _, l := range refs {
			objects(l)
		}
	}
}
