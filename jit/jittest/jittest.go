// SPDX-License-Identifier: GPL-2.0-only

// Package jittest is what tests of the JIT and of the packages below it begin with. It is for tests only.
//
// The facts that the verifier would give are read from captured images here, so that the compiler is
// judged alone; the conform command derives them.
package jittest

import (
	"bytes"
	"encoding/hex"
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

// The facts that the verifier would give are read from the Captured image here, so that the compiler is judged
// alone; the conform command derives them.

// ReadCapture reads a capture of fixtures/kernels.
func ReadCapture(t testing.TB, name string) *captures.File {
	t.Helper()
	f, err := captures.LoadFS(fixtures.FS, "kernels/"+name+".jsonl.gz")
	Must(t, err)
	return f
}

// ShortStride is how many scenarios of a capture are passed over under -short for one that is compared.
const ShortStride = 8

// Captured is a program that a kernel Compiled, with the addresses that it used.
type Captured struct {
	*captures.Env
	Scenario *captures.Scenario
	Prog     *captures.Prog
	N        int // in the scenario
}

// Compiled are the programs of a capture that the kernel has code for.
func Compiled(f *captures.File) iter.Seq[Captured] {
	return func(yield func(Captured) bool) {
		symbols := f.Symbols.Table()
		for i := range f.Scenarios {
			s := &f.Scenarios[i]
			for n := range s.Progs {
				p := &s.Progs[n]
				if p.LoadError != "" || len(p.Funcs) == 0 {
					continue
				}
				if !yield(Captured{s.Env(n, &f.Header, symbols), s, p, n}) {
					return
				}
			}
		}
	}
}

// Must fails the test after an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Unhex reads hexadecimal digits.
func Unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	Must(t, err)
	return b
}

// Verified makes what the verifier would tell the JIT out of the Captured image.
func (e Captured) Verified() *verify.Verified {
	v := &verify.Verified{Program: &bpf.Program{Name: e.Prog.Name}, Insns: slices.Clone(e.Prog.Xlated)}
	starts := map[int]int{0: 0}
	for i, in := range v.Insns {
		if in.Op == 0x85 && in.Src == bpf.PseudoCall {
			starts[int(in.Imm)] = i + 1 + int(in.Off)
		}
	}
	for i := range e.Prog.Funcs {
		end := len(v.Insns)
		if s, ok := starts[i+1]; ok {
			end = s
		}
		f := verify.FuncInfo{Name: e.Prog.Funcs[i].Name, Start: bpf.InsnIndex(starts[i]), End: bpf.InsnIndex(end)}
		f.StackDepth, f.TailCallReachable = PrologueFacts(e.Prog.Funcs[i].Code(captures.Empty), v.Insns[f.Start])
		v.Funcs = append(v.Funcs, f)
	}
	e.markTailCalls(v)
	e.markProbes(v)
	return v
}

// PrologueFacts reads stack depth and whether there is a counter. A function without a counter can
// begin with push rax, too: that of a multiplication or division, which rdx or r11 follows.
func PrologueFacts(code []byte, first bpf.Insn) (depth int32, reachable bool) {
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

func (e Captured) markTailCalls(v *verify.Verified) {
	n := 0
	for i := range v.Insns {
		in := &v.Insns[i]
		if in.Op != 0x85 || in.Src != 0 || in.Imm != bpf.HelperTailCall {
			continue
		}
		*in = bpf.Insn{Op: bpf.OpTailCall}
		if e.Prog.TailCalls[n].Direct {
			v.Pokes = append(v.Pokes, verify.PokeDesc{Insn: bpf.InsnIndex(i)})
			in.Imm = int32(len(v.Pokes))
		}
		n++
	}
}

// markProbes restores the loads that the kernel's dump shows without their check.
func (e Captured) markProbes(v *verify.Verified) {
	for _, m := range e.Prog.InsnMap {
		in := &v.Insns[m.Xlated]
		code := e.Prog.Funcs[m.Func].Code(captures.Empty)[m.Off:]
		if in.Op&7 == 1 && (bytes.HasPrefix(code, []byte{0x49, 0xbb}) || bytes.HasPrefix(code, []byte{0x49, 0xc7, 0xc2, 0, 0, 0x60, 0xff})) {
			if in.Op&0xe0 == 0x60 {
				in.Op = in.Op&0x1f | 0x20
			} else {
				in.Op = in.Op&0x1f | 0x40
			}
		}
	}
}

// Target returns a target by name.
func Target(t testing.TB, name string) *jit.Target {
	t.Helper()
	tgt, err := jit.TargetByName(name)
	Must(t, err)
	return tgt
}

// Assemble reads hexadecimal bytes; "@" is the 8-bit distance to the next ":".
func Assemble(t testing.TB, text string) []byte {
	t.Helper()
	var code []byte
	var open []int
	for _, w := range strings.Fields(text) {
		switch w {
		case "@":
			open = append(open, len(code))
			code = append(code, 0)
		case ":":
			for _, at := range open {
				code[at] = byte(len(code) - at - 1)
			}
			open = nil
		default:
			code = append(code, Unhex(t, w)...)
		}
	}
	return code
}

// FlatEnv places functions 256 bytes apart.
type FlatEnv struct{}

func (FlatEnv) Place(fn, size int, entry image.CodeOff) (image.Addr, error) {
	return 0xffffffffc0000000 + image.Addr(fn)*256, nil
}
func (FlatEnv) Helper(imm int32) (image.Addr, error) {
	return 0xffffffff81000000 + image.Addr(imm), nil
}
func (FlatEnv) MapAddr(m int) (image.Addr, error)      { return 0xffff888100000000, nil }
func (FlatEnv) MapValue(m int) (image.Addr, error)     { return 0xffff888100001000, nil }
func (FlatEnv) Symbol(name string) (image.Addr, error) { return 0xffffffff82000000, nil }

// Routine implements image.RoutineEnv.
func (FlatEnv) Routine(image.Routine) (image.Addr, error) { return 0xffffffff82000000, nil }

// CaptureTargets says which target each capture must choose by its header.
var CaptureTargets = map[string]string{
	"5.10-off": "5.10", "5.10-default": "5.10-retpoline", "5.10-lfence": "5.10-lfence", "5.10-amd": "5.10-retpoline-srso",
	"6.1-off": "6.1", "6.1-default": "6.1-retpoline-its", "6.1-retp-ret": "6.1-retpoline",
	"6.1-lfence": "6.1-lfence", "6.1-amd": "6.1-retpoline-srso",
	"6.12-off": "6.12", "6.12-default": "6.12-retpoline-its", "6.12-retp-ret": "6.12-retpoline",
	"6.12-lfence": "6.12-lfence", "6.12-amd": "6.12-retpoline-srso", "6.12-stuff": "6.12-stuff", "6.12-nobmi2": "6.12-nobmi2",
	"6.16-off": "6.16", "6.18-host": "6.18", "7.3-off": "7.3",
	"7.2-off": "7.2", "7.2-default": "7.2-retpoline-its", "7.2-retp-ret": "7.2-retpoline",
	"7.2-its-eibrs": "7.2-its", "7.2-amd": "7.2-retpoline-unret", "7.2-stuff": "7.2-stuff", "7.2-nobmi2": "7.2-nobmi2",
}
