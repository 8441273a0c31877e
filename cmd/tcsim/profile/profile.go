// SPDX-License-Identifier: GPL-2.0-only

package profile

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios/measure"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// Profile is what a run cost, by who called whom.
type Profile struct {
	Name    string // of what was run
	Core    string
	Samples []Sample // in order of their stacks
}

// Sample is what one instruction cost with the same callers, summed up.
type Sample struct {
	Stack    []Frame // the innermost first
	Executed int64
	Costs    timing.Costs
}

// Frame is a place in a function.
type Frame struct {
	Func string
	File string     // the program whose instructions Line counts
	Line int        // the BPF instruction; 0 also where there is no instruction
	Insn string     // of the innermost: the BPF instruction as text
	Addr image.Addr // of the x86 instruction
	// Source is the line that the instruction was compiled from; without a file where that is not known.
	Source bpf.SourceLine
}

// source is the source line as a frame, "" if there is none.
func (f *Frame) source() string {
	if f.Source.File == "" {
		return ""
	}
	return strings.TrimSpace(fmt.Sprintf("%s:%d %s", path.Base(f.Source.File), f.Source.Line, f.Source.Text))
}

// outside is the function of code that belongs to no program and that no helper call leads to.
const outside = "the kernel"

// Of attributes the cycles of a run, whose events must be there, to who called whom. name says what was run.
func Of(name string, run *runner.Run, inv *measure.Invocation, core *timing.Core, warm bool) (*Profile, error) {
	c := collector{code: run.Code, callers: newCallers(run), samples: map[string]*Sample{}}
	err := inv.Stamps(core, warm, func(n int, st timing.Stamp) {
		if n >= 0 { // not of the loop around a warm run
			c.add(uint64(n), st)
		}
	})
	if err != nil {
		return nil, err
	}
	out := &Profile{Name: name, Core: core.Title}
	for _, s := range c.samples {
		out.Samples = append(out.Samples, *s)
	}
	slices.SortFunc(out.Samples, func(a, b Sample) int {
		return slices.CompareFunc(a.Stack, b.Stack, func(f, g Frame) int {
			return cmp.Or(cmp.Compare(f.Addr, g.Addr), cmp.Compare(f.Func, g.Func))
		})
	})
	return out, nil
}

// Total returns the cycles of the whole run.
func (p *Profile) Total() timing.Cycle {
	n := timing.Cycle(0)
	for i := range p.Samples {
		n += p.Samples[i].Costs.Total()
	}
	return n
}

// collector sums up stamps.
type collector struct {
	code    *trace.Code
	callers *callers
	samples map[string]*Sample
}

// add takes the stamp of instruction number n.
func (c *collector) add(n uint64, st timing.Stamp) {
	c.callers.goTo(n)
	fn := c.code.Lookup(st.RIP)
	if fn != nil {
		c.callers.helper = "" // it has returned
	}
	helper := c.callers.helper
	key := fmt.Sprintf("%x %s %d", uint64(st.RIP), helper, c.callers.stack)
	s := c.samples[key]
	if s == nil {
		s = &Sample{Stack: []Frame{c.frame(st.RIP, helper, true)}}
		for at := c.callers.outer(fn); at != 0; at = c.callers.acts[at].parent {
			s.Stack = append(s.Stack, c.frame(c.callers.acts[at].site, "", false))
		}
		c.samples[key] = s
	}
	s.Executed++
	s.Costs.Add(st)
}

// frame describes an instruction.
func (c *collector) frame(a image.Addr, helper string, innermost bool) Frame {
	fn := c.code.Lookup(a)
	if fn == nil {
		return Frame{Func: cmp.Or(helper, outside), Addr: a}
	}
	f := Frame{Func: fn.String(), File: cmp.Or(fn.Prog, fn.Name) + ".bpf", Addr: a}
	insn := "prologue, epilogue"
	if n, ok := fn.InsnAt(image.CodeOff(a - fn.Addr)); ok {
		f.Line, insn = int(n), fmt.Sprintf("%d: %s", n, c.code.InsnText(fn, n))
		if p := fn.Image.Program; p != nil {
			f.Source, _ = p.SourceAt(n)
			f.Source.Insn = 0 // the frames of a line are one
		}
	}
	if innermost {
		f.Insn = f.Func + " " + strings.TrimSuffix(insn, ": ")
	}
	return f
}
