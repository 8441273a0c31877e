// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"fmt"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/x86"
)

// arenas sets where the arenas are that programs refer to. No page of them is there.
func (c *Facts) arenas(specs []guest.MapSpec) error {
	for i := range specs {
		if specs[i].Type != bpf.ArenaMap {
			continue
		}
		specs[i].Addr, specs[i].ValueAddr = 0, 0
		for p := range c.Scenario.Progs {
			if !refersTo(c.Scenario.Progs[p].Xlated, i) {
				continue
			}
			at, _, err := c.Scenario.Env(p, c.header, nil).Arena(i)
			if err != nil {
				return err
			}
			specs[i].ValueAddr = at
		}
	}
	return nil
}

func refersTo(insns []bpf.Insn, m int) bool {
	for i := 0; i < len(insns); i++ {
		if in := insns[i]; in.Op == bpf.OpLdImm64 {
			if in.Src == bpf.PseudoMap && int(in.Imm) == m {
				return true
			}
			i++
		}
	}
	return false
}

// guardedLoads finds the loads that may fault in code of kernels that do not check addresses before
// such loads, so that they look like any other: from what the verifier knew. Only tracing programs
// are given addresses that may be bad.
func (c *Facts) guardedLoads(img *image.Image, n int) error {
	if c.Target.Emit.Probe != kernels.ProbeNone || c.Scenario.ProgType != bpf.Tracing {
		return nil
	}
	xlated, err := c.Scenario.Xlated(n, c.header, c.symbols.Table())
	if err != nil {
		return err
	}
	v, err := verify.Analyse(xlated, &c.Target.Kernel)
	if err != nil {
		return err
	}
	for _, m := range c.Scenario.Progs[n].InsnMap {
		if !v.Guarded(m.Xlated) || c.Scenario.Progs[n].Funcs[m.Func].Start < 0 {
			continue
		}
		f := &img.Funcs[m.Func]
		off := max(m.Off, f.Frame.Body) // the prologue counts as the first instruction's
		in, err := x86.Decode(f.Code[off:], f.Addr+image.Addr(off))
		if err != nil {
			return err
		}
		if !in.Load || in.Store || in.Operands[0].Kind != x86.OpReg {
			return fmt.Errorf("the code of instruction %d of the rewritten program is %s, no load", m.Xlated, in.Op)
		}
		f.Faults = append(f.Faults, image.FaultSite{Off: off, Next: off + image.CodeOff(in.Len), Clear: in.Operands[0].Reg})
	}
	return nil
}
