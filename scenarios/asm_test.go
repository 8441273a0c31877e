// SPDX-License-Identifier: GPL-2.0-only

package scenarios_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/scenarios"
)

// assemble builds a scenario of one program from assembly text.
func assemble(text string, maps scenarios.Named[scenarios.Map]) ([]bpf.Insn, error) {
	var p scenarios.Program
	p.Asm = scenarios.Asm{Text: text, Pos: scenarios.Pos{Line: 1, Col: 1}}
	sc := &scenarios.Scenario{
		File: "asm", Name: "asm", Version: scenarios.Version, Maps: maps,
		Programs: scenarios.Named[scenarios.Program]{{Name: "p", Value: p}},
	}
	b, err := scenarios.Build(sc)
	if err != nil {
		return nil, err
	}
	return b.Programs[0].Insns, nil
}

// asmForms pairs texts with the opcode, registers, offset and immediate of RFC 9669.
var asmForms = []struct {
	text string
	want bpf.Insn
}{
	{"r6 = r1", bpf.Insn{Op: 0xbf, Dst: 6, Src: 1}},
	{"nospec", bpf.Insn{Op: 0xc2}}, // BPF_ST | BPF_NOSPEC (include/linux/filter.h)
	{"w6 = w1", bpf.Insn{Op: 0xbc, Dst: 6, Src: 1}},
	{"r6 = 5", bpf.Insn{Op: 0xb7, Dst: 6, Imm: 5}},
	{"r6 = -5", bpf.Insn{Op: 0xb7, Dst: 6, Imm: -5}},
	{"w6 = 0xffffffff", bpf.Insn{Op: 0xb4, Dst: 6, Imm: -1}},
	{"r1 = (s8)r2", bpf.Insn{Op: 0xbf, Dst: 1, Src: 2, Off: 8}},
	{"r1 = (s32)r2", bpf.Insn{Op: 0xbf, Dst: 1, Src: 2, Off: 32}},
	{"w1 = (s16)w2", bpf.Insn{Op: 0xbc, Dst: 1, Src: 2, Off: 16}},
	{"r1 += r2", bpf.Insn{Op: 0x0f, Dst: 1, Src: 2}},
	{"w1 -= 7", bpf.Insn{Op: 0x14, Dst: 1, Imm: 7}},
	{"r1 *= r2", bpf.Insn{Op: 0x2f, Dst: 1, Src: 2}},
	{"r1 /= r2", bpf.Insn{Op: 0x3f, Dst: 1, Src: 2}},
	{"r1 s/= r2", bpf.Insn{Op: 0x3f, Dst: 1, Src: 2, Off: 1}},
	{"w1 %= 3", bpf.Insn{Op: 0x94, Dst: 1, Imm: 3}},
	{"w1 s%= 3", bpf.Insn{Op: 0x94, Dst: 1, Off: 1, Imm: 3}},
	{"r1 |= r2", bpf.Insn{Op: 0x4f, Dst: 1, Src: 2}},
	{"r1 &= 15", bpf.Insn{Op: 0x57, Dst: 1, Imm: 15}},
	{"r1 <<= r2", bpf.Insn{Op: 0x6f, Dst: 1, Src: 2}},
	{"w1 >>= 3", bpf.Insn{Op: 0x74, Dst: 1, Imm: 3}},
	{"r1 s>>= r2", bpf.Insn{Op: 0xcf, Dst: 1, Src: 2}},
	{"r1 ^= r2", bpf.Insn{Op: 0xaf, Dst: 1, Src: 2}},
	{"r1 = -r1", bpf.Insn{Op: 0x87, Dst: 1}},
	{"w1 = -w1", bpf.Insn{Op: 0x84, Dst: 1}},
	{"r1 = be16 r1", bpf.Insn{Op: 0xdc, Dst: 1, Imm: 16}},
	{"r1 = le64 r1", bpf.Insn{Op: 0xd4, Dst: 1, Imm: 64}},
	{"r1 = bswap32 r1", bpf.Insn{Op: 0xd7, Dst: 1, Imm: 32}},
	{"r1 = addr_space_cast(r2, 0, 1)", bpf.Insn{Op: 0xbf, Dst: 1, Src: 2, Off: 1, Imm: 1}},
	{"r1 = &(void __percpu *)(r2)", bpf.Insn{Op: 0xbf, Dst: 1, Src: 2, Off: -1}},
	{"*(u64 *)(r10 -8) = r1", bpf.Insn{Op: 0x7b, Dst: 10, Src: 1, Off: -8}},
	{"*(u64 *)(r10 - 8) = r1", bpf.Insn{Op: 0x7b, Dst: 10, Src: 1, Off: -8}},
	{"*(u32 *)(r1 + 0x10) = w2", bpf.Insn{Op: 0x63, Dst: 1, Src: 2, Off: 16}},
	{"*(u16 *)(r1) = r2", bpf.Insn{Op: 0x6b, Dst: 1, Src: 2}},
	{"*(u8*)(r1+1)=r2", bpf.Insn{Op: 0x73, Dst: 1, Src: 2, Off: 1}},
	{"*(u64 *)(r10 -8) = -1", bpf.Insn{Op: 0x7a, Dst: 10, Off: -8, Imm: -1}},
	{"r2 = *(u64 *)(r1 +0)", bpf.Insn{Op: 0x79, Dst: 2, Src: 1}},
	{"w2 = *(u32 *)(r1 +4)", bpf.Insn{Op: 0x61, Dst: 2, Src: 1, Off: 4}},
	{"r2 = *(s8 *)(r1 +4)", bpf.Insn{Op: 0x91, Dst: 2, Src: 1, Off: 4}},
	{"r2 = *(s16 *)(r1 +4)", bpf.Insn{Op: 0x89, Dst: 2, Src: 1, Off: 4}},
	{"r2 = *(s32 *)(r1 +4)", bpf.Insn{Op: 0x81, Dst: 2, Src: 1, Off: 4}},
	{"r0 = *(u8 *)skb[12]", bpf.Insn{Op: 0x30, Imm: 12}},
	{"r0 = *(u16 *)skb[r6 + 3]", bpf.Insn{Op: 0x48, Src: 6, Imm: 3}},
	{"lock *(u64 *)(r1 +0) += r2", bpf.Insn{Op: 0xdb, Dst: 1, Src: 2}},
	{"lock *(u32 *)(r1 +4) ^= w2", bpf.Insn{Op: 0xc3, Dst: 1, Src: 2, Off: 4, Imm: 0xa0}},
	{"r2 = atomic64_fetch_add((u64 *)(r1 +0), r2)", bpf.Insn{Op: 0xdb, Dst: 1, Src: 2, Imm: 1}},
	{"w2 = atomic_fetch_or((u32 *)(r1 +0), w2)", bpf.Insn{Op: 0xc3, Dst: 1, Src: 2, Imm: 0x41}},
	{"r2 = atomic64_xchg((u64 *)(r1 +8), r2)", bpf.Insn{Op: 0xdb, Dst: 1, Src: 2, Off: 8, Imm: 0xe1}},
	{"w2 = xchg32_32(r1 + 8, w2)", bpf.Insn{Op: 0xc3, Dst: 1, Src: 2, Off: 8, Imm: 0xe1}},
	{"r0 = atomic64_cmpxchg((u64 *)(r1 +0), r0, r2)", bpf.Insn{Op: 0xdb, Dst: 1, Src: 2, Imm: 0xf1}},
	{"r1 = load_acquire((u8 *)(r2 +0))", bpf.Insn{Op: 0xd3, Dst: 1, Src: 2, Imm: 0x100}},
	{"store_release((u64 *)(r1 +0), r2)", bpf.Insn{Op: 0xdb, Dst: 1, Src: 2, Imm: 0x110}},
	{"goto pc+0", bpf.Insn{Op: 0x05}},
	{"goto +0", bpf.Insn{Op: 0x05}},
	{"gotol pc-1", bpf.Insn{Op: 0x06, Imm: -1}},
	{"may_goto pc+0", bpf.Insn{Op: 0xe5}},
	{"if r1 s> 5 goto +0", bpf.Insn{Op: 0x65, Dst: 1, Imm: 5}},
	{"if w1 <= w2 goto pc+0", bpf.Insn{Op: 0xbe, Dst: 1, Src: 2}},
	{"if r1 & 0x8 goto end", bpf.Insn{Op: 0x45, Dst: 1, Imm: 8}},
	{"if r1 != r2 goto end", bpf.Insn{Op: 0x5d, Dst: 1, Src: 2}},
	{"call 12", bpf.Insn{Op: 0x85, Imm: 12}},
	{"call bpf_tail_call", bpf.Insn{Op: 0x85, Imm: 12}},
	{"call bpf_map_lookup_elem#1", bpf.Insn{Op: 0x85, Imm: 1}},
	{"call unknown#195896080", bpf.Insn{Op: 0x85, Imm: 195896080}},
	{"call pc+1", bpf.Insn{Op: 0x85, Src: 1, Imm: 1}},
	{"call end", bpf.Insn{Op: 0x85, Src: 1, Imm: 1}},
	{"12: (bf) r6 = r1", bpf.Insn{Op: 0xbf, Dst: 6, Src: 1}},
	{"0: bf 16 00 00 00 00 00 00 r6 = r1", bpf.Insn{Op: 0xbf, Dst: 6, Src: 1}},
	{"r6 = r1 ; int main()", bpf.Insn{Op: 0xbf, Dst: 6, Src: 1}},
	{"exit", bpf.Insn{Op: 0x95}},
}

func TestAsmForms(t *testing.T) {
	for _, f := range asmForms {
		rest := "\nend: r0 = 0\nexit"
		if f.want.Op == 0x85 {
			rest = "\nexit" + rest // a call of what follows needs an end of its own
		}
		got, err := assemble(f.text+rest, nil)
		if err != nil {
			t.Errorf("%s: %v", f.text, err)
			continue
		}
		if got[0] != f.want {
			t.Errorf("%s:\n got %+v\nwant %+v", f.text, got[0], f.want)
		}
	}
}

func TestAsmLoads64(t *testing.T) {
	maps := scenarios.Named[scenarios.Map]{
		{Name: "counts", Value: scenarios.Map{ValueSize: 16}},
		{Name: "jmp_table", Value: scenarios.Map{Type: scenarios.ProgArray}},
	}
	for _, c := range []struct {
		text     string
		src      uint8
		imm, top int32
	}{
		{"r1 = 0x1122334455667788 ll", 0, 0x55667788, 0x11223344},
		{"r1 = -1 ll", 0, -1, -1},
		{"(18) r1 = 0x5", 0, 5, 0},
		{"r1 = map[jmp_table] ll", bpf.PseudoMap, 1, 0},
		{"r1 = jmp_table ll", bpf.PseudoMap, 1, 0},
		{"r1 = map[1] ll", bpf.PseudoMap, 1, 0},
		{"r1 = map[counts][0]+8 ll", bpf.PseudoMapValue, 0, 8},
		{"r1 = map[counts][0]", bpf.PseudoMapValue, 0, 0},
	} {
		got, err := assemble(c.text+"\nexit", maps)
		want := []bpf.Insn{{Op: 0x18, Dst: 1, Src: c.src, Imm: c.imm}, {Imm: c.top}, {Op: 0x95}}
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%s: %v (-want +got)\n%s", c.text, err, d)
		}
	}
}

func TestAsmMistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"r11 = 5\nexit", `asm:1:1: expected a register from r0 to r10, found "r11"`},
		{"r1 = 010\nexit", `asm:1:1: expected an integer without leading zeros, found "010"`},
		{"r1 = 0x100000000\nexit", "asm:1:1: expected a number of 32 bits, found 0x100000000"},
		{"r1 = w2\nexit", "asm:1:1: expected registers of one width, found r1 and w2"},
		{"  frob r1\nexit", `asm:1:3: expected a BPF instruction such as "r6 = r1" or "exit", found "frob r1"`},
		{"callx r1\nexit", `asm:1:1: expected a BPF instruction such as "r6 = r1" or "exit", found "callx r1"`},
		{"goto nowhere\nexit", `asm:1:1: no label "nowhere" in this text`},
		{"goto +2\nexit", "asm:1:1: target 3 lies outside the text (slots 0 to 1)"},
		{"goto +1\nr1 = 5 ll\nexit", "asm:1:1: target 2 is the second half of a 64-bit load"},
		{"r1 = 0", "asm:1:1: the text ends here: expected exit or goto"},
		{"a: a: exit", `asm:1:4: duplicate label "a"`},
		{"*(u64 *)(r1 + 40000) = r2\nexit", "asm:1:1: expected an offset from -32768 to 32767, found + 40000"},
		{"*(s8 *)(r1 +0) = r2\nexit", "asm:1:1: expected one of u8, u16, u32, u64 in this instruction, found s8"},
		{"(b7) r1 = r2\nexit", "asm:1:1: the text means opcode bf, but (b7) stands before it"},
		{"r1 = -r2\nexit", "asm:1:1: expected r1 = -r1, found -r2"},
		{"r1 = map[nomap] ll\nexit", `asm:1:1: no map "nomap": expected nothing, the list is empty`},
		{"call bpf_no_such\nexit", `asm:1:1: no helper "bpf_no_such" and no function of that name in p`},
		{"call f\nexit\nf: call g\nexit\ng: call f\nexit", "asm:5:4: cycle of calls: f → g → f"},
		{"if r1 == 0 goto f\ncall f\nexit\nf: r0 = 0\nexit", "asm:1:1: jump from function p into f"},
		{"call f\nf: exit", "asm:1:1: function p ends here: expected exit or goto"},
	} {
		_, err := assemble(c.text, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

// TestAsmOfCaptures prints programs that kernels accepted and reads them back.
func TestAsmOfCaptures(t *testing.T) {
	f, err := capture.LoadFS(fixtures.FS, "kernels/7.2-off.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	programs := 0
	for i, s := range f.Scenarios {
		if testing.Short() && i%10 != 0 {
			continue
		}
		var maps scenarios.Named[scenarios.Map]
		for n, m := range s.Maps {
			kind := map[bpf.MapType]scenarios.MapType{
				bpf.HashMap: scenarios.Hash, bpf.ProgArray: scenarios.ProgArray, bpf.PerCPUArrayMap: scenarios.PerCPUArray,
			}[m.Type]
			maps = append(maps, scenarios.Entry[scenarios.Map]{Name: fmt.Sprintf("m%d", n), Value: scenarios.Map{
				Type: kind, KeySize: m.KeySize, ValueSize: m.ValueSize, MaxEntries: m.MaxEntries,
			}})
		}
		for _, p := range s.Progs {
			if len(p.Funcs) == 0 {
				continue // the kernel refused it
			}
			got, err := assemble(listing(p.Insns), maps)
			if d := cmp.Diff(p.Insns, got); err != nil || d != "" {
				t.Fatalf("%s/%s: %v (-kernel +parsed)\n%s", s.Name, p.Name, err, d)
			}
			programs++
		}
	}
	t.Logf("%d programs", programs)
}

// listing prints a program in the verifier's syntax.
func listing(insns []bpf.Insn) string {
	var b strings.Builder
	for i := 0; i < len(insns); i++ {
		fmt.Fprintln(&b, bpf.TextAt(insns, bpf.InsnIndex(i)))
		if insns[i].Op == 0x18 {
			i++
		}
	}
	return b.String()
}

// TestAsmRoundTrip prints random instructions and reads them back.
func TestAsmRoundTrip(t *testing.T) {
	reg := rapid.Uint8Range(0, 10)
	rapid.Check(t, func(t *rapid.T) {
		form := rapid.SampledFrom(asmForms).Draw(t, "form")
		in := form.want
		if in.Op == 0x85 {
			t.Skip("calls need a target")
		}
		if in.Op == 0xc2 {
			t.Skip("it has no fields")
		}
		if class := in.Op & 7; in.Op != 0x95 && in.Op != 0x30 && class != 0x00 {
			in.Dst = reg.Draw(t, "dst")
		}
		memory := in.Op&7 == 1 || in.Op&7 == 2 || in.Op&7 == 3
		if memory {
			in.Off = rapid.Int16().Draw(t, "off")
		}
		if in.Src != 0 {
			in.Src = reg.Draw(t, "src")
		}
		// Where the immediate is a number and not an operation or a distance.
		plain := in.Op&7 == 2 || in.Imm != 0 && in.Op&8 == 0 && (in.Op&7 == 5 || in.Op&7 == 4 || in.Op&7 == 7) &&
			in.Op&0xf0 != 0xd0 && in.Op != 0x06
		if plain {
			in.Imm = rapid.Int32().Draw(t, "imm")
		}
		if in.Op == 0x06 || in.Op == 0x05 || in.Op == 0xe5 {
			in.Dst, in.Off, in.Imm = 0, 0, 0
		}
		got, err := assemble(in.Text()+"\nexit", nil)
		if err != nil || got[0] != in {
			t.Fatalf("%s: %v\n got %+v\nwant %+v", in.Text(), err, got, in)
		}
	})
}
