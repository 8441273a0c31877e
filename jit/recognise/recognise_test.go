// SPDX-License-Identifier: GPL-2.0-only

package recognise_test

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures"
	captures "github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
)

// eachCapture calls f with every scenario of every captured kernel.
func eachCapture(t *testing.T, f func(t *testing.T, s *captures.Scenario)) {
	t.Helper()
	names, err := fs.Glob(fixtures.FS, "kernels/*.jsonl.gz")
	if err != nil || len(names) == 0 {
		t.Fatal("no captures", err)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && !strings.HasSuffix(name, "-off.jsonl.gz") {
				t.Skip("the others only in full runs")
			}
			t.Parallel()
			src, err := captures.OpenFS(fixtures.FS, name, name)
			if err != nil {
				t.Fatal(err)
			}
			stride := 1
			if testing.Short() {
				stride = shortStride
			}
			for i := 0; i < src.Len(); i += stride {
				s, err := src.Scenario(i)
				if err != nil {
					t.Fatal(err)
				}
				f(t, s)
			}
		})
	}
}

// states are the states of a capture's images.
var states = []captures.State{captures.Empty, captures.Populated, captures.Traced, captures.Deleted}

// images returns the functions of a program in every state for which the capture has code.
func images(p *captures.Prog) map[captures.State][]image.FuncImage {
	m := map[captures.State][]image.FuncImage{}
	for _, st := range states {
		recorded := false
		var funcs []image.FuncImage
		for i := range p.Funcs {
			fn := &p.Funcs[i]
			recorded = recorded || fn.Recorded(st)
			funcs = append(funcs, image.FuncImage{Name: fn.Name, Addr: fn.Addr, Code: fn.Code(st)})
		}
		if recorded {
			m[st] = funcs
		}
	}
	return m
}

// TestRecogniseCaptures finds in every captured function exactly the tail calls and calls that the
// capture lists, in all states of the prog arrays.
func TestRecogniseCaptures(t *testing.T) {
	eachCapture(t, func(t *testing.T, s *captures.Scenario) {
		for n := range s.Progs {
			p := &s.Progs[n]
			for st, funcs := range images(p) {
				where := fmt.Sprintf("%s prog %d %v", s.Name, n, st)
				img, err := recognise.RecogniseImage(funcs)
				if err != nil {
					t.Errorf("%s: %v", where, err)
					continue
				}
				checkTailCalls(t, where, p, img)
				checkCalls(t, where, p, st, img)
			}
		}
	})
}

type tailCall struct {
	fn     int
	off    image.CodeOff
	direct bool
}

func checkTailCalls(t *testing.T, where string, p *captures.Prog, img *image.Image) {
	t.Helper()
	var want, got []tailCall
	for _, tc := range p.TailCalls {
		want = append(want, tailCall{tc.Func, tc.Off, tc.Direct})
	}
	for i := range img.Funcs {
		for _, s := range img.Funcs[i].TailCalls {
			got = append(got, tailCall{i, s.Start, s.Direct})
			checkSite(t, where, &img.Funcs[i], &s)
		}
	}
	if !slices.Equal(want, got) {
		t.Errorf("%s: tail calls %v, want %v", where, got, want)
	}
}

// checkSite checks that a site has all the parts that its kind has, in the order of its design.
func checkSite(t *testing.T, where string, f *image.FuncImage, s *image.TailCallSite) {
	t.Helper()
	var order []image.CodeOff
	value := f.Frame.Counter.Form == image.CounterValue
	switch {
	case s.Direct && value:
		order = []image.CodeOff{s.Start, s.Limit, s.Bump, s.Bypass, s.Unwind, s.Jump, s.End}
	case s.Direct:
		order = []image.CodeOff{s.Start, s.Limit, s.Bypass, s.Bump, s.Unwind, s.Jump, s.End}
	case value:
		order = []image.CodeOff{s.Start, s.Bounds, s.Limit, s.Bump, s.Null, s.Unwind, s.Jump, s.End}
	default:
		order = []image.CodeOff{s.Start, s.Bounds, s.Limit, s.Null, s.Bump, s.Unwind, s.Jump, s.End}
	}
	for i := 1; i < len(order); i++ {
		if order[i] <= order[i-1] {
			t.Errorf("%s: site %+v: parts %v are not in order", where, *s, order)
			return
		}
	}
	if s.Direct != (s.Bounds < 0) || s.Direct != (s.Null < 0) || s.Direct == (s.Bypass < 0) {
		t.Errorf("%s: site %+v has the wrong parts", where, *s)
	}
}

func checkCalls(t *testing.T, where string, p *captures.Prog, st captures.State, img *image.Image) {
	t.Helper()
	type call struct {
		fn     int
		off    image.CodeOff
		target image.Addr
	}
	var want, got []call
	for _, state := range []captures.State{captures.Empty, st} {
		for _, r := range p.Refs[state] {
			if r.Kind == "call" && !slices.Contains(want, call{r.Func, r.Off, r.Target}) && (state != captures.Traced || r.Off > 4) {
				want = append(want, call{r.Func, r.Off, r.Target})
			}
		}
	}
	for i := range img.Funcs {
		for _, c := range img.Funcs[i].Calls {
			got = append(got, call{i, c.Off, c.Target})
			if c.Func >= 0 && img.Funcs[c.Func].Addr != c.Target {
				t.Errorf("%s: call %+v is not to function %d", where, c, c.Func)
			}
		}
	}
	slices.SortFunc(want, func(a, b call) int { return 100000*(a.fn-b.fn) + int(a.off-b.off) })
	if !slices.Equal(want, got) {
		t.Errorf("%s: calls %x, want %x", where, got, want)
	}
}

// TestRecogniseFrames checks that the frames of captured functions are complete and make sense:
// saved registers first and last, one stack, a counter wherever there is a tail call.
func TestRecogniseFrames(t *testing.T) {
	eachCapture(t, func(t *testing.T, s *captures.Scenario) {
		for n := range s.Progs {
			p := &s.Progs[n]
			for st, funcs := range images(p) {
				img, err := recognise.RecogniseImage(funcs)
				if err != nil {
					t.Fatal(err)
				}
				for i := range img.Funcs {
					if err := checkFrame(&img.Funcs[i], i != 0); err != nil {
						t.Errorf("%s prog %d func %d %v: %v: %+v", s.Name, n, i, st, err, img.Funcs[i].Frame)
					}
				}
			}
		}
	})
}

func checkFrame(f *image.FuncImage, sub bool) error {
	fr := &f.Frame
	if len(fr.Slots) < 2 || fr.Slots[0] != (image.FrameSlot{Off: 8, Size: 8, Kind: image.SlotReturn}) {
		return fmt.Errorf("no return address at rbp+8")
	}
	at := int32(16)
	for _, s := range fr.Slots {
		if s.Off+s.Size != at || s.Size <= 0 {
			return fmt.Errorf("gap or overlap at rbp%+d", at)
		}
		if s.Kind == image.SlotUnknown || s.Kind == image.SlotPad {
			return fmt.Errorf("slot at rbp%+d is not explained", s.Off)
		}
		at = s.Off
	}
	if (fr.Landing < 0) != sub {
		return fmt.Errorf("landing %d, subprogram %v", fr.Landing, sub)
	}
	if len(f.TailCalls) > 0 && fr.Counter.Form == image.CounterNone {
		return fmt.Errorf("tail calls without a counter")
	}
	if fr.Counter.Form != image.CounterNone && fr.Counter.Off >= -fr.Depth {
		return fmt.Errorf("counter inside the program's stack")
	}
	return nil
}

// TestRecogniseDesign checks what the sites of each kernel show against the table of the capture's
// README.
func TestRecogniseDesign(t *testing.T) {
	want := map[string]recognise.Design{
		"5.10": {Shown: true, Designs: design.SetOf(design.Rework510, design.Rework67), Landing: 11, Offsets: kernels.Offsets{MapMaxEntries: 0x24, ArrayPtrs: 0x110, ProgBPFFunc: 0x30}},
		"6.1":  {Shown: true, Designs: design.SetOf(design.Rework510, design.Rework67), Landing: 11, Offsets: kernels.Offsets{MapMaxEntries: 0x24, ArrayPtrs: 0x110, ProgBPFFunc: 0x30}},
		"6.12": {Shown: true, Designs: design.SetOf(design.Hier612), Landing: 16, Offsets: kernels.Offsets{MapMaxEntries: 0x24, ArrayPtrs: 0x108, ProgBPFFunc: 0x30}},
		"6.16": {Shown: true, Designs: design.SetOf(design.Hier612), Landing: 16, Offsets: kernels.Offsets{MapMaxEntries: 0x24, ArrayPtrs: 0x108, ProgBPFFunc: 0x30}},
		"6.18": {Shown: true, Designs: design.SetOf(design.Hier612), Landing: 12, Offsets: kernels.Offsets{MapMaxEntries: 0x4c, ArrayPtrs: 0x138, ProgBPFFunc: 0x48}},
		"7.2":  {Shown: true, Designs: design.SetOf(design.Hier612), Landing: 16, Offsets: kernels.Offsets{MapMaxEntries: 0x4c, ArrayPtrs: 0x130, ProgBPFFunc: 0x48}},
		"7.3":  {Shown: true, Designs: design.SetOf(design.Hier612), Landing: 16, Offsets: kernels.Offsets{MapMaxEntries: 0x44, ArrayPtrs: 0x128, ProgBPFFunc: 0x48}},
	}
	eachCapture(t, func(t *testing.T, s *captures.Scenario) {
		_, file, _ := strings.Cut(t.Name(), "kernels/")
		kernel, _, _ := strings.Cut(strings.TrimPrefix(file, "extra-"), "-")
		w, ok := want[kernel]
		if !ok {
			t.Fatalf("no row for %s", kernel)
		}
		for n := range s.Progs {
			for st, funcs := range images(&s.Progs[n]) {
				img, err := recognise.RecogniseImage(funcs)
				if err != nil {
					t.Fatal(err)
				}
				d, err := recognise.RecogniseDesign(img)
				if err != nil {
					t.Fatal(err)
				}
				var direct, indirect bool
				for _, f := range img.Funcs {
					for _, s := range f.TailCalls {
						direct, indirect = direct || s.Direct, indirect || !s.Direct
					}
				}
				w := w
				if !indirect {
					w.Landing, w.Offsets = 0, kernels.Offsets{}
				}
				if direct || indirect {
					w.Limit = 33
				}
				w.Counter = d.Counter
				if d.Counter.Form == image.CounterNone {
					w.Shown, w.Designs = false, 0
				}
				if d != w {
					t.Errorf("%s prog %d %v: %+v, want %+v", s.Name, n, st, d, w)
				}
			}
		}
	})
}
