// SPDX-License-Identifier: GPL-2.0-only

package verify_test

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	captures "github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify/rewrite"
)

// capturedKernel answers with the addresses that a capture shows.
type capturedKernel struct {
	h    *captures.Header
	sym  *captures.SymbolTable
	vars map[string]image.Addr
}

func (k *capturedKernel) Symbol(name string) (image.Addr, bool) {
	a, ok := k.vars[name]
	return a, ok
}

func (k *capturedKernel) Call(name string) (int32, bool) {
	a, ok := k.sym.Addr(name)
	return int32(a - k.h.CallBase), ok
}

// learn finds the variables that inlined helpers read, whose names captures do not have.
func (k *capturedKernel) learn(f *captures.File) {
	k.vars = map[string]image.Addr{}
	for i := range f.Scenarios {
		for j := range f.Scenarios[i].Progs {
			p := &f.Scenarios[i].Progs[j]
			calls := map[int32]bool{}
			for _, in := range p.Insns {
				calls[in.Imm] = calls[in.Imm] || in.Op == 0x85 && in.Src == 0
			}
			for n := 0; n+2 < len(p.Xlated); n++ {
				a, b, c := p.Xlated[n], p.Xlated[n+1], p.Xlated[n+2]
				switch {
				case calls[118] && a.Op == 0x18 && a.Src == 0 && b.Imm == -1 && c == (bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | bpf.SizeDW}):
					k.vars["jiffies"] = image.Addr(uint64(uint32(a.Imm)) | uint64(uint32(b.Imm))<<32)
				case calls[8] && a.Op&^3 == 0xb4 && b.Off == -1 && c == (bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | bpf.SizeW}):
					k.vars["cpu_number"] = image.Addr(int64(a.Imm))
				case (calls[35] || calls[158]) && a.Op == 0xb7 && b.Off == -1 && c == (bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | bpf.SizeDW}):
					k.vars["current_task"] = image.Addr(int64(a.Imm))
				}
			}
		}
	}
}

// TestRewriteCaptures rewrites every program that a kernel accepted and compares it with what the
// kernel's verifier made of it.
func TestRewriteCaptures(t *testing.T) {
	names, err := fs.Glob(fixtures.FS, "kernels/*.jsonl.gz")
	must(t, err)
	for _, name := range names {
		short := strings.TrimSuffix(strings.TrimPrefix(name, "kernels/"), ".jsonl.gz")
		t.Run(short, func(t *testing.T) {
			if testing.Short() && !strings.HasSuffix(name, "-off.jsonl.gz") {
				t.Skip("the others only in full runs")
			}
			t.Parallel()
			f, err := captures.LoadFS(fixtures.FS, name)
			must(t, err)
			tgt, err := jit.TargetFor(f.Header.Kernel)
			must(t, err)
			k := &capturedKernel{h: &f.Header, sym: f.Symbols.Table()}
			k.learn(f)
			same, total, shown := 0, 0, map[string]int{}
			for i := range f.Scenarios {
				s := &f.Scenarios[i]
				for j := range s.Progs {
					if p := &s.Progs[j]; len(p.Xlated) == 0 {
						if _, err := rewrite.Program(s.Submitted(j), &tgt.Kernel); err == nil && strings.Contains(p.LoadError, "stack") {
							t.Errorf("%s, program %d: accepted, the kernel says %s", s.Name, j, p.LoadError)
						}
						continue
					}
					total++
					err := compareRewrite(s, j, tgt, k)
					if err == nil {
						same++
						continue
					}
					kind := strings.Join(strings.SplitN(s.Name, "/", 3)[:min(2, strings.Count(s.Name, "/"))], "/")
					if shown[kind]++; shown[kind] <= 2 {
						t.Logf("%s, program %d: %v", s.Name, j, err)
					}
				}
			}
			t.Logf("%d/%d programs identical", same, total)
			if same != total {
				t.Errorf("%d/%d programs identical; others: %v", same, total, shown)
			}
		})
	}
}

func compareRewrite(s *captures.Scenario, n int, tgt *jit.Target, k *capturedKernel) error {
	want, err := s.Xlated(n, k.h, k.sym)
	if err != nil {
		return err
	}
	got, err := rewrite.For(s.Submitted(n), &tgt.Kernel, k)
	if err != nil {
		return err
	}
	if slices.Equal(got.Insns, want.Insns) && len(got.Funcs) == len(want.Funcs) {
		return nil
	}
	at := 0
	for at < len(got.Insns) && at < len(want.Insns) && got.Insns[at] == want.Insns[at] {
		at++
	}
	text := func(p *bpf.Program) string {
		var b strings.Builder
		for i := max(0, at-2); i < min(at+4, len(p.Insns)); i++ {
			fmt.Fprintf(&b, "\n  %d: %s", i, bpf.TextAt(p.Insns, bpf.InsnIndex(i)))
		}
		return b.String()
	}
	return fmt.Errorf("differs at slot %d (%d slots, the kernel has %d), the kernel has%s\nwe have%s", at, len(got.Insns), len(want.Insns), text(want), text(got))
}
