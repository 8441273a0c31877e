// SPDX-License-Identifier: GPL-2.0-only

package bpf_test

import (
	"testing"

	"github.com/tcsim/tcsim/jit/bpf"
)

func TestText(t *testing.T) {
	for want, in := range map[string]bpf.Insn{
		"r6 = r1":                     {Op: bpf.OpMovReg, Dst: 6, Src: 1},
		"w3 = 7":                      {Op: 0xb4, Dst: 3, Imm: 7},
		"r1 = (s8)r2":                 {Op: 0xbf, Dst: 1, Src: 2, Off: 8},
		"w1 = (s16)w2":                {Op: 0xbc, Dst: 1, Src: 2, Off: 16},
		"r0 = &(void __percpu *)(r0)": {Op: 0xbf, Off: -1},
		"r1 s/= r2":                   {Op: 0x3f, Dst: 1, Src: 2, Off: 1},
		"w1 %= 3":                     {Op: 0x94, Dst: 1, Imm: 3},
		"r4 s>>= 63":                  {Op: 0xc7, Dst: 4, Imm: 63},
		"w2 = -w2":                    {Op: 0x84, Dst: 2},
		"r5 = be16 r5":                {Op: 0xdc, Dst: 5, Imm: 16},
		"r5 = le64 r5":                {Op: 0xd4, Dst: 5, Imm: 64},
		"r5 = bswap32 r5":             {Op: 0xd7, Dst: 5, Imm: 32},
		"r0 = *(u64 *)(r10 -8)":       {Op: 0x79, Src: 10, Off: -8},
		"r0 = *(s16 *)(r1 +2)":        {Op: 0x89, Src: 1, Off: 2},
		"*(u64 *)(r10 -8) = r1":       {Op: 0x7b, Dst: 10, Src: 1, Off: -8},
		"*(u8 *)(r10 -3) = 1":         {Op: 0x72, Dst: 10, Off: -3, Imm: 1},
		"lock *(u32 *)(r1 +4) |= w2":  {Op: 0xc3, Dst: 1, Src: 2, Off: 4, Imm: 0x40},
		"r2 = atomic64_fetch_add((u64 *)(r1 +0), r2)":   {Op: 0xdb, Dst: 1, Src: 2, Imm: 1},
		"w2 = atomic_xchg((u32 *)(r1 +0), w2)":          {Op: 0xc3, Dst: 1, Src: 2, Imm: 0xe1},
		"r0 = atomic64_cmpxchg((u64 *)(r1 +8), r0, r2)": {Op: 0xdb, Dst: 1, Src: 2, Off: 8, Imm: 0xf1},
		"w0 = load_acquire((u8 *)(r1 +0))":              {Op: 0xd3, Src: 1, Imm: 0x100},
		"r0 = *(u32 *)skb[4]":                           {Op: 0x20, Imm: 4},
		"r0 = *(u8 *)skb[r7 -1]":                        {Op: 0x50, Src: 7, Imm: -1},
		"if r1 s> 5 goto pc+3":                          {Op: 0x65, Dst: 1, Off: 3, Imm: 5},
		"if w1 & w2 goto pc-4":                          {Op: 0x4e, Dst: 1, Src: 2, Off: -4},
		"goto pc+7":                                     {Op: bpf.OpJA, Off: 7},
		"gotol pc-70000":                                {Op: 0x06, Imm: -70000},
		"may_goto pc+2":                                 {Op: 0xe5, Off: 2},
		"call #12":                                      {Op: bpf.OpCall, Imm: 12},
		"call pc+3":                                     {Op: bpf.OpCall, Src: bpf.PseudoCall, Imm: 3},
		"call kfunc#0":                                  {Op: 0x85, Src: 2},
		"tail_call #1":                                  {Op: bpf.OpTailCall, Imm: 1},
		"exit":                                          {Op: bpf.OpExit},
		"BUG_alu_ef":                                    {Op: 0xef},
		"BUG_jmp_f6":                                    {Op: 0xf6},
	} {
		if got := in.Text(); got != want {
			t.Errorf("%+v is %q, expected %q", in, got, want)
		}
	}
	two := []bpf.Insn{{Op: 0x18, Dst: 1, Imm: 1}, {Imm: -1}, {Op: 0x18, Src: 2, Imm: 3}, {Imm: 16}}
	if got := bpf.TextAt(two, 0); got != "r1 = 0xffffffff00000001 ll" {
		t.Error(got)
	}
	if got := bpf.TextAt(two, 2); got != "r0 = map[3][0]+16 ll" {
		t.Error(got)
	}
}
