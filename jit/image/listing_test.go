// SPDX-License-Identifier: GPL-2.0-only

package image_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tcsim/tcsim/fixtures/golden"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/x86"
)

// listed is a program with a 16-byte instruction, an elided jump, a helper call and a direct tail
// call.
func listed(t testing.TB, target string) (*image.Image, *bpf.Program) {
	t.Helper()
	p := &bpf.Program{Name: "main", Insns: []bpf.Insn{
		{Op: bpf.OpMovReg, Dst: 6, Src: 1},               // r6 = r1
		{Op: bpf.OpLdImm64, Dst: 2, Src: 0, Imm: 0x1234}, // r2 = 0x5600001234 ll
		{Imm: 0x56},
		{Op: bpf.OpJA},                            // goto +0
		{Op: bpf.OpCall, Imm: 5},                  // call helper
		{Op: bpf.OpMov, Dst: 3, Imm: 1},           // r3 = 1
		{Op: bpf.OpCall, Imm: bpf.HelperTailCall}, // tail call
		{Op: bpf.ClassJmp | bpf.JmpNe, Dst: 6, Off: -3, Imm: 7}, // if r6 != 7 goto -3
		{Op: bpf.OpExit}, // exit
	}}
	v := &verify.Verified{Program: p, Insns: append([]bpf.Insn(nil), p.Insns...), Pokes: []verify.PokeDesc{{Insn: 6, Key: 1}},
		Funcs: []verify.FuncInfo{{Name: "main", End: 9, StackDepth: 8, TailCallReachable: true}}}
	v.Insns[6] = bpf.Insn{Op: bpf.OpTailCall, Imm: 1}
	tgt, err := jit.TargetByName(target)
	must(t, err)
	img, err := jit.Compile(v, tgt, flatEnv{})
	must(t, err)
	return img, p
}

func TestListing(t *testing.T) {
	img, p := listed(t, "6.12")
	var b strings.Builder
	must(t, image.WriteListing(&b, &img.Funcs[0], p))
	golden.Check(t, "testdata/"+"listing.txt", b.String())
}

func TestDiff(t *testing.T) {
	a, p := listed(t, "6.1")
	b, _ := listed(t, "6.12")
	d := image.DiffFuncs(&a.Funcs[0], &b.Funcs[0], p)
	d.NameA, d.NameB = "6.1", "6.12"
	var w strings.Builder
	must(t, d.Write(&w, -1))
	golden.Check(t, "testdata/"+"diff.txt", w.String())
	if d.Same || d.BytesA != len(a.Funcs[0].Code) || d.BytesB != len(b.Funcs[0].Code) {
		t.Errorf("same %v, %d and %d bytes", d.Same, d.BytesA, d.BytesB)
	}
	w.Reset()
	must(t, d.Write(&w, 0))
	for _, l := range strings.Split(w.String(), "\n") {
		if strings.HasPrefix(l, "0: ") {
			t.Errorf("context 0 shows an instruction without a difference: %s", l)
		}
	}
}

// TestDiffEncoding marks an instruction that is encoded differently, and nothing else.
func TestDiffEncoding(t *testing.T) {
	a, p := listed(t, "6.12")
	b, _ := listed(t, "6.12")
	f := &b.Funcs[0]
	at := f.InsnOff[0] // mov rbx, rdi: 48 89 fb or 48 8b df
	if got := f.Code[at : at+3]; !bytes.Equal(got, []byte{0x48, 0x89, 0xfb}) {
		t.Fatalf("% x", got)
	}
	copy(f.Code[at:], []byte{0x48, 0x8b, 0xdf})
	d := image.DiffFuncs(&a.Funcs[0], f, p)
	var marked []string
	for _, g := range d.Groups {
		for _, r := range g.Rows {
			if r.Mark != image.DiffSame {
				marked = append(marked, string(rune(r.Mark))+" "+g.BPF+" "+r.A.Text)
			}
		}
	}
	if want := []string{"~ r6 = r1 mov rbx, rdi"}; !slices.Equal(marked, want) {
		t.Errorf("marked %q, want %q", marked, want)
	}
	var w strings.Builder
	must(t, d.Write(&w, 0))
	if !strings.Contains(w.String(), "4889fb") || !strings.Contains(w.String(), "488bdf") {
		t.Errorf("bytes are not shown:\n%s", w.String())
	}
}

// TestDiffSame compares what the compiler makes with itself at another place.
func TestDiffSame(t *testing.T) {
	a, p := listed(t, "6.12")
	b, _ := listed(t, "6.12")
	b.Funcs[0].Addr += 0x1000
	d := image.DiffFuncs(&a.Funcs[0], &b.Funcs[0], p)
	if !d.Same {
		var w strings.Builder
		must(t, d.Write(&w, 0))
		t.Errorf("not the same:\n%s", w.String())
	}
}

// TestDiffCaptures compares the programs of two kernels as compiled: every line of both listings
// is in the diff once and in order, and the picture is at most 100 columns wide.
func TestDiffCaptures(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	c := readCapture(t, "6.12-off")
	t1, err := jit.TargetByName("6.12")
	must(t, err)
	t2, err := jit.TargetByName("6.18")
	must(t, err)
	compared := 0
	for e := range compiled(c) {
		if e.Scenario.Line%7 != 0 {
			continue
		}
		v := e.Verified()
		prog := &bpf.Program{Insns: v.Insns}
		a, err := jit.Compile(v, t1, e)
		must(t, err)
		b, err := jit.Compile(v, t2, e)
		must(t, err)
		for k := range a.Funcs {
			compared++
			checkDiff(t, e.Scenario.Name, &a.Funcs[k], &b.Funcs[k], prog)
			ua, ub := a.Funcs[k], b.Funcs[k]
			ua.InsnOff, ub.InsnOff = nil, nil
			checkDiff(t, e.Scenario.Name+" (no offsets)", &ua, &ub, prog)
		}
	}
	if compared == 0 {
		t.Error("nothing was compared")
	}
}

func checkDiff(t *testing.T, name string, a, b *image.FuncImage, p *bpf.Program) {
	t.Helper()
	d := image.DiffFuncs(a, b, p)
	var la, lb []image.CodeOff
	for _, g := range d.Groups {
		for _, r := range g.Rows {
			if r.A != nil && len(r.A.Bytes) > 0 {
				la = append(la, r.A.Off)
			}
			if r.B != nil && len(r.B.Bytes) > 0 {
				lb = append(lb, r.B.Off)
			}
		}
	}
	if !slices.Equal(la, offsets(a)) || !slices.Equal(lb, offsets(b)) {
		t.Errorf("%s: lines are missing or out of order", name)
	}
	if len(la) != d.InsnsA || len(lb) != d.InsnsB || d.BytesA != len(a.Code) || d.BytesB != len(b.Code) {
		t.Errorf("%s: %d and %d instructions in %d and %d bytes", name, d.InsnsA, d.InsnsB, d.BytesA, d.BytesB)
	}
	var w strings.Builder
	must(t, d.Write(&w, -1))
	for _, l := range strings.Split(w.String(), "\n") {
		if n := utf8.RuneCountInString(l); n > 100 {
			t.Errorf("%s: %d columns: %s", name, n, l)
		}
	}
}

// offsets are where the instructions of f begin.
func offsets(f *image.FuncImage) (offs []image.CodeOff) {
	for off := 0; off < len(f.Code); {
		in, err := x86.Decode(f.Code[off:], 0)
		if err != nil {
			return nil
		}
		offs = append(offs, image.CodeOff(off))
		off += int(in.Len)
	}
	return offs
}

// TestListingBad lists bytes that do not decode one by one.
func TestListingBad(t *testing.T) {
	var got []string
	for _, l := range image.Listing(&image.FuncImage{Code: []byte{0x06, 0x55, 0xf3}}, nil) {
		got = append(got, l.Text)
	}
	if want := []string{"(bad)", "push rbp", "(bad)"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
