// SPDX-License-Identifier: GPL-2.0-only

package stored

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/fixtures/flood"
	"github.com/tcsim/tcsim/jit/image"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// code is that of two programs that share their maps.
func code(t testing.TB) *trace.Code {
	o := trace.Outline{
		Maps: [][]string{{"jmp_table", "other"}},
		Programs: []trace.OutlineProgram{
			{Name: "entry", Maps: 0, Insns: []string{"r1 = 1", "exit"}}, {Name: "next", Maps: 0, Insns: []string{"exit"}},
		},
		Functions: []trace.OutlineFunction{
			{Name: "entry", Program: 0, Addr: 0x1000, Size: 100, Tails: []trace.OutlineTail{{Map: 1}, {Direct: true, Map: -1}}},
			{Name: "next", Program: 1, Addr: 0x2000, Size: 50}, {Name: "trampoline", Program: -1, Addr: 0x3000, Size: 10},
		},
	}
	c, err := o.Restore()
	must(t, err)
	return c
}

// event draws one.
func event(r *rand.Rand, c *trace.Code, no uint64) trace.Event {
	fns := append([]*trace.Fn{nil}, c.Funcs()...)
	e := trace.Event{
		No: no, Kind: trace.Kind(1 + r.IntN(int(trace.KindHook))), Fn: fns[r.IntN(len(fns))], Seq: no * 3, Site: no + r.Uint64N(2), Depth: r.IntN(5),
		RIP: image.Addr(0x1000 + r.Uint64N(8)), RSP: image.Addr(r.Uint64N(3) << 40), RBP: image.Addr(r.Uint64()), RAX: image.Addr(r.Uint64N(2)),
		Cycle: timing.Cycle(r.IntN(4)), Act: r.IntN(9), Begun: r.IntN(2), Taken: r.Uint64N(40), Inner: r.IntN(2) == 0, Key: r.Uint32(),
	}
	if r.IntN(2) == 0 {
		e.Insn, e.HasInsn, e.Name = 1, true, []string{"", "bpf_loop"}[r.IntN(2)]
		e.Counter, e.CounterAddr, e.CounterPtrAt = r.Uint64N(40), image.Addr(r.Uint64()), image.Addr(r.Uint64())
	}
	if e.Fn == c.Funcs()[0] {
		e.Tail, e.Reason, e.FellThrough = &e.Fn.TailCalls[r.IntN(2)], trace.Reason(r.IntN(4)), true
		e.Target, e.TargetAddr = c.Funcs()[1], 0x2004
	}
	return e
}

// TestRoundTrip writes runs with more events than a piece has and reads them back, from the beginning, from elsewhere and by
// kind.
func TestRoundTrip(t *testing.T) {
	c, path := code(t), filepath.Join(t.TempDir(), "events")
	r := rand.New(rand.NewPCG(1, 2))
	runs := map[int][]trace.Event{1: nil, 4: nil, 5: nil}
	w, err := Create(path)
	must(t, err)
	must(t, w.Begin(Header{Run: 1, Args: []string{"run", "x"}}, c))
	must(t, w.End(End{Interrupted: true}))
	for _, run := range []int{4, 5} {
		must(t, w.Begin(Header{Scenario: "s", Target: "6.12", Run: run, Program: "entry", Args: []string{"trace", "--limit=3", "s"}}, c))
		for no := range uint64(pieceEvents + 100) {
			e := event(r, c, no+1)
			runs[run] = append(runs[run], e)
			must(t, w.Event(&e))
		}
		must(t, w.End(End{Retired: 7, Violation: &stack.Moment{Seq: 3}, Text: []string{"a"}, Summary: json.RawMessage(`{"a":1}`), Failed: true}))
	}
	must(t, w.Close())
	if !Is(path) || Is(filepath.Dir(path)) || Is(path+"x") {
		t.Error("the file is not known for what it is, or something else is")
	}
	f, err := Open(path)
	must(t, err)
	defer f.Close()
	if len(f.Runs) != 3 || !f.Runs[0].End.Interrupted {
		t.Fatalf("%d runs", len(f.Runs))
	}
	for n, want := range runs {
		run, err := f.Named(n)
		must(t, err)
		must(t, run.Bind(c))
		for _, first := range []uint64{1, 17, pieceEvents, pieceEvents + 1, pieceEvents + 90} {
			var got []trace.Event
			must(t, run.Each(first, func(e *trace.Event) bool { got = append(got, *e); return true }))
			rest := want[min(int(first)-1, len(want)):]
			if len(got) != len(rest) {
				t.Fatalf("run %d from %d: %d events, want %d", n, first, len(got), len(rest))
			}
			for i := range got {
				if got[i] != rest[i] {
					t.Fatalf("run %d, event %d:\n%+v, want\n%+v", n, rest[i].No, got[i], rest[i])
				}
			}
		}
		calls := uint64(0)
		must(t, run.Each(1, func(e *trace.Event) bool {
			if e.Kind == trace.KindCall {
				calls++
			}
			return true
		}, trace.KindCall))
		if calls != run.Count(trace.KindCall) || n != 1 && calls == 0 {
			t.Errorf("run %d: %d calls, %d counted", n, calls, run.Count(trace.KindCall))
		}
	}
	if diff := cmp.Diff(End{
		Events: pieceEvents + 100, Retired: 7, Violation: &stack.Moment{Seq: 3}, Text: []string{"a"}, Summary: json.RawMessage(`{"a":1}`), Failed: true,
	}, f.Runs[2].End); diff != "" {
		t.Error(diff)
	}
	if _, err := f.Named(2); err == nil || !strings.HasSuffix(err.Error(), "has no run 2; it has 1, 4, 5") {
		t.Error(err)
	}
	other, err := (&trace.Outline{Functions: []trace.OutlineFunction{{Name: "entry", Program: -1, Addr: 0x1000, Size: 100}}}).Restore()
	must(t, err)
	if err := f.Runs[0].Bind(other); err == nil || !strings.Contains(err.Error(), "not those of the run that was recorded") {
		t.Errorf("other code: %v", err)
	}
}

// small is a file of one run with a few events.
func small(t testing.TB) []byte {
	c, path := code(t), filepath.Join(t.TempDir(), "events")
	r := rand.New(rand.NewPCG(3, 4))
	w, err := Create(path)
	must(t, err)
	must(t, w.Begin(Header{Run: 1, Args: []string{"run", "x"}}, c))
	for no := range uint64(5) {
		e := event(r, c, no+1)
		must(t, w.Event(&e))
	}
	must(t, w.End(End{}))
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is there before it is whole")
	}
	must(t, w.Close())
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

// all reads everything.
func all(b []byte) error {
	f, err := Read("file", bytes.NewReader(b))
	if err != nil {
		return err
	}
	for i := range f.Runs {
		if err := f.Runs[i].Each(1, func(e *trace.Event) bool {
			_ = trace.Line(f.Runs[i].Code, e)
			_ = e.Record(f.Runs[i].Code)
			return true
		}); err != nil {
			return err
		}
	}
	return nil
}

// TestDamaged cuts a file at each place and changes each of its bytes: that is noticed, with the place.
func TestDamaged(t *testing.T) {
	b := small(t)
	must(t, all(b))
	var at *FileError
	for n := range b {
		if err := all(b[:n]); !errors.As(err, &at) {
			t.Fatalf("cut to %d of %d bytes: %v", n, len(b), err)
		}
		changed := bytes.Clone(b)
		changed[n] ^= 0x11
		if err := all(changed); !errors.As(err, &at) {
			t.Fatalf("byte %d changed: %v", n, err)
		}
	}
	if err := all(append(bytes.Clone(b), 0)); err == nil || !strings.Contains(err.Error(), "more after the end") {
		t.Errorf("longer: %v", err)
	}
	if err := all(bytes.Replace(b, []byte("events 1\n"), []byte("events 2\n"), 1)); err == nil || err.Error() !=
		`file: at byte 0: version "2" of the form, expected 1: record the run again with this tcsim` {
		t.Errorf("a later version: %v", err)
	}
	if err := all(b[:len(b)-1]); err == nil || !strings.Contains(err.Error(), "without its end") {
		t.Errorf("cut: %v", err)
	}
}

// TestAborted leaves no file, and what was there before as it was.
func TestAborted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	must(t, os.WriteFile(path, []byte("old"), 0o600))
	w, err := Create(path)
	must(t, err)
	must(t, w.Begin(Header{Run: 1, Args: []string{"run", "x"}}, code(t)))
	w.Abort()
	left, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	b, err := os.ReadFile(path)
	must(t, err)
	if string(b) != "old" || len(left) != 1 {
		t.Errorf("%q and %d files", b, len(left))
	}
}

// built makes a file of texts and of bytes that stand for events, with checksums that are right.
func built(t testing.TB, header, events, end []byte) []byte {
	var b bytes.Buffer
	z, err := flate.NewWriter(nil, flate.BestSpeed)
	must(t, err)
	w := &Writer{b: bufio.NewWriter(&b), z: z}
	fmt.Fprintf(w.b, "%s%d\n", magic, version)
	must(t, w.block(blockRun, nil, header))
	n := 1 + len(events)%40
	meta := binary.AppendUvarint(binary.AppendUvarint(nil, 1), uint64(n))
	for i := range int(trace.KindHook) + 1 {
		k := 0
		if i == 1 {
			k = n
		}
		meta = binary.AppendUvarint(meta, uint64(k))
	}
	must(t, w.block(blockEvents, meta, events))
	must(t, w.block(blockEnd, nil, bytes.ReplaceAll(end, []byte("COUNT"), fmt.Append(nil, n))))
	must(t, w.block(blockLast, nil, nil))
	must(t, w.b.Flush())
	return b.Bytes()
}

func FuzzRead(f *testing.F) {
	f.Add(small(f))
	f.Fuzz(flood.One(func(_ *testing.T, b []byte) { _ = all(b) }))
}

// FuzzBlocks has texts and events that no checksum protects.
func FuzzBlocks(f *testing.F) {
	c, r := code(f), rand.New(rand.NewPCG(5, 6))
	header, err := json.Marshal(Header{Run: 1, Args: []string{"run", "x"}, Code: c.Outline()})
	must(f, err)
	enc := newEncoder(c)
	for no := range uint64(12) {
		e := event(r, c, no+1)
		must(f, enc.add(&e))
	}
	f.Add(header, enc.out)
	f.Add([]byte(`{"run":1,"args":["run","x"],"code":{"functions":[{"name":"a","program":-1,"size":9}]}}`), []byte{0, 1, 0, 0, 1, 0, 0, 0})
	f.Fuzz(flood.Two(func(t *testing.T, header, events []byte) {
		_ = all(built(t, header, events, []byte(`{"events":COUNT}`)))
	}))
}
