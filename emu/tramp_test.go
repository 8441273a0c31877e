// SPDX-License-Identifier: GPL-2.0-only

package emu_test

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/kernel"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
)

// TestKernelFuncs runs every kernel function that test runs of tracing programs call, on builds with
// and without endbr64, and compares with what it is made to return.
func TestKernelFuncs(t *testing.T) {
	for _, name := range []string{"5.10", "7.2"} {
		tg, err := jit.TargetByName(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []emit.TraceKind{emit.Fentry, emit.FmodRet, emit.Fexit} {
			var images []*image.Image
			at := image.Addr(0xffffffff81700000)
			for _, k := range kernel.TestCalls(kind) {
				img, ok := kernel.TracedFunc(k.Name, at, tg)
				if !ok {
					t.Fatalf("%s: no such function", k.Name)
				}
				images = append(images, img)
				at += 64
			}
			m, err := emu.New(emu.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if err := m.Load(guest.Setup{Images: images, Data: []guest.Region{{Addr: guest.ContextAddr, Bytes: make([]byte, 4096)}}}); err != nil {
				t.Fatal(err)
			}
			if err := m.PrepareKernelCalls(); err != nil {
				t.Fatal(err)
			}
			var rets []uint32
			for i, k := range kernel.TestCalls(kind) {
				res, err := m.Run(context.Background(), emu.Run{Image: i, Args: k.Args[:]})
				if err != nil {
					t.Fatal(err)
				}
				if got := uint32(res.Return()); got != k.Ret {
					t.Errorf("%s: %s returned %d, expected %d", name, k.Name, got, k.Ret)
				}
				rets = append(rets, uint32(res.Return()))
			}
			want := map[emit.TraceKind]uint32{emit.FmodRet: 131105}[kind] // as 6.12 and 7.2 have it
			if got, err := m.KernelResult(kind, rets); err != nil || got != want {
				t.Errorf("%s: %v: result %d, expected %d: %v", name, kind, got, want, err)
			}
		}
	}
	if _, ok := kernel.TracedFunc("bpf_fentry_test99", 0, &jit.Target{}); ok {
		t.Error("a function that does not exist is there")
	}
}

// TestTrampolineHelpers calls the functions that trampolines call: entering twice says that the
// program runs already, leaving a program that does not run is an error, and what has no result leaves
// what the setup says.
func TestTrampolineHelpers(t *testing.T) {
	const (
		prog      = 0xffffc90000401000
		ctx       = guest.ContextAddr
		enter     = image.Addr(0xffffffff81280000)
		exit      = enter + 64
		trampExit = enter + 128
	)
	// The program's code calls one function and returns.
	call := func(at, to image.Addr) *image.Image {
		code := []byte{0xe8, 0, 0, 0, 0, 0xc3}
		binary.LittleEndian.PutUint32(code[1:], uint32(to-at-5))
		return &image.Image{Funcs: []image.FuncImage{{Name: "caller", Addr: at, Code: code}}}
	}
	// enter; enter; pop the first result into rax, which is shifted into the upper half.
	twice := []byte{0x57, 0x56, 0xe8, 0, 0, 0, 0, 0x5e, 0x5f, 0x50, 0xe8, 0, 0, 0, 0, 0x59, 0x48, 0xc1, 0xe1, 0x20, 0x48, 0x09, 0xc8, 0xc3}
	base := guest.TextBase + 0x1000
	binary.LittleEndian.PutUint32(twice[3:], uint32(enter-base-7))
	binary.LittleEndian.PutUint32(twice[11:], uint32(enter-base-15))
	m, err := emu.New(emu.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Load(guest.Setup{
		Images: []*image.Image{
			{Funcs: []image.FuncImage{{Name: "twice", Addr: base, Code: twice}}},
			call(base+64, exit), call(base+128, trampExit),
		},
		Tramp:   kernels.Tramp{Exists: true, Guarded: true, RunCtx: true},
		Symbols: map[string]image.Addr{"__bpf_prog_enter_recur": enter, "__bpf_prog_exit_recur": exit, "__bpf_tramp_exit": trampExit},
		Data:    []guest.Region{{Addr: ctx, Bytes: []byte("0123456789abcdef")}},
		VoidRAX: 0xffff888100000000,
	}); err != nil {
		t.Fatal(err)
	}
	args := []uint64{prog, uint64(ctx)}
	res, err := m.Run(context.Background(), emu.Run{Args: args})
	if err != nil || res.Return() != 1<<32 {
		t.Errorf("entering twice: %#x, %v; expected the time 1, then 0", res.Return(), err)
	}
	var b [16]byte
	if err := m.ReadMemory(ctx, b[:]); err != nil || string(b[:8]) != "01234567" || binary.LittleEndian.Uint64(b[8:]) != 0 {
		t.Errorf("run context % x, %v", b, err)
	}
	if _, err := m.Run(context.Background(), emu.Run{Image: 1, Args: args}); err == nil {
		t.Error("leaving a program that does not run is no error")
	}
	res, err = m.Run(context.Background(), emu.Run{Image: 2, Args: args})
	if err != nil || res.Return() != 0xffff888100000000 {
		t.Errorf("__bpf_tramp_exit left %#x, %v", res.Return(), err)
	}
}
