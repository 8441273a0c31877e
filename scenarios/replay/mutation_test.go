// SPDX-License-Identifier: GPL-2.0-only

package replay_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/conform"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios/replay"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// lines is a capture with one scenario as text.
type lines struct{ head, scenario, tail string }

// captureText cuts one scenario out of a capture, of kernels unless a folder is named.
func captureText(t testing.TB, file, scenario string) lines {
	t.Helper()
	if !strings.Contains(file, "/") {
		file = "kernels/" + file
	}
	f, err := fixtures.FS.Open(file + ".jsonl.gz")
	must(t, err)
	z, err := gzip.NewReader(f)
	must(t, err)
	text, err := io.ReadAll(z)
	must(t, err)
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	i := strings.Index(all[0], `"scenarios":`) + len(`"scenarios":`)
	out := lines{head: all[0][:i] + "1" + all[0][i+strings.IndexAny(all[0][i:], ",}"):], tail: all[len(all)-1]}
	for _, l := range all {
		if strings.HasPrefix(l, `{"type":"scenario","name":"`+scenario+`"`) {
			out.scenario = l
		}
	}
	if out.scenario == "" {
		t.Fatalf("%s has no scenario %s", file, scenario)
	}
	return out
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// read makes a capture of the text.
func (l lines) read(t testing.TB) *capture.Source {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(l.head + "\n" + l.scenario + "\n" + l.tail + "\n"))
	must(t, err)
	must(t, z.Close())
	src, err := capture.Read(bytes.NewReader(b.Bytes()), "excerpt")
	must(t, err)
	return src
}

// with returns the text with a function's code changed at one offset.
func (l lines) with(code []byte, off int, b ...byte) lines {
	changed := bytes.Clone(code)
	copy(changed[off:], b)
	l.scenario = strings.ReplaceAll(l.scenario, hex.EncodeToString(code), hex.EncodeToString(changed))
	return l
}

// verdict is what became of a changed byte.
type verdict int

const (
	refused   verdict = iota // the code does not decode
	violation                // an invariant broke
	result                   // other results than the kernel's, or other tail calls than before
	unreached                // the instruction is never executed in this scenario
	same                     // the instruction means the same
	unlike                   // no difference in this run, but the known kernel's JIT does not emit it
	survived                 // executed, means something else, and nothing differs
	verdicts
)

var verdictNames = [verdicts]string{"does not decode", "breaks an invariant", "wrong result", "never executed", "same instruction", "not the JIT's code", "no difference"}

// mutation runs the changed code of one scenario.
type mutation struct {
	t    *testing.T
	rp   *replay.Replayer
	text lines
	good []trace.Event
}

// replay returns what became of a text, and the events if nothing was wrong.
func (m *mutation) replay(l lines) (verdict, []trace.Event) {
	m.t.Helper()
	src := l.read(m.t)
	target, err := replay.TargetOf(src)
	must(m.t, err)
	c, err := replay.Capture(src, target, 0)
	must(m.t, err)
	r, err := m.rp.Run(context.Background(), c)
	switch {
	case err != nil:
		m.t.Fatalf("a failure of ours: %v", err)
	case r.Skipped != "":
		m.t.Fatal(r.Skipped)
	case len(r.Wrong) == 1 && strings.Contains(r.Wrong[0], "does not decode"):
		return refused, nil
	case r.Violation != nil || r.Killed != "":
		return violation, nil
	case len(r.Wrong) != 0:
		return result, nil
	}
	return survived, r.Events
}

// sameEvents compares what happened.
func sameEvents(a, b []trace.Event) bool {
	return slices.EqualFunc(a, b, func(x, y trace.Event) bool {
		return x.Kind == y.Kind && x.RIP == y.RIP && x.RSP == y.RSP && x.Key == y.Key && x.Reason == y.Reason
	})
}

// judge changes one byte.
func (m *mutation) judge(code []byte, at image.Addr, insn, insnLen, off int, b byte) verdict {
	v, events := m.replay(m.text.with(code, off, b))
	if v != survived {
		return v
	}
	if !sameEvents(events, m.good) {
		return result
	}
	if trap, _ := m.replay(m.text.with(code, insn, 0xcc)); trap == survived {
		return unreached
	}
	old, err := x86.Decode(code[insn:], at+image.Addr(insn))
	must(m.t, err)
	changed := bytes.Clone(code)
	changed[off] = b
	now, err := x86.Decode(changed[insn:], at+image.Addr(insn))
	if err == nil && int(now.Len) == insnLen && (old.IsNop && now.IsNop || old.String() == now.String()) {
		return same
	}
	if r, err := conform.Compare(m.text.with(code, off, b).read(m.t), conform.Options{}); err != nil || !r.OK() {
		return unlike
	}
	return survived
}

// TestMutations changes every byte of every tail-call sequence of scenarios of kernels' own code, in
// every bit and to some other values. A run finds most of them; what it cannot see, because the byte is
// on a way that the scenario does not take or because nothing depends on it there, differs from what
// the JIT of the known kernel emits. Without effect are bytes that are never executed and instructions
// that mean the same. Under -short two scenarios are changed.
func TestMutations(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	var total [verdicts]int
	for _, tc := range []struct{ file, scenario string }{
		{"5.10-off", "tail/loop/var/sub/3-2"},
		{"6.1-off", "tail/main/var/callee1111/stack8"},
		{"6.1-off", "tail/loop/const/main/3-2"},
		{"6.12-off", "hier/self/const/n2/r6"},
		{"6.12-off", "hier/self/var/n2/r6"},
		{"6.12-off", "tail/main/const/callee1111/stack8"},
		{"6.12-off", "tail/empty/var/sub"},
		{"6.12-lfence", "hier/self/var/n1/r6"},
		{"6.18-host", "tail/loop/const/main/3-2"},
		{"7.2-off", "hier/via/var/n1"},
	} {
		t.Run(tc.file+"/"+tc.scenario, func(t *testing.T) {
			rp, err := replay.New(runner.Options{MaxInsns: 1 << 18, MaxEvents: 1 << 14})
			must(t, err)
			defer rp.Close()
			m := &mutation{t: t, rp: rp, text: captureText(t, tc.file, tc.scenario)}
			v, events := m.replay(m.text)
			if v != survived {
				t.Fatalf("unchanged: %s", verdictNames[v])
			}
			m.good = events
			src := m.text.read(t)
			target, err := replay.TargetOf(src)
			must(t, err)
			c, err := replay.Capture(src, target, 0)
			must(t, err)
			var n [verdicts]int
			for _, img := range c.Known().Images {
				for i := range img.Funcs {
					f := &img.Funcs[i]
					for _, s := range f.TailCalls {
						m.site(f, &s, &n)
					}
				}
			}
			t.Log(mutantFigures(n))
			for i := range n {
				total[i] += n[i]
			}
		})
	}
	t.Logf("all: %s", mutantFigures(total))
}

func mutantFigures(n [verdicts]int) string {
	var out []string
	for i, name := range verdictNames {
		out = append(out, fmt.Sprintf("%d %s", n[i], name))
	}
	return strings.Join(out, ", ")
}

// site changes the bytes of one sequence.
func (m *mutation) site(f *image.FuncImage, s *image.TailCallSite, n *[verdicts]int) {
	for insn := int(s.Start); insn < int(s.End); {
		in, err := x86.Decode(f.Code[insn:], f.Addr+image.Addr(insn))
		must(m.t, err)
		for off := insn; off < insn+int(in.Len); off++ {
			for _, b := range values(f.Code[off]) {
				v := m.judge(f.Code, f.Addr, insn, int(in.Len), off, b)
				n[v]++
				if v == survived {
					m.t.Errorf("survives: %s: %s+%#x: byte %d %02x -> %02x", in.String(), f.Name, insn, off-insn, f.Code[off], b)
				}
			}
		}
		insn += int(in.Len)
	}
}

// values are what a byte is changed to.
func values(b byte) []byte {
	out := []byte{}
	for bit := range 8 {
		out = append(out, b^1<<bit)
	}
	for _, v := range []byte{0x00, 0xff, 0x90, 0xcc} {
		if v != b && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// TestOddCode damages one byte of a whole capture, on a way that its scenario does not take.
func TestOddCode(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	const file, scenario = "6.1-off", "tail/main/var/callee1111/stack8"
	f, err := fixtures.FS.Open("kernels/" + file + ".jsonl.gz")
	must(t, err)
	z, err := gzip.NewReader(f)
	must(t, err)
	text, err := io.ReadAll(z)
	must(t, err)
	l := captureText(t, file, scenario)
	src := l.read(t)
	target, err := replay.TargetOf(src)
	must(t, err)
	if odd, err := replay.OddCode(src, target); err != nil || odd != nil {
		t.Errorf("unchanged: %q, %v", odd, err)
	}
	c, err := replay.Capture(src, target, 0)
	must(t, err)
	fn := &c.Known().Images[0].Funcs[0]
	at := int(fn.TailCalls[0].Null) + 1 // the distance that an empty slot goes
	bad := l.with(fn.Code, at, fn.Code[at]^1)
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err = w.Write(bytes.Replace(text, []byte(l.scenario), []byte(bad.scenario), 1))
	must(t, err)
	must(t, w.Close())
	src, err = capture.Read(&b, "damaged")
	must(t, err)
	odd, err := replay.OddCode(src, target)
	must(t, err)
	if len(odd) == 0 || !strings.HasPrefix(odd[0], scenario+": program 0, function 0") {
		t.Errorf("found %q", odd)
	}
}

// TestUnknownKernel replays captures whose header names a kernel that is not known, or lacks what
// tells mitigations: all that is needed is in the code.
func TestUnknownKernel(t *testing.T) {
	for _, tc := range []struct{ file, scenario, design, old, new string }{
		{"6.12-off", "hier/self/var/n2/r6", "hier-6.12", `"release":"6.12.`, `"release":"3.2.`},
		{"7.2-off", "hier/via/var/n1", "hier-6.12", `"release":"7.2.`, `"release":"3.2.`},
		{"5.10-off", "tail/loop/var/sub/3-2", "rework-5.10 or rework-6.7", `"spectre_v2":`, `"spectre_v9":`},
		{"6.1-off", "tail/main/var/callee1111/stack8", "rework-5.10 or rework-6.7", `"spectre_v2":`, `"spectre_v9":`},
	} {
		l := captureText(t, tc.file, tc.scenario)
		known, err := replay.TargetOf(l.read(t))
		must(t, err)
		if !strings.Contains(l.head, tc.old) {
			t.Fatalf("%s: no %s in %.300s", tc.file, tc.old, l.head)
		}
		l.head = strings.Replace(l.head, tc.old, tc.new, 1)
		src := l.read(t)
		target, err := replay.TargetOf(src)
		must(t, err)
		if target.Name != replay.DecodedTarget || target.Offsets != known.Offsets {
			t.Errorf("%s: target %s, offsets %+v, want %+v", tc.file, target.Name, target.Offsets, known.Offsets)
		}
		c, err := replay.Capture(src, target, 0)
		must(t, err)
		rp, err := replay.New(runner.Options{})
		must(t, err)
		r, err := rp.Run(context.Background(), c)
		must(t, err)
		must(t, rp.Close())
		if len(r.Wrong) != 0 || r.Violation != nil || r.Design != tc.design {
			t.Errorf("%s: design %q, %q, %v", tc.file, r.Design, r.Wrong, r.Violation)
		}
	}
}
