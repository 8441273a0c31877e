// SPDX-License-Identifier: GPL-2.0-only

package trace_test

import (
	"testing"

	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
)

// TestManySites has more sites in a function than 16 bits count, and tail calls among them: each is known for what it is.
func TestManySites(t *testing.T) {
	const calls, tails, at = 70_000, 100, image.Addr(0x100000)
	frame := image.Frame{Body: 1, Landing: -1, Slots: []image.FrameSlot{{Off: 8, Size: 8, Kind: image.SlotReturn}}}
	f := image.FuncImage{Name: "main", Addr: at, Frame: frame, InsnOff: []image.CodeOff{1, 1 + 5*calls}}
	f.Code = append(f.Code, 0x90)
	for i := range calls {
		off := image.CodeOff(len(f.Code))
		f.Calls = append(f.Calls, image.CallSite{Insn: bpf.InsnIndex(i), Off: off, Target: at + 0x800000 + image.Addr(i), Func: -1})
		to := uint32(0x800000 + i - int(off) - 5)
		f.Code = append(f.Code, 0xe8, byte(to), byte(to>>8), byte(to>>16), byte(to>>24))
	}
	for range tails {
		off := image.CodeOff(len(f.Code))
		f.TailCalls = append(f.TailCalls, image.TailCallSite{
			Start: off, Bounds: off, Limit: off + 1, Null: -1, Bypass: -1, Bump: -1, Unwind: off + 2, Jump: off + 2, End: off + 4, Map: -1,
		})
		f.Code = append(f.Code, 0x90, 0x90, 0x90, 0x90, 0x90)
	}
	f.Code = append(f.Code, 0xc3)
	c, err := trace.NewCode([]*image.Image{{Limit: 33, Program: &bpf.Program{Name: "p"}, Funcs: []image.FuncImage{f}}}, trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	rec := trace.NewRecorder(c, trace.Config{})
	site := func(off image.CodeOff) {
		rec.Consume(trace.Batch{Sites: []record.Site{{RIP: at + image.Addr(off), Prev: at}}})
	}
	site(0)
	for _, i := range []int{0, 40_000, 65_534, 65_535, 65_536, calls - 1} {
		site(f.Calls[i].Off)
		e := rec.Events()[len(rec.Events())-1]
		if e.Kind != trace.KindHelper || e.TargetAddr != f.Calls[i].Target {
			t.Errorf("call %d: %v to %#x, want one to %#x", i, e.Kind, uint64(e.TargetAddr), uint64(f.Calls[i].Target))
		}
	}
	for _, i := range []int{0, 57, tails - 1} {
		tc := &f.TailCalls[i]
		fn := c.Funcs()[0]
		for off, want := range map[image.CodeOff]bool{tc.Start: false, tc.Jump: true, tc.End - 1: true, tc.End: false} {
			if fn.Unwinding(off) != want {
				t.Errorf("tail call %d: unwinding at +%d is %v", i, off-tc.Start, !want)
			}
		}
	}
}
