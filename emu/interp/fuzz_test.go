// SPDX-License-Identifier: GPL-2.0-only

package interp_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/fixtures/flood"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
)

// FuzzRun: whatever the instructions are, New reports mistakes or Run ends, in one of the ways its
// documentation names, and does the same again after Reset.
func FuzzRun(f *testing.F) {
	src, err := capture.OpenFS(fixtures.FS, "kernels/7.2-default.jsonl.gz", "7.2-default")
	if err != nil {
		f.Fatal(err)
	}
	for i := 0; i < src.Len(); i += 29 {
		sc, err := src.Scenario(i)
		if err != nil {
			f.Fatal(err)
		}
		var text []byte
		for _, in := range sc.Progs[0].Insns {
			b := in.Bytes()
			text = append(text, b[:]...)
		}
		f.Add(text, uint8(i))
	}
	f.Fuzz(flood.Two(func(t *testing.T, text []byte, flags uint8) {
		var insns []bpf.Insn
		for ; len(text) >= bpf.InsnSize; text = text[bpf.InsnSize:] {
			insns = append(insns, bpf.DecodeInsn(text))
		}
		maps := append(testMaps[:2:2],
			bpf.Map{Type: bpf.HashMap, KeySize: 4, ValueSize: 8, MaxEntries: 2},
			bpf.Map{Type: bpf.ArenaMap, MaxEntries: 1})
		m, err := interp.New(interp.Config{
			Maps:       maps,
			Programs:   []interp.Program{{Program: &bpf.Program{Name: "fuzz", Insns: insns}, Kfuncs: []string{"bpf_throw"}}},
			ProgArrays: []interp.Slot{{Map: 1, Key: 1, Prog: 0}},
			Rules:      interp.Rules{BurnEmpty: flags&1 != 0, PerFrame: flags&2 != 0},
			MaxInsns:   10_000, MaxFrames: 40,
		})
		if err != nil {
			if !strings.Contains(err.Error(), "decode ") && !strings.Contains(err.Error(), "no instructions") {
				t.Fatalf("error without a position: %v", err)
			}
			return
		}
		ctx := interp.ForType([]bpf.ProgType{bpf.SchedCLS, bpf.XDP, bpf.Kprobe}[flags>>2%3], testPacket())
		res, err := m.Run(0, ctx)
		var fault *interp.Fault
		if err != nil && !errors.As(err, &fault) {
			t.Fatalf("neither a result nor a fault: %v", err)
		}
		if res.Insns > 10_000 || res.Frames > 40 || res.TakenTotal < uint64(len(res.Taken)) {
			t.Fatalf("result %+v", res)
		}
		if flags&2 == 0 && res.TakenTotal > interp.DefaultLimit {
			t.Fatalf("%d tail calls taken", res.TakenTotal)
		}
		m.Reset()
		again, err2 := m.Run(0, ctx)
		if diff := cmp.Diff(res, again); diff != "" || (err == nil) != (err2 == nil) {
			t.Fatalf("the second run differs (%v, %v): %s", err, err2, diff)
		}
	}))
}
