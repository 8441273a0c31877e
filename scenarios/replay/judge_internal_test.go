// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios/edits"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// bench is edited or unedited code of a capture, ready for the judge to run.
type bench struct {
	t     *testing.T
	rig   *runner.Rig
	c     *Bare
	edits *edit
}

// kernelLimit is how many tail calls the kernels take whose code is edited.
const kernelLimit = 33

// Run implements edits.Side.
func (b *bench) Run(w *edits.Way, at edits.Reached) edits.Outcome {
	c := b.c
	s, _, err := c.setup()
	if err != nil {
		return edits.Outcome{Fault: "setup: " + err.Error()}
	}
	state := capture.Populated
	if w.Empty {
		state = capture.Empty
	}
	for p := range c.Scenario.Progs {
		img, err := c.decoded.program(p, state)
		if err != nil {
			return edits.Outcome{Fault: "does not decode"}
		}
		own := *img
		own.Limit = kernelLimit
		if p == w.Prog {
			own.Funcs = slices.Clone(img.Funcs)
			for i := range own.Funcs {
				own.Funcs[i].Code = w.Force(own.Funcs[i].Code, i, b.edits.in(p, i))
			}
		}
		s.Images = append(s.Images, &own)
	}
	if !w.Empty {
		for _, sl := range c.Scenario.ProgArrays {
			s.Slots = append(s.Slots, guest.Slot{Map: sl.Map, Key: sl.Key, Prog: sl.Prog})
		}
	}
	s.Data, s.Packet = runner.ContextSpace(), slices.Clone(c.header.RunData)
	run := edits.Bench{Rig: b.rig, Limit: kernelLimit, Prepare: func(m *runner.Machine, w *edits.Way) (image.Addr, error) {
		if err := c.inputs(m); err != nil {
			return 0, err
		}
		b.drawInputs(m, w.Inputs)
		return runner.PlaceContext(m, c.Target, c.Scenario.ProgType, c.header.RunData, nil)
	}}
	return run.Run(s, w, at)
}

// in lists the edits of a function, those in place first.
func (e *edit) in(prog, fn int) (out []*edits.Edit) {
	if e == nil {
		return nil
	}
	for i := range e.also {
		if a := &e.also[i]; a.prog == prog && a.fn == fn {
			out = append(out, &a.Edit)
		}
	}
	if e.prog == prog && e.fn == fn {
		out = append(out, &e.Edit)
	}
	return out
}

func (b *bench) drawInputs(m *runner.Machine, seed uint64) {
	if seed == 0 || len(b.c.Scenario.Maps) == 0 {
		return
	}
	v, err := m.LookupElem(0, make([]byte, 4))
	if err != nil {
		return
	}
	v = bytes.Clone(v)
	r := rand.New(rand.NewPCG(seed, 7))
	for n := 32; 8*n+8 <= len(v); n++ {
		binary.LittleEndian.PutUint64(v[8*n:], edits.Input(r))
	}
	_ = m.UpdateElem(0, make([]byte, 4), v, guest.UpdateAny)
}
