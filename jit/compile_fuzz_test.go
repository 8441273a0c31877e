// SPDX-License-Identifier: GPL-2.0-only

package jit_test

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/tcsim/tcsim/fixtures/flood"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify"
)

// fixedEnv is an address plan that knows everything: functions one after the other.
type fixedEnv struct{ next image.Addr }

func (e *fixedEnv) Place(_, size int, _ image.CodeOff) (image.Addr, error) {
	a := e.next
	e.next += image.Addr(size+63) &^ 63
	return a, nil
}

func (e *fixedEnv) Helper(imm int32) (image.Addr, error) {
	return 0xffffffff81000000 + image.Addr(uint16(imm)), nil
}
func (e *fixedEnv) MapAddr(m int) (image.Addr, error) {
	if m < 0 || m > 3 {
		return 0, fmt.Errorf("no map %d", m)
	}
	return 0xffff888100000000 + image.Addr(m)<<12, nil
}
func (e *fixedEnv) MapValue(m int) (image.Addr, error)     { return e.MapAddr(m) }
func (e *fixedEnv) Symbol(name string) (image.Addr, error) { return 0xffffffff82000000, nil }

func (e *fixedEnv) Routine(image.Routine) (image.Addr, error) { return 0xffffffff82000000, nil }

const fuzzBase image.Addr = 0xffffffffc0000000

// fuzzTargets are all that are listed.
var fuzzTargets = sync.OnceValues(func() (out []*jit.Target, err error) {
	for _, name := range jit.TargetNames() {
		t, err := jit.TargetByName(name)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
})

// fuzzInput reads a target and a program: target, stack depth, number of slots of the first
// function, then instructions.
func fuzzInput(data []byte) (*jit.Target, *verify.Verified, error) {
	if len(data) < 4+bpf.InsnSize {
		return nil, nil, fmt.Errorf("too short")
	}
	tgts, err := fuzzTargets()
	if err != nil {
		return nil, nil, err
	}
	tgt := tgts[int(data[0])%len(tgts)]
	v := &verify.Verified{Program: &bpf.Program{}, Pokes: make([]verify.PokeDesc, 2)}
	depth, split := int32(data[1])*8, bpf.InsnIndex(data[2])
	for rest := data[4:]; len(rest) >= bpf.InsnSize && len(v.Insns) < 4096; rest = rest[bpf.InsnSize:] {
		v.Insns = append(v.Insns, bpf.DecodeInsn(rest))
	}
	end := bpf.InsnIndex(len(v.Insns))
	v.Funcs = []verify.FuncInfo{{Name: "main", End: end, StackDepth: depth, TailCallReachable: data[3]&1 != 0}}
	if split > 0 && split < end {
		v.Funcs[0].End = split
		v.Funcs = append(v.Funcs, verify.FuncInfo{Name: "sub", Start: split, End: end, TailCallReachable: data[3]&2 != 0})
	}
	return tgt, v, nil
}

func FuzzCompile(f *testing.F) {
	f.Fuzz(flood.One(func(t *testing.T, data []byte) {
		tgt, v, err := fuzzInput(data)
		if err != nil {
			return
		}
		before := slices.Clone(v.Insns)
		img, err := jit.Compile(v, tgt, &fixedEnv{next: fuzzBase})
		if !slices.Equal(before, v.Insns) {
			t.Fatal("the program was changed")
		}
		if err != nil {
			if img != nil {
				t.Fatal("an image and an error")
			}
			return
		}
		again, err := jit.Compile(v, tgt, &fixedEnv{next: fuzzBase})
		if err != nil {
			t.Fatal(err)
		}
		for i := range img.Funcs {
			fn := &img.Funcs[i]
			if !bytes.Equal(fn.Code, again.Funcs[i].Code) {
				t.Fatal("compiling twice gives different code")
			}
			checkImage(t, fn, int(v.Funcs[i].End-v.Funcs[i].Start))
		}
	}))
}

// checkImage checks what holds for every function.
func checkImage(t *testing.T, fn *image.FuncImage, slots int) {
	t.Helper()
	if len(fn.InsnOff) != slots+1 || !slices.IsSorted(fn.InsnOff) || int(fn.InsnOff[slots]) != len(fn.Code) {
		t.Fatalf("instruction offsets %v of %d slots in %d bytes", fn.InsnOff, slots, len(fn.Code))
	}
	if fn.Frame.Body != fn.InsnOff[0] {
		t.Fatalf("body at %d, first instruction at %d", fn.Frame.Body, fn.InsnOff[0])
	}
	off := int32(0)
	for i, s := range fn.Frame.Slots {
		if i > 0 && s.Off+s.Size != off {
			t.Fatalf("frame slots leave a gap at %d: %+v", off, fn.Frame.Slots)
		}
		off = s.Off
	}
	for _, s := range fn.TailCalls {
		if s.Start < fn.Frame.Body || s.End > image.CodeOff(len(fn.Code)) || s.Jump <= s.Start || s.Jump >= s.End {
			t.Fatalf("tail call %+v", s)
		}
	}
}
