// SPDX-License-Identifier: GPL-2.0-only

package recognise_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/fixtures/flood"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
	"github.com/tcsim/tcsim/jit/x86"
)

// The slots that all frames below begin with.
func slotsOf(rest ...image.FrameSlot) []image.FrameSlot {
	return append([]image.FrameSlot{{Off: 8, Size: 8, Kind: image.SlotReturn}, slotReg(0, x86.RBP)}, rest...)
}

func slotReg(off int32, r x86.Reg) image.FrameSlot {
	return image.FrameSlot{Off: off, Size: 8, Kind: image.SlotSavedReg, Reg: r}
}

func slotStack(off, size int32) image.FrameSlot {
	return image.FrameSlot{Off: off, Size: size, Kind: image.SlotBPFStack}
}

func slot(off int32, k image.SlotKind) image.FrameSlot {
	return image.FrameSlot{Off: off, Size: 8, Kind: k}
}

// oldSites are an indirect and a direct site of designs that hand over the whole frame, with the
// counter at rbp+disp, and an epilogue.
func oldSites(load, store string, landing string) string {
	return "89d2 395624 76 @ " + load + " 83f820 77 @ 83c001 " + store + " 488b84d6d0000000 4885c0 74 @ 488b4030 4883c0" + landing + " ffe0 : " +
		load + " 83f820 77 @ 83c001 " + store + " 0f1f440000 : 31c0 c9 c3"
}

// TestRecogniseDesigns has prologues and sites of designs that no capture has, written
// down from their sources. Sites are an indirect one and a direct one with an empty slot.
func TestRecogniseDesigns(t *testing.T) {
	saved := []x86.Reg{x86.RBX, x86.R13, x86.R14, x86.R15}
	for _, tt := range []struct {
		name, code string
		frame      image.Frame
		design     recognise.Design
	}{
		{"direct-poke", "0f1f440000 55 4889e5 4881ec00020000 53 4155 4156 4157 6a00 " + oldSites("8b85dcfdffff", "8985dcfdffff", "19"),
			image.Frame{Slots: slotsOf(slotStack(-512, 512), slotReg(-520, x86.RBX), slotReg(-528, x86.R13), slotReg(-536, x86.R14),
				slotReg(-544, x86.R15), slot(-552, image.SlotTailCallCnt)),
				Body: 25, Landing: 25, Reused: true, Depth: 512, Counter: image.Counter{Form: image.CounterValue, Off: -548, Size: 4}, Saved: saved},
			recognise.Design{Shown: true, Designs: design.SetOf(design.DirectPoke), Landing: 25}},
		{"fp53", "55 4889e5 4881ec00020000 53 4155 4156 4157 6a00 " + oldSites("8b85dcfdffff", "8985dcfdffff", "14"),
			image.Frame{Slots: slotsOf(slotStack(-512, 512), slotReg(-520, x86.RBX), slotReg(-528, x86.R13), slotReg(-536, x86.R14),
				slotReg(-544, x86.R15), slot(-552, image.SlotTailCallCnt)),
				Body: 20, Landing: 20, Reused: true, Depth: 512, Counter: image.Counter{Form: image.CounterValue, Off: -548, Size: 4}, Saved: saved},
			recognise.Design{Shown: true, Designs: design.SetOf(design.FP53), Landing: 20}},
		{"fpshift-4.13", "55 4889e5 4881ec28020000 4883ed28 48895d00 4c896d08 4c897510 4c897d18 31c0 48894520 " + oldSites("8b4524", "894524", "25"),
			image.Frame{Slots: []image.FrameSlot{slot(48, image.SlotReturn), slotReg(40, x86.RBP), slot(32, image.SlotTailCallCnt), slotReg(24, x86.R15),
				slotReg(16, x86.R14), slotReg(8, x86.R13), slotReg(0, x86.RBX), slotStack(-512, 512)},
				Body: 37, Landing: 37, Reused: true, Depth: 512, Counter: image.Counter{Form: image.CounterValue, Off: 36, Size: 4}, Saved: saved},
			recognise.Design{Shown: true, Designs: design.SetOf(design.FPShift413), Landing: 37}},
		{"classic-4.4", "55 4889e5 4881ec28020000 48899dd8fdffff 4c89ade0fdffff 4c89b5e8fdffff 4c89bdf0fdffff 31c0 488985f8fdffff " +
			oldSites("8b85fcfdffff", "8985fcfdffff", "30"),
			image.Frame{Slots: slotsOf(slotStack(-512, 512), slot(-520, image.SlotTailCallCnt), slotReg(-528, x86.R15), slotReg(-536, x86.R14),
				slotReg(-544, x86.R13), slotReg(-552, x86.RBX)),
				Body: 48, Landing: 48, Reused: true, Depth: 512, Counter: image.Counter{Form: image.CounterValue, Off: -516, Size: 4}, Saved: saved},
			recognise.Design{Shown: true, Designs: design.SetOf(design.Classic44), Landing: 48}},
		{"fp40", "55 4889e5 4157 4156 4155 53 6a00 4881ec00020000 " + oldSites("8b45dc", "8945dc", "14"),
			image.Frame{Slots: slotsOf(slotReg(-8, x86.R15), slotReg(-16, x86.R14), slotReg(-24, x86.R13), slotReg(-32, x86.RBX),
				slot(-40, image.SlotTailCallCnt), slotStack(-552, 512)),
				Body: 20, Landing: 20, Reused: true, FP: -40, Depth: 512, Counter: image.Counter{Form: image.CounterValue, Off: -36, Size: 4},
				Saved: []x86.Reg{x86.R15, x86.R14, x86.R13, x86.RBX}},
			recognise.Design{Shown: true, Designs: design.SetOf(design.FP40), Landing: 20}},
		{"hier-rfc2", "0f1f440000 31c0 50 4889e0 e802000000 59 c3 55 4889e5 4881ec10000000 50 53 " +
			"89d2 395624 76 @ 488b85e8ffffff 833821 73 @ 830001 488b8cd6d0000000 4885c9 74 @ 5b 58 4881c410000000 488b4930 4883c116 ffe1 : " +
			"488b85e8ffffff 833821 73 @ 830001 e90e000000 5b 58 4881c410000000 0f1f440000 : 5b c9 c3",
			image.Frame{Slots: []image.FrameSlot{slot(24, image.SlotReturn), slot(16, image.SlotTailCallCnt), slot(8, image.SlotReturn), slotReg(0, x86.RBP),
				slotStack(-16, 16), slot(-24, image.SlotTailCallPtr), slotReg(-32, x86.RBX)},
				Body: 31, Landing: 22, Depth: 16, Counter: image.Counter{Form: image.CounterPtr, Off: -24, Size: 4}, Saved: saved[:1]},
			recognise.Design{Shown: true, Designs: design.SetOf(design.HierRFC2), Landing: 22}},
		{"maciej-hidden16", "0f1f440000 55 4889e5 4883ec10 488965f8 48c7042400000000 488b45f8 50 4881ec20000000 " +
			"89d2 395624 76 @ 488b85f8ffffff 833821 73 @ 488b8cd6d0000000 4885c9 74 @ 830001 4881c420000000 58 4883c410 488b4930 4883c11d ffe1 : " +
			"488b85f8ffffff 833821 73 @ e914000000 830001 4881c420000000 58 4883c410 0f1f440000 : c9 c3",
			image.Frame{Slots: slotsOf(slot(-8, image.SlotTailCallPtr), slot(-16, image.SlotTailCallCnt), slot(-24, image.SlotTailCallPtr), slotStack(-56, 32)),
				Body: 37, Landing: 29, Depth: 32, Counter: image.Counter{Form: image.CounterPtr, Off: -8, Size: 4}},
			recognise.Design{Shown: true, Designs: design.SetOf(design.MaciejHidden16), Landing: 29}},
		{"hier-percpu", "0f1f440000 e800100000 55 4889e5 4881ec10000000 " +
			"89d2 395624 76 @ e800200000 83f821 73 @ 488b8cd6d0000000 4885c9 74 @ 4881c410000000 488b4930 4883c10e ffe1 : " +
			"e800200000 83f821 73 @ e90c000000 4881c410000000 0f1f440000 : c9 c3",
			image.Frame{Slots: slotsOf(slotStack(-16, 16)), Body: 21, Landing: 14, Depth: 16},
			recognise.Design{Shown: true, Designs: design.SetOf(design.HierPerCPU), Landing: 14}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code := assemble(t, tt.code)
			img, err := recognise.RecogniseImage([]image.FuncImage{{Addr: 0xffffffffc0001000, Code: code}})
			must(t, err)
			f := &img.Funcs[0]
			if d := cmp.Diff(tt.frame, f.Frame); d != "" {
				t.Errorf("frame (-want +got):\n%s", d)
			}
			if n := len(f.TailCalls); n != 2 || f.TailCalls[0].Direct || !f.TailCalls[1].Direct {
				t.Fatalf("sites %+v", f.TailCalls)
			}
			for _, s := range f.TailCalls {
				if s.Limit < 0 || s.Jump < 0 || s.Bump < 0 && f.Frame.Counter.Form != image.CounterNone || (s.Unwind < 0) != f.Frame.Reused {
					t.Errorf("site %+v", s)
				}
			}
			d, err := recognise.RecogniseDesign(img)
			must(t, err)
			w := tt.design
			w.Limit, w.Counter, w.Reused = 33, tt.frame.Counter, tt.frame.Reused
			w.Offsets = kernels.Offsets{MapMaxEntries: 0x24, ArrayPtrs: 0xd0, ProgBPFFunc: 0x30}
			if diff := cmp.Diff(w, d); diff != "" {
				t.Errorf("design (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFollows: of designs whose tail calls reuse the frame nothing is said of the order in a site, so Follows must say so, and
// where it says that the order is judged, testing a slot before it is loaded is found.
func TestFollows(t *testing.T) {
	const loads, tests = "488b84d6d0000000", "4885c0"
	fpshift := "55 4889e5 4881ec28020000 4883ed28 48895d00 4c896d08 4c897510 4c897d18 31c0 48894520 " + oldSites("8b4524", "894524", "25")
	if !strings.Contains(fpshift, loads+" "+tests) {
		t.Fatal("the load is another")
	}
	img, err := recognise.RecogniseImage([]image.FuncImage{{Addr: 0xffffffffc0001000,
		Code: assemble(t, strings.ReplaceAll(fpshift, loads+" "+tests, tests+" "+loads))}})
	must(t, err)
	flaws, err := recognise.SiteFlaws(img, 33)
	must(t, err)
	for n := range img.Funcs[0].TailCalls {
		if is, err := recognise.Follows(img, 0, n); err != nil || is != (len(flaws) > 0) {
			t.Errorf("tail call %d of fpshift-4.13: followed %v, %v; %v", n, is, err, flaws)
		}
	}
	funcs, n, s := flawed(t, "kernels/6.12-off.jsonl.gz", "hier/self/var/n2/r6")
	img, err = recognise.RecogniseImage(funcs)
	must(t, err)
	at := slices.IndexFunc(img.Funcs[n].TailCalls, func(c image.TailCallSite) bool { return c.Start == s.Start })
	if is, err := recognise.Follows(img, n, at); err != nil || !is {
		t.Errorf("a tail call of 6.12 is not followed: %v", err)
	}
}

// TestRecogniseUnknown has code that follows no known design: calls are still found, no counter and
// no site is made up.
func TestRecogniseUnknown(t *testing.T) {
	code := assemble(t, "0f1f440000 6690 55 4889e5 53 e800100000 83f821 73 @ b801000000 : ffd0 5b c9 c3 cc")
	f, err := recognise.Recognise(code, 0xffffffffc0001000, false)
	must(t, err)
	if f.Frame.Counter.Form != image.CounterNone || len(f.TailCalls) != 0 {
		t.Errorf("counter %+v, sites %+v", f.Frame.Counter, f.TailCalls)
	}
	want := []image.CallSite{{Insn: -1, Off: 12, Target: 0xffffffffc0002011, Func: -1}, {Insn: -1, Off: 27, Func: -1}}
	if d := cmp.Diff(want, f.Calls); d != "" {
		t.Error(d)
	}
	if _, err := recognise.Recognise([]byte{0x55, 0xf3}, 0, false); err == nil || !strings.Contains(err.Error(), "0x1") {
		t.Errorf("error %v does not name the offset", err)
	}
	if f, err := recognise.Recognise([]byte{0xc3}, 0, false); err != nil || f.Frame.Slots != nil || f.Frame.Landing != -1 {
		t.Errorf("%+v %v, want no frame", f, err)
	}
}

// hierProlog is the prologue of 6.12 without a stack.
const hierProlog = "f30f1efa 0f1f440000 4831c0 55 4889e5 f30f1efa 4883f821 7706 50 4889e0 eb01 50 50 "

// TestRecognisePokes takes a direct site in all states in which text pokes can leave it, the
// forbidden one included, and the place for trampolines patched.
func TestRecognisePokes(t *testing.T) {
	for _, hook := range []string{"0f1f440000", "e800010000", "e900010000"} {
		for _, bypass := range []string{"e90b000000", "0f1f440000"} {
			for _, target := range []string{"0f1f440000", "e900010000", "e9b9ffffff"} {
				code := assemble(t, strings.Replace(hierProlog, "0f1f440000", hook, 1)+
					"488b85f0ffffff 48833821 73 @ "+bypass+" 48830001 58 58 "+target+" : 31c0 c9 c3")
				f, err := recognise.Recognise(code, 0xffffffffc0001000, false)
				must(t, err)
				want := []image.TailCallSite{{Insn: -1, Map: -1, Direct: true, Start: 34, Limit: 45, Bypass: 47, Bump: 52,
					Unwind: 56, Jump: 58, End: 63, Bounds: -1, Null: -1}}
				if d := cmp.Diff(want, f.TailCalls); d != "" {
					t.Errorf("%s %s %s:\n%s", hook, bypass, target, d)
				}
				if f.Frame.Landing != 16 || f.Frame.Body != 34 || len(f.Calls) != 0 {
					t.Errorf("%s %s %s: %+v, calls %v", hook, bypass, target, f.Frame, f.Calls)
				}
			}
		}
	}
}

// TestRecogniseThunks takes an indirect site with every way of jumping through a register.
func TestRecogniseThunks(t *testing.T) {
	for _, tt := range []struct {
		jump string
		skip image.CodeOff // bytes before the jump
	}{
		{"ffe1", 0}, {"ffe1 cc", 0}, {"0faee8 ffe1", 3}, {"e900100000", 0}, {"e900100000 cc", 0}, {"2e ffe1", 0},
		{"e807000000 f390 0faee8 ebf9 48890c24 c3", 0},
	} {
		code := assemble(t, hierProlog+"89d2 395624 76 @ 488b85f0ffffff 48833821 73 @ 488b8cd608010000 4885c9 74 @ 48830001 58 58 488b4930 4883c110 "+
			tt.jump+" : 31c0 c9 c3")
		f, err := recognise.Recognise(code, 0xffffffffc0001000, false)
		must(t, err)
		want := []image.TailCallSite{{Insn: -1, Map: -1, Start: 34, Bounds: 39, Limit: 52, Null: 65, Bump: 67, Unwind: 71,
			Jump: 81 + tt.skip, End: image.CodeOff(len(code)) - 4, Bypass: -1}}
		if d := cmp.Diff(want, f.TailCalls); d != "" {
			t.Errorf("%s:\n%s", tt.jump, d)
		}
		if len(f.Calls) != 0 {
			t.Errorf("%s: calls %+v", tt.jump, f.Calls)
		}
	}
}

// TestRecogniseCFI skips the preambles that CFI builds put before bpf_func.
func TestRecogniseCFI(t *testing.T) {
	for name, preamble := range map[string]string{
		"FineIBT":      "f30f1efa 4181ea78563412 7402 0f0b 90",
		"FineIBT 7.2":  "f30f1efa 2d78563412 2e0f8503000000",
		"kCFI":         "90 90 90 90 90 90 90 90 90 90 90 b878563412",
		"kCFI long":    "66662e0f1f840000000000 b878563412",
		"kCFI of JIT":  "b878563412 90 90 90 90 90 90 90 90 90 90 90",
		"no preamble":  "",
		"not aligned ": "b878563412 c3",
	} {
		code := assemble(t, preamble+" "+hierProlog+"c9 c3")
		f, err := recognise.Recognise(code, 0xffffffffc0001000, false)
		must(t, err)
		want := image.CodeOff(0)
		if strings.Contains(name, "I") {
			want = 16
		}
		if f.Entry != want || want > 0 && (f.Frame.Landing != 32 || f.Frame.Body != 50) {
			t.Errorf("%s: entry %d, frame %+v", name, f.Entry, f.Frame)
		}
	}
}

// FuzzRecognise takes any bytes: it must not panic, and what it reports must lie in the code.
func FuzzRecognise(f *testing.F) {
	f.Add(assemble(f, hierProlog+"488b85f0ffffff 48833821 73 @ e90b000000 48830001 58 58 0f1f440000 : 31c0 c9 c3"), false)
	f.Add(assemble(f, "0f1f440000 55 4889e5 4881ec00020000 53 4155 4156 4157 6a00 "+oldSites("8b85dcfdffff", "8985dcfdffff", "19")), false)
	f.Add(assemble(f, hierProlog+"89d2 395624 76 @ 488b85f0ffffff 48833821 73 @ 488b8cd608010000 4885c9 74 @ 48830001 58 58 488b4930 4883c110 ffe1 : 31c0 c9 c3"), false)
	f.Add(assemble(f, "0f1f440000 31c0 50 4889e0 e802000000 59 c3 55 4889e5 50 53 5b c9 c3"), true)
	f.Add(assemble(f, "0f1f440000 4889f4 4889d5 415f 415e 415d 5b 415c 4889ec c9 c3"), true)
	f.Add(assemble(f, "f30f1efa 4181ea78563412 7402 0f0b 90 "+hierProlog), false)
	f.Fuzz(flood.Two(func(t *testing.T, code []byte, sub bool) {
		fn, err := recognise.Recognise(code, 0xffffffffc0001000, sub)
		if err != nil {
			return
		}
		in := func(offs ...image.CodeOff) {
			for _, o := range offs {
				if o < -1 || int(o) > len(code) {
					t.Fatalf("%x: offset %d of %d", code, o, len(code))
				}
			}
		}
		in(fn.Entry, fn.Frame.Body, fn.Frame.Landing)
		for _, s := range fn.TailCalls {
			in(s.Start, s.End, s.Bounds, s.Limit, s.Null, s.Bump, s.Unwind, s.Bypass, s.Jump)
			if s.Start < 0 || s.Start >= s.Limit || s.Limit >= s.Jump || s.Jump >= s.End {
				t.Fatalf("%x: site %+v", code, s)
			}
		}
		for i, s := range fn.Frame.Slots[min(1, len(fn.Frame.Slots)):] {
			if prev := fn.Frame.Slots[i]; s.Size <= 0 || s.Off+s.Size != prev.Off {
				t.Fatalf("%x: slots %+v", code, fn.Frame.Slots)
			}
		}
		flaws, err := recognise.SiteFlaws(&image.Image{Funcs: []image.FuncImage{fn}}, 33)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range flaws {
			in(s.Off)
		}
	}))
}

func BenchmarkRecognise(b *testing.B) {
	code := assemble(b, hierProlog+"488b85f0ffffff 48833821 73 @ e90b000000 48830001 58 58 0f1f440000 : 31c0 c9 c3")
	for b.Loop() {
		if _, err := recognise.Recognise(code, 0xffffffffc0001000, false); err != nil {
			b.Fatal(err)
		}
	}
}
