// SPDX-License-Identifier: GPL-2.0-only

package jit_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit"
	captures "github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/jittest"
)

// captured is a program that a kernel compiled, which the compiler is compared with.
type captured struct{ jittest.Captured }

func compiled(f *captures.File) iter.Seq[captured] {
	return func(yield func(captured) bool) {
		for c := range jittest.Compiled(f) {
			if !yield(captured{c}) {
				return
			}
		}
	}
}

// What tests begin with.
var (
	must, unhex, named, assemble = jittest.Must, jittest.Unhex, jittest.Target, jittest.Assemble
	readCapture                  = jittest.ReadCapture
	captureTargets               = jittest.CaptureTargets
)

type flatEnv = jittest.FlatEnv

const shortStride = jittest.ShortStride

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
			if tgt.Name != target || tgt.Evidence != design.ByCapture {
				t.Errorf("chosen target %s (%s), expected %s", tgt.Name, tgt.Evidence, target)
			}
			same, total := 0, 0
			fails := map[string]int{}
			for e := range compiled(c) {
				if testing.Short() && e.Scenario.Line%shortStride != 0 {
					continue
				}
				total += len(e.Prog.Funcs)
				n, err := e.compare(t, tgt)
				same += n
				if err != nil {
					key := strings.Join(strings.SplitN(e.Scenario.Name, "/", 4)[:2], "/")
					if fails[key]++; fails[key] <= 1 {
						t.Errorf("%s, program %d: %v", e.Scenario.Name, e.N, err)
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
	v := e.Verified()
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
		want := e.Prog.Funcs[i].Code(captures.Empty)
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
	for _, m := range e.Prog.InsnMap {
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
			if n == len(e.Prog.TailCalls) {
				return fmt.Errorf("tail call too many: %+v", s)
			}
			want := e.Prog.TailCalls[n]
			if want.Func != i || want.Off != s.Start || want.Direct != s.Direct {
				return fmt.Errorf("tail call %d of function %d is %+v, expected %+v", n, i, s, want)
			}
			n++
		}
	}
	if n != len(e.Prog.TailCalls) {
		return fmt.Errorf("%d tail calls, expected %d", n, len(e.Prog.TailCalls))
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
			if !s.Direct || !e.Prog.Funcs[i].Recorded(captures.Populated) {
				continue
			}
			// The test takes only the target from the capture's code.
			code := e.Prog.Funcs[i].Code(captures.Populated)[s.Jump:]
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
		if !bytes.Equal(e.Prog.Funcs[i].Code(captures.Populated), img.Funcs[i].Code) {
			return fmt.Errorf("function %d differs in state populated", i)
		}
		if e.Prog.Funcs[i].Recorded(captures.Deleted) {
			return fmt.Errorf("function %d has a state deleted of its own", i)
		}
	}
	return image.ApplyPatches(undo, img)
}
