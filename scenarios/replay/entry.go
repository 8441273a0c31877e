// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/recognise"
)

// entryRules are what a kernel demands of how functions begin and end.
func entryRules(t *jit.Target) recognise.EntryRules {
	return recognise.EntryRules{
		Design: t.Design, IBT: t.Emit.ENDBR, Attached: t.Emit.Tramp.Place, Limit: bpf.TailCallLimit,
		Poison: emit.Poison(t.Emit.CFI),
	}
}

// inspectEntries looks at how all functions begin and end, in every state of the prog arrays, and then at the rest
// of the code. Of a kernel that is not known nothing is demanded.
func (c *Facts) inspectEntries() error {
	if c.Target.Decoded {
		return c.inspectRest()
	}
	rules := entryRules(c.Target)
	var flaws, always []string
	odd := map[int]bool{} // programs that begin otherwise
	loaded := 0
	for p := range c.Scenario.Progs {
		if c.Scenario.Progs[p].LoadError == "" {
			loaded++
		}
	}
	for _, state := range capture.States() {
		for p := range c.Scenario.Progs {
			if c.Scenario.Progs[p].LoadError != "" {
				continue
			}
			img, err := c.decoded.program(p, state)
			if err != nil {
				return fmt.Errorf("program %s: %w", c.Scenario.Progs[p].Name, err)
			}
			found, err := recognise.EntryFlaws(img, rules)
			if err != nil {
				return err
			}
			for _, x := range found {
				odd[p] = odd[p] || x.Func == 0
				list := &flaws
				if x.Always {
					list = &always
				}
				// States differ in little.
				if text := c.flawText(p, &img.Funcs[x.Func], x.Off, x.Text); !slices.Contains(*list, text) {
					*list = append(*list, text)
				}
			}
		}
	}
	c.flaws = append(c.flaws, always...)
	c.allOdd = len(odd) == loaded
	if !c.otherDesign() {
		c.flaws = append(c.flaws, flaws...)
	}
	return c.inspectRest()
}
