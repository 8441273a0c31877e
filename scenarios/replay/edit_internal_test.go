// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"bytes"
	"compress/gzip"
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
	"github.com/tcsim/tcsim/scenarios/edits"
)

// edit is one random change of captured code.
type edit struct {
	edits.Edit
	prog, fn int
	state    capture.State
	// also are the other places with the same code, in all programs: a JIT that is wrong is wrong everywhere.
	also []edit
}

// everywhere makes the same edit in every place of the scenario that has the same code; ok is false if its size
// changes, or if there is no other place.
func (e *edit) everywhere(sc *capture.Scenario) (ok bool) {
	const most = 12 // places that the judge looks at
	if len(e.Repl) != e.Hi-e.Lo {
		return false
	}
	own := sc.Progs[e.prog].Funcs[e.fn].Code(e.state)[e.Lo:e.Hi]
	for p := range sc.Progs {
		for i := range sc.Progs[p].Funcs {
			f := &sc.Progs[p].Funcs[i]
			for _, state := range []capture.State{capture.Empty, capture.Populated} {
				if state != capture.Empty && !f.Recorded(state) {
					continue
				}
				code := f.Code(state)
				for _, in := range edits.Disassemble(code, f.Addr) {
					at := int(in.PC - f.Addr)
					here := edit{Edit: e.Edit, prog: p, fn: i, state: state}
					here.Lo, here.Hi = at, at+len(own)
					if !bytes.HasPrefix(code[at:], own) || p == e.prog && i == e.fn && at < e.Hi && e.Lo < here.Hi {
						continue
					}
					if n := len(e.also); n > 0 && e.also[n-1].prog == p && e.also[n-1].fn == i && at < e.also[n-1].Hi && at >= e.also[n-1].Lo {
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
	return fmt.Sprintf("%s: program %d, function %d, %v, +%#x: %s -> %s (% x)", e.Kind, e.prog, e.fn, e.state, e.Lo, e.Old, e.New, e.Repl)
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
	e.Edit, ok = edits.Draw(r, f.Code(e.state), f.Addr)
	return e, ok
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
	was := f.Code(e.state)[e.Lo:e.Hi]
	grow := e.Grow()
	changed := false
	for state, v := range images {
		code, err := hex.DecodeString(v.(string))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(code[e.Lo:e.Hi], was) {
			if grow != 0 {
				return "", false // the states differ here: the kernel would patch other places
			}
			continue
		}
		now, ok := e.Splice(code, f.Addr)
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
	was := sc.Progs[e.prog].Funcs[e.fn].Code(e.state)[e.Lo:e.Hi]
	for state, v := range images {
		code, err := hex.DecodeString(v.(string))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(code[e.Lo:e.Hi], was) {
			copy(code[e.Lo:], e.Repl)
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
		if int(n) >= e.Hi {
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
