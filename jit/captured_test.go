// SPDX-License-Identifier: GPL-2.0-only

package jit_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	captures "github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify"
)

// The facts that the verifier would give are read from the captured image here, so that the compiler is judged
// alone; the conform command derives them.

func readCapture(t testing.TB, name string) *captures.File {
	t.Helper()
	f, err := captures.LoadFS(fixtures.FS, "kernels/"+name+".jsonl.gz")
	must(t, err)
	return f
}

// shortStride is how many scenarios of a capture are passed over under -short for one that is compared.
const shortStride = 8

// captured is a program that a kernel compiled, with the addresses that it used.
type captured struct {
	*captures.Env
	scenario *captures.Scenario
	prog     *captures.Prog
	n        int // in the scenario
}

// compiled are the programs of a capture that the kernel has code for.
func compiled(f *captures.File) iter.Seq[captured] {
	return func(yield func(captured) bool) {
		symbols := f.Symbols.Table()
		for i := range f.Scenarios {
			s := &f.Scenarios[i]
			for n := range s.Progs {
				p := &s.Progs[n]
				if p.LoadError != "" || len(p.Funcs) == 0 {
					continue
				}
				if !yield(captured{s.Env(n, &f.Header, symbols), s, p, n}) {
					return
				}
			}
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	must(t, err)
	return b
}

// verified makes what the verifier would tell the JIT out of the captured image.
func (e captured) verified() *verify.Verified {
	v := &verify.Verified{Program: &bpf.Program{Name: e.prog.Name}, Insns: slices.Clone(e.prog.Xlated)}
	starts := map[int]int{0: 0}
	for i, in := range v.Insns {
		if in.Op == 0x85 && in.Src == bpf.PseudoCall {
			starts[int(in.Imm)] = i + 1 + int(in.Off)
		}
	}
	for i := range e.prog.Funcs {
		end := len(v.Insns)
		if s, ok := starts[i+1]; ok {
			end = s
		}
		f := verify.FuncInfo{Name: e.prog.Funcs[i].Name, Start: bpf.InsnIndex(starts[i]), End: bpf.InsnIndex(end)}
		f.StackDepth, f.TailCallReachable = prologueFacts(e.prog.Funcs[i].Code(captures.Empty), v.Insns[f.Start])
		v.Funcs = append(v.Funcs, f)
	}
	e.markTailCalls(v)
	e.markProbes(v)
	return v
}

// prologueFacts reads stack depth and whether there is a counter. A function without a counter can
// begin with push rax, too: that of a multiplication or division, which rdx or r11 follows.
func prologueFacts(code []byte, first bpf.Insn) (depth int32, reachable bool) {
	code = bytes.TrimPrefix(code, []byte{0xf3, 0x0f, 0x1e, 0xfa})
	code = code[5:]
	if bytes.HasPrefix(code, []byte{0x31, 0xc0}) || bytes.HasPrefix(code, []byte{0x66, 0x90}) {
		code = code[2:]
	} else {
		code = code[3:]
	}
	code = bytes.TrimPrefix(code[4:], []byte{0xf3, 0x0f, 0x1e, 0xfa})
	if bytes.HasPrefix(code, []byte{0x48, 0x81, 0xec}) {
		depth = int32(code[3]) | int32(code[4])<<8
		code = code[7:]
	}
	if bytes.HasPrefix(code, []byte{0x48, 0x83, 0xf8, 33, 0x77, 6}) {
		return depth, true
	}
	op := first.Op >> 4
	muldiv := first.Op&3 == 0 && first.Op&4 != 0 || first.Op&7 == 7
	muldiv = muldiv && (op == 2 || op == 3 || op == 9)
	return depth, code[0] == 0x50 && !(muldiv && (code[1] == 0x52 || code[1] == 0x49))
}

func (e captured) markTailCalls(v *verify.Verified) {
	n := 0
	for i := range v.Insns {
		in := &v.Insns[i]
		if in.Op != 0x85 || in.Src != 0 || in.Imm != bpf.HelperTailCall {
			continue
		}
		*in = bpf.Insn{Op: bpf.OpTailCall}
		if e.prog.TailCalls[n].Direct {
			v.Pokes = append(v.Pokes, verify.PokeDesc{Insn: bpf.InsnIndex(i)})
			in.Imm = int32(len(v.Pokes))
		}
		n++
	}
}

// markProbes restores the loads that the kernel's dump shows without their check.
func (e captured) markProbes(v *verify.Verified) {
	for _, m := range e.prog.InsnMap {
		in := &v.Insns[m.Xlated]
		code := e.prog.Funcs[m.Func].Code(captures.Empty)[m.Off:]
		if in.Op&7 == 1 && (bytes.HasPrefix(code, []byte{0x49, 0xbb}) || bytes.HasPrefix(code, []byte{0x49, 0xc7, 0xc2, 0, 0, 0x60, 0xff})) {
			if in.Op&0xe0 == 0x60 {
				in.Op = in.Op&0x1f | 0x20
			} else {
				in.Op = in.Op&0x1f | 0x40
			}
		}
	}
}

func TestCaptures(t *testing.T) {
	for name, target := range captureTargets {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && !strings.HasSuffix(name, "-off") {
				t.Skip("the others only in full runs")
			}
			t.Parallel()
			c := readCapture(t, name)
			tgt, err := jit.TargetFor(c.Header.Kernel)
			must(t, err)
			if tgt.Name != target || tgt.Evidence != jit.ByCapture {
				t.Errorf("chosen target %s (%s), expected %s", tgt.Name, tgt.Evidence, target)
			}
			same, total := 0, 0
			fails := map[string]int{}
			for e := range compiled(c) {
				if testing.Short() && e.scenario.Line%shortStride != 0 {
					continue
				}
				total += len(e.prog.Funcs)
				n, err := e.compare(t, tgt)
				same += n
				if err != nil {
					key := strings.Join(strings.SplitN(e.scenario.Name, "/", 4)[:2], "/")
					if fails[key]++; fails[key] <= 1 {
						t.Errorf("%s, program %d: %v", e.scenario.Name, e.n, err)
					}
				}
			}
			t.Logf("%d/%d functions identical", same, total)
			if same != total || total == 0 {
				t.Errorf("failures by category: %v", fails)
			}
		})
	}
}

// compare compiles the program and compares code, facts and states.
func (e captured) compare(t testing.TB, tgt *jit.Target) (same int, err error) {
	v := e.verified()
	img, err := jit.Compile(v, tgt, e)
	if err != nil {
		return 0, err
	}
	if err := e.checkFacts(img); err != nil {
		return 0, err
	}
	if err := e.checkStates(t, tgt, img); err != nil {
		return 0, err
	}
	for i := range img.Funcs {
		want := e.prog.Funcs[i].Code(captures.Empty)
		got := img.Funcs[i].Code
		if bytes.Equal(got, want) {
			same++
			continue
		}
		if err != nil {
			continue
		}
		at := 0
		for at < len(got) && at < len(want) && got[at] == want[at] {
			at++
		}
		k, _ := img.Funcs[i].InsnAt(image.CodeOff(at))
		err = fmt.Errorf("function %d differs at %d (insn %d %+v):\n got %x\nwant %x", i, at, k, v.Insns[k], got[at:min(at+24, len(got))], want[at:min(at+24, len(want))])
	}
	return same, err
}

// checkFacts compares what the compiler says about its image with the capture.
func (e captured) checkFacts(img *image.Image) error {
	for _, m := range e.prog.InsnMap {
		f := &img.Funcs[m.Func]
		off := f.InsnOff[m.Xlated-f.FirstInsn]
		if m.Off == 0 && off == f.Frame.Body {
			continue // the capture counts the prologue as the first instruction's
		}
		if off != m.Off {
			return fmt.Errorf("insn %d is at %d, expected %d", m.Xlated, off, m.Off)
		}
	}
	n := 0
	for i := range img.Funcs {
		for _, s := range img.Funcs[i].TailCalls {
			if n == len(e.prog.TailCalls) {
				return fmt.Errorf("tail call too many: %+v", s)
			}
			want := e.prog.TailCalls[n]
			if want.Func != i || want.Off != s.Start || want.Direct != s.Direct {
				return fmt.Errorf("tail call %d of function %d is %+v, expected %+v", n, i, s, want)
			}
			n++
		}
	}
	if n != len(e.prog.TailCalls) {
		return fmt.Errorf("%d tail calls, expected %d", n, len(e.prog.TailCalls))
	}
	return nil
}

// checkStates fills the slots as the capture did, compares, and empties them again.
func (e captured) checkStates(t testing.TB, tgt *jit.Target, img *image.Image) error {
	var plan, undo []image.Patch
	for i := range img.Funcs {
		f := &img.Funcs[i]
		for j := range f.TailCalls {
			s := &f.TailCalls[j]
			if !s.Direct || !e.prog.Funcs[i].Recorded(captures.Populated) {
				continue
			}
			// The test takes only the target from the capture's code.
			code := e.prog.Funcs[i].Code(captures.Populated)[s.Jump:]
			if code[0] != 0xe9 {
				continue
			}
			to := f.Addr + image.Addr(s.Jump) + 5 + image.Addr(int32(binary.LittleEndian.Uint32(code[1:])))
			p, err := tgt.UpdatePlan([]image.PokeSite{f.PokeSite(s)}, 0, to)
			must(t, err)
			plan = append(plan, p...)
			p, err = tgt.UpdatePlan([]image.PokeSite{f.PokeSite(s)}, to, 0)
			must(t, err)
			undo = append(undo, p...)
		}
	}
	if err := image.ApplyPatches(plan, img); err != nil {
		return err
	}
	for i := range img.Funcs {
		if !bytes.Equal(e.prog.Funcs[i].Code(captures.Populated), img.Funcs[i].Code) {
			return fmt.Errorf("function %d differs in state populated", i)
		}
		if e.prog.Funcs[i].Recorded(captures.Deleted) {
			return fmt.Errorf("function %d has a state deleted of its own", i)
		}
	}
	return image.ApplyPatches(undo, img)
}

// captureTargets says which target each capture must choose by its header.
var captureTargets = map[string]string{
	"5.10-off": "5.10", "5.10-default": "5.10-retpoline", "5.10-lfence": "5.10-lfence", "5.10-amd": "5.10-retpoline-srso",
	"6.1-off": "6.1", "6.1-default": "6.1-retpoline-its", "6.1-retp-ret": "6.1-retpoline",
	"6.1-lfence": "6.1-lfence", "6.1-amd": "6.1-retpoline-srso",
	"6.12-off": "6.12", "6.12-default": "6.12-retpoline-its", "6.12-retp-ret": "6.12-retpoline",
	"6.12-lfence": "6.12-lfence", "6.12-amd": "6.12-retpoline-srso", "6.12-stuff": "6.12-stuff", "6.12-nobmi2": "6.12-nobmi2",
	"6.16-off": "6.16", "6.18-host": "6.18", "7.3-off": "7.3",
	"7.2-off": "7.2", "7.2-default": "7.2-retpoline-its", "7.2-retp-ret": "7.2-retpoline",
	"7.2-its-eibrs": "7.2-its", "7.2-amd": "7.2-retpoline-unret", "7.2-stuff": "7.2-stuff", "7.2-nobmi2": "7.2-nobmi2",
}
