// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/conform"
	"github.com/tcsim/tcsim/jit/explain"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/recognise"
	"github.com/tcsim/tcsim/jit/x86"
)

// inspectRest compares all code of the scenario with what the JIT of its kernel emits, whether a run reaches it
// or not. What differs must do the same. Nothing is known of what other kernels emit, nor of code that has
// another design than its kernel: unchecked then says what nothing but running has judged.
func (c *Facts) inspectRest() error {
	switch {
	case c.Target.Decoded:
		c.leave("prologues, exits and the code of instructions: the kernel is not known")
		return nil
	case c.otherDesign():
		c.leave(fmt.Sprintf("prologues, exits and the code of instructions: the code is of %s, the kernel's release of %v", c.found.Name(), c.said()))
		return nil
	}
	ref, err := conform.ReferenceOf(c.src, c.Target)
	if err != nil {
		return err
	}
	var failed error
	seen := map[string]bool{}
	ref.Emitted(c.Scenario, func(state capture.State, p int, img *image.Image, err error) {
		if err != nil {
			c.leave(fmt.Sprintf("program %s: what its instructions became: %v", c.Scenario.Progs[p].Name, err))
			return
		}
		for i := range img.Funcs {
			f := &c.Scenario.Progs[p].Funcs[i]
			if state != capture.Empty && !f.Recorded(state) {
				continue
			}
			if err := c.compareFunc(state, p, i, &img.Funcs[i], seen); err != nil && failed == nil {
				failed = fmt.Errorf("program %s: %s: %w", c.Scenario.Progs[p].Name, f.Name, err)
			}
		}
	})
	return failed
}

// compareFunc compares one function in one state.
func (c *Facts) compareFunc(state capture.State, p, i int, want *image.FuncImage, seen map[string]bool) error {
	f := &c.Scenario.Progs[p].Funcs[i]
	code := f.Code(state)
	if state == capture.Traced || state == capture.Replaced {
		want = hooked(want, code)
	}
	if off, ok := c.patchedElsewhere(state, p, i); ok {
		c.flaw(p, &image.FuncImage{Name: f.Name}, off, fmt.Sprintf("the code is another in state %v, and this is no place that the kernel patches", state))
	}
	r, err := explain.Compare(want, code)
	if err != nil {
		return err
	}
	for _, d := range r.Differences {
		text := d.Text
		switch {
		case d.Place == explain.Site && c.reordered(p, i, want, code, d.Off):
			continue // SiteFlaws has judged it
		case d.Counter:
			text += ", which carries tail_call_cnt"
		}
		if key := fmt.Sprint(p, i, d.Off, text); !seen[key] {
			seen[key] = true
			c.flaw(p, &image.FuncImage{Name: f.Name}, d.Off, text)
		}
	}
	return nil
}

// patchedElsewhere finds a byte that differs between the code of a function in a state and in the first one, and
// is not in an instruction that the kernel patches: bypass and target of direct tail calls, and what trampolines are
// attached to.
func (c *Facts) patchedElsewhere(state capture.State, p, i int) (image.CodeOff, bool) {
	f := &c.Scenario.Progs[p].Funcs[i]
	first, code := f.Code(capture.Empty), f.Code(state)
	filled, err := c.decoded.program(p, capture.Populated)
	if err != nil || len(first) != len(code) || bytes.Equal(first, code) {
		return 0, false
	}
	g := &filled.Funcs[i]
	patched := []image.CodeOff{g.Entry, g.Entry + image.CodeOff(endbrSize)}
	for n := range g.TailCalls {
		if s := &g.TailCalls[n]; s.Direct {
			patched = append(patched, s.Bypass, s.Jump)
		}
	}
	for n := range code {
		at := image.CodeOff(n)
		if first[n] != code[n] && !slices.ContainsFunc(patched, func(o image.CodeOff) bool { return at >= o && at < o+image.PokeSize }) {
			return at, true
		}
	}
	return 0, false
}

// endbrSize is the size of endbr64.
const endbrSize = 4

// hooked puts what is attached to a function in place of the nop that the right code has for it.
func hooked(want *image.FuncImage, code []byte) *image.FuncImage {
	for off := int(want.Entry); off < int(want.Frame.Body) && off+image.PokeSize <= len(code) && off+image.PokeSize <= len(want.Code); {
		in, err := x86.Decode(want.Code[off:], want.Addr+image.Addr(off))
		if err != nil {
			break
		}
		if in.Len == image.PokeSize && in.IsNop {
			now, err := x86.Decode(code[off:], want.Addr+image.Addr(off))
			if err == nil && now.Len == image.PokeSize && (now.Branch == x86.BranchCall || now.Branch == x86.BranchJump) {
				own := *want
				own.Code = bytes.Clone(want.Code)
				copy(own.Code[off:], code[off:off+image.PokeSize])
				return &own
			}
			break
		}
		off += int(in.Len)
	}
	return want
}

// reordered reports whether the tail call that has an offset in the code is one that is recognised, with the right
// instructions in another order.
func (c *Facts) reordered(p, i int, want *image.FuncImage, code []byte, off image.CodeOff) bool {
	img, err := c.decoded.program(p, capture.Populated)
	if err != nil || !c.found.Known() {
		return false
	}
	sites := img.Funcs[i].TailCalls
	n := slices.IndexFunc(sites, func(s image.TailCallSite) bool { return s.Start <= off && off < s.End })
	if n < 0 || len(sites) != len(want.TailCalls) {
		return false
	}
	if judged, err := recognise.Follows(img, i, n); err != nil || !judged {
		return false
	}
	was := &want.TailCalls[n]
	return slices.Equal(instructions(want.Code[was.Start:was.End], want.Addr), instructions(code[sites[n].Start:sites[n].End], want.Addr))
}

// instructions lists code as text, without where branches go, sorted.
func instructions(code []byte, addr image.Addr) (out []string) {
	for off := 0; off < len(code); {
		in, err := x86.Decode(code[off:], addr+image.Addr(off))
		if err != nil {
			return append(out, err.Error())
		}
		text := in.String()
		if in.Branch.Direct() {
			text, _, _ = strings.Cut(text, " ")
		}
		out = append(out, text)
		off += int(in.Len)
	}
	slices.Sort(out)
	return out
}

// otherDesign reports whether the code shows another design than the kernel's release has: a patched kernel, not
// damaged code, if no program begins as that release has it.
func (c *Facts) otherDesign() bool {
	if !c.found.Shown || c.found.Designs.Has(c.said()) {
		return false
	}
	return c.found.Known() || c.allOdd
}

// leave notes what stays unchecked.
func (c *Facts) leave(text string) {
	if !slices.Contains(c.Unchecked, text) {
		c.Unchecked = append(c.Unchecked, text)
	}
}
