// SPDX-License-Identifier: GPL-2.0-only

package jit_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
	"github.com/tcsim/tcsim/jit/verify"
)

// oneFrameDesigns are the designs before 5.10 as their descriptions have them: prologue, tail call
// and epilogue of a program with 512 bytes of stack, and the distances of the three refusals.
var oneFrameDesigns = []struct {
	name                    string
	prologue, load, store   string
	bounds, limit, null     byte
	landing, epilogue       string
	storeFP, loadFP, fromFP string // *(u64 *)(r10 - 8) = r1, r1 = *(u64 *)(r10 - 8), r1 = r10
}{
	{"classic-4.4", "55 4889e5 4881ec28020000 48899dd8fdffff 4c89ade0fdffff 4c89b5e8fdffff 4c89bdf0fdffff 31c0 488985f8fdffff",
		"8b85fcfdffff", "8985fcfdffff", 45, 34, 8, "30",
		"488b9dd8fdffff 4c8bade0fdffff 4c8bb5e8fdffff 4c8bbdf0fdffff c9 c3",
		"48897df8", "488b7df8", "4889ef"},
	{"fpshift-4.13", "55 4889e5 4881ec28020000 4883ed28 48895d00 4c896d08 4c897510 4c897d18 31c0 48894520",
		"8b8524000000", "898524000000", 41, 30, 8, "25",
		"488b5d00 4c8b6d08 4c8b7510 4c8b7d18 4883c528 c9 c3",
		"48897df8", "488b7df8", "4889ef"},
	{"josh-simple", "4157 4156 4155 55 53 6a00 4889e5 4881ec00020000",
		"8b4504", "894504", 35, 27, 8, "14",
		"488d6508 5b 5d 415d 415e 415f c3",
		"48897df8", "488b7df8", "4889ef"},
	{"fp-r12", "55 4889e5 4157 4156 4155 4154 53 6a00 4989e4 4881ec00020000",
		"8b45d4", "8945d4", 35, 27, 8, "19",
		"488d65d8 5b 415c 415d 415e 415f 5d c3",
		"49897c24f8", "498b7c24f8", "4c89e7"},
	{"fp40", "55 4889e5 4157 4156 4155 53 6a00 4881ec00020000",
		"8b45dc", "8945dc", 35, 27, 8, "14",
		"488d65e0 5b 415d 415e 415f 5d c3",
		"48897dd0", "488b7dd0", "4889ef 4883c7d8"},
	{"fp-dbl", "55 4889e5 4157 4156 4155 53 6a00 55 4889e5 4881ec00020000",
		"8b450c", "89450c", 35, 27, 8, "18",
		"c9 5b 5b 415d 415e 415f 5d c3",
		"48897df8", "488b7df8", "4889ef"},
	{"fp53", "55 4889e5 4881ec00020000 53 4155 4156 4157 6a00",
		"8b85dcfdffff", "8985dcfdffff", 41, 30, 8, "14",
		"5b 415f 415e 415d 5b c9 c3",
		"48897df8", "488b7df8", "4889ef"},
	{"direct-poke", "0f1f440000 55 4889e5 4881ec00020000 53 4155 4156 4157 6a00",
		"8b85dcfdffff", "8985dcfdffff", 41, 30, 8, "19",
		"5b 415f 415e 415d 5b c9 c3",
		"48897df8", "488b7df8", "4889ef"},
}

// TestOneFrameBytes compares whole programs with the bytes of the descriptions, with a plain jump
// and with the retpoline inline.
func TestOneFrameBytes(t *testing.T) {
	for _, d := range oneFrameDesigns {
		for suffix, jump := range map[string]string{"": "ffe0", "-inline": "e807000000 f390 0faee8 ebf9 48890424 c3"} {
			size := byte(len(unhex(t, strings.ReplaceAll(jump, " ", ""))))
			check, slot := "89d2 395624", "488b84d6d0000000 4885c0"
			if d.name == "classic-4.4" { // as 4.9.45 has it
				check, slot = "488b4624 4839d0", "488d84d6d0000000 488b00 4883f800"
			}
			want := unhexWords(t, d.prologue,
				check, fmt.Sprintf("76%02x", d.bounds+size), d.load, "83f820", fmt.Sprintf("77%02x", d.limit+size),
				"83c001", d.store, slot, fmt.Sprintf("74%02x", d.null+size), "488b4030 4883c0"+d.landing, jump,
				d.storeFP, d.loadFP, d.fromFP, "31c0", d.epilogue)
			img, err := compile(t, d.name+suffix, program(512, false, bpf.Insn{Op: bpf.OpTailCall},
				bpf.Insn{Op: bpf.ClassSTX | bpf.ModeMem | bpf.SizeDW, Dst: 10, Src: 1, Off: -8}, bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | bpf.SizeDW, Dst: 1, Src: 10, Off: -8},
				bpf.Insn{Op: bpf.OpMovReg, Dst: 1, Src: 10}, mov0, exit))
			must(t, err)
			if got := img.Funcs[0].Code; !slices.Equal(got, want) {
				t.Errorf("%s%s: code is\n%x, expected\n%x", d.name, suffix, got, want)
			}
			landing, ok := img.Landing()
			if at := img.Funcs[0].Addr + image.Addr(len(unhexWords(t, d.prologue))); !ok || landing != at || d.landing != fmt.Sprintf("%02x", byte(landing)) {
				t.Errorf("%s: landing %#x %v, expected %#x after the prologue, which is 0x%s", d.name, landing, ok, at, d.landing)
			}
		}
	}
}

func unhexWords(t *testing.T, words ...string) []byte {
	t.Helper()
	return unhex(t, strings.ReplaceAll(strings.Join(words, ""), " ", ""))
}

// TestFP40 has what the patch in the mail does to each use of r10, the wrong ones included: it lowers
// the offset when r10 is only stored, and stores rbp, which is 40 higher than r10.
func TestFP40(t *testing.T) {
	for _, row := range []struct {
		what string
		insn bpf.Insn
		want string
	}{
		{"r1 = w10: 64 bits are corrected", bpf.Insn{Op: bpf.ClassALU | bpf.ALUMov | bpf.SrcReg, Dst: 1, Src: 10}, "89ef 4883c7d8"},
		{"r9 = r10", bpf.Insn{Op: bpf.OpMovReg, Dst: 9, Src: 10}, "4989ef 4983c7d8"},
		{"*(u64 *)(r10 - 8) = 0", bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | bpf.SizeDW, Dst: 10, Off: -8}, "48c745d000000000"},
		{"*(u64 *)(r10 - 96) = 0", bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | bpf.SizeDW, Dst: 10, Off: -96}, "48c78578ffffff00000000"},
		{"lock *(u64 *)(r10 - 8) += r1", bpf.Insn{Op: bpf.ClassSTX | bpf.ModeAtomic | bpf.SizeDW, Dst: 10, Src: 1, Off: -8}, "f048017dd0"},
		{"*(u64 *)(r10 - 8) = r10: stores rbp", bpf.Insn{Op: bpf.ClassSTX | bpf.ModeMem | bpf.SizeDW, Dst: 10, Src: 10, Off: -8}, "48896dd0"},
		{"*(u64 *)(r1 + 0) = r10: 40 bytes too low", bpf.Insn{Op: bpf.ClassSTX | bpf.ModeMem | bpf.SizeDW, Dst: 1, Src: 10}, "48896fd8"},
		{"r1 += r10: adds rbp", bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUAdd | bpf.SrcReg, Dst: 1, Src: 10}, "4801ef"},
		{"*(u64 *)(r1 - 8) = r2", bpf.Insn{Op: bpf.ClassSTX | bpf.ModeMem | bpf.SizeDW, Dst: 1, Src: 2, Off: -8}, "488977f8"},
	} {
		img, err := compile(t, "fp40", program(96, false, row.insn, mov0, exit))
		must(t, err)
		f := &img.Funcs[0]
		if got, want := f.Code[f.InsnOff[0]:f.InsnOff[1]], unhexWords(t, row.want); !slices.Equal(got, want) {
			t.Errorf("%s: %x, expected %x", row.what, got, want)
		}
	}
}

// TestOneFrameRules has what the verifiers of these kernels decide: depth, direct tail calls, and
// what they refuse.
func TestOneFrameRules(t *testing.T) {
	tail := func(sub ...bpf.Insn) *bpf.Program {
		p := &bpf.Program{Name: "p", Type: bpf.SchedCLS, Maps: directPokeProgram.Maps, Funcs: []bpf.Func{{Name: "p"}}}
		p.Insns = slices.Clone(directPokeProgram.Insns)
		if sub != nil {
			p.Insns = slices.Insert(p.Insns, 5, bpf.Insn{Op: bpf.OpCall, Src: bpf.PseudoCall, Imm: 1})
			p.Funcs = append(p.Funcs, bpf.Func{Name: "sub", Start: bpf.InsnIndex(len(p.Insns))})
			p.Insns = append(p.Insns, sub...)
		}
		return p
	}
	noTail := &bpf.Program{Name: "p", Type: bpf.SchedCLS, Funcs: []bpf.Func{{Name: "p"}, {Name: "sub", Start: 2}},
		Insns: []bpf.Insn{{Op: bpf.OpCall, Src: bpf.PseudoCall, Imm: 1}, exit, mov0, exit}}
	for _, d := range oneFrameDesigns {
		tgt, err := jit.TargetByName(d.name)
		must(t, err)
		v, err := verify.Analyse(tail(), &tgt.Kernel)
		must(t, err)
		if direct := d.name == "direct-poke"; direct != (len(v.Pokes) == 1) || direct != (v.Insns[3].Imm == 1) {
			t.Errorf("%s: pokes %v", d.name, v.Pokes)
		}
		img, err := jit.Compile(v, tgt, &fixedEnv{next: fuzzBase})
		must(t, err)
		if f := img.Funcs[0].Frame; f.Depth != 512 {
			t.Errorf("%s: depth is %d", d.name, f.Depth)
		}
		wantErr := "tail calls in programs with bpf-to-bpf calls (5.10 and later)"
		_, err = verify.Analyse(noTail, &tgt.Kernel)
		if tgt.Verifier.NoSubprogs {
			wantErr = "bpf-to-bpf calls (4.16 and later)"
			if !errors.Is(err, kernels.ErrUnsupported) {
				t.Errorf("%s: a bpf-to-bpf call gives %v", d.name, err)
			}
		} else if err != nil {
			t.Errorf("%s: %v", d.name, err)
		}
		_, err = verify.Analyse(tail(mov0, exit), &tgt.Kernel)
		if !errors.Is(err, kernels.ErrUnsupported) || !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%s: error is %v, expected %q", d.name, err, wantErr)
		}
		new610, err := jit.TargetByName("6.1")
		must(t, err)
		v, err = verify.Analyse(tail(mov0, exit), &new610.Kernel)
		must(t, err)
		if img, err := jit.Compile(v, tgt, &fixedEnv{next: fuzzBase}); img != nil || !errors.Is(err, kernels.ErrUnsupported) || !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%s: compile error is %v, expected %q", d.name, err, wantErr)
		}
	}
}

// TestDirectPokePlans has the protocol with one patched instruction per site.
func TestDirectPokePlans(t *testing.T) {
	tgt, err := jit.TargetByName("direct-poke")
	must(t, err)
	for _, row := range []struct {
		name     string
		old, new image.Addr
		want     string
	}{
		{"insert", 0, progA, "ptr, jump nop>A"},
		{"replace", progA, progB, "ptr, jump A>B"},
		{"delete", progA, 0, "ptr, jump A>nop"},
		{"delete of empty", 0, 0, "ptr, jump nop>nop"},
	} {
		plan, err := tgt.UpdatePlan([]image.PokeSite{{Jump: siteJump, Out: siteOut}}, row.old, row.new)
		must(t, err)
		if got := planText(plan); got != row.want {
			t.Errorf("%s: plan is %q, expected %q", row.name, got, row.want)
		}
	}
}

// TestRecogniseOneFrame requires of Recognise all that the compiler knows of its own code in these
// designs, with and without a tail call and a stack, and the name of the design.
func TestRecogniseOneFrame(t *testing.T) {
	divide := bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUDiv | bpf.SrcReg, Dst: 6, Src: 1} // pushes and pops
	for _, d := range oneFrameDesigns {
		for _, target := range []string{d.name, d.name + "-inline"} {
			tgt, err := jit.TargetByName(target)
			must(t, err)
			programs := []*verify.Verified{
				program(512, true, bpf.Insn{Op: bpf.OpTailCall}, bpf.Insn{Op: bpf.OpCall, Imm: 5}, mov0, exit),
				program(512, true, divide, useR7, bpf.Insn{Op: bpf.OpTailCall}, bpf.Insn{Op: bpf.OpTailCall}, mov0, exit),
				program(8, false, bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | bpf.SizeDW, Dst: 10, Off: -8}, mov0, exit),
				program(20, false, divide, useR7, mov0, exit),
				program(0, false, mov0, exit),
			}
			if d.name == "direct-poke" {
				programs = append(programs, program(512, true, bpf.Insn{Op: bpf.OpTailCall, Imm: 1}, mov0, bpf.Insn{Op: bpf.OpTailCall}, exit))
			}
			for i, v := range programs {
				want, err := jit.Compile(v, tgt, &fixedEnv{next: fuzzBase})
				must(t, err)
				got, err := recognise.RecogniseImage(want.Funcs)
				must(t, err)
				w := want.Funcs[0]
				w.TailCalls = slices.Clone(w.TailCalls)
				for n := range w.TailCalls {
					w.TailCalls[n].Map, w.TailCalls[n].Key = -1, 0 // not in the code
				}
				if diff := cmp.Diff(w, got.Funcs[0]); diff != "" {
					t.Errorf("%s program %d (-compiler +recognised):\n%s", target, i, diff)
				}
				if design, err := recognise.RecogniseDesign(got); err != nil || design.Name() != d.name && len(w.TailCalls) > 0 {
					t.Errorf("%s program %d: design %+v %v", target, i, design, err)
				}
			}
		}
	}
}
