// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
)

// inspectEntries looks at how all functions begin and end, in every state of the prog arrays. Of a kernel that
// is not known nothing is demanded.
func (c *Facts) inspectEntries() error {
	if c.Target.Decoded {
		return nil
	}
	rules := recognise.EntryRules{
		Design: c.said(), IBT: c.Target.Emit.ENDBR, Limit: bpf.TailCallLimit,
		Preamble: c.Target.Emit.CFI != kernels.CFINone && c.Target.Emit.CFI != kernels.CFIKernel,
	}
	seen := map[string]bool{}
	for _, state := range capture.States() {
		for p := range c.Scenario.Progs {
			if c.Scenario.Progs[p].LoadError != "" {
				continue
			}
			img, err := c.decoded.program(p, state)
			if err != nil {
				return fmt.Errorf("program %s: %w", c.Scenario.Progs[p].Name, err)
			}
			if err := c.inspectEntry(p, img, rules, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Facts) inspectEntry(p int, img *image.Image, rules recognise.EntryRules, seen map[string]bool) error {
	flaws, err := recognise.EntryFlaws(img, rules)
	if err != nil {
		return err
	}
	for _, x := range flaws {
		if key := fmt.Sprint(p, x); !seen[key] { // states differ in little
			seen[key] = true
			c.flaw(p, &img.Funcs[x.Func], x.Off, x.Text)
		}
	}
	return nil
}
