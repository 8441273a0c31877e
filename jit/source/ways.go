// SPDX-License-Identifier: GPL-2.0-only

package source

import (
	"fmt"
	"hash/fnv"
)

// watched does something, and tells the ways through the C code that are taken meanwhile: the lines at which pieces of code begin,
// not their addresses, so that they depend on the compiler as little as can be.
func (g *guest) watched(tell func(way uint64), do func() error) error {
	if tell == nil {
		return do()
	}
	if err := g.cpu.Watch(moduleBase, uint64(g.o.text)); err != nil {
		return err
	}
	err := do()
	for _, a := range g.cpu.Begun() {
		if l, ok := g.o.lineAt(a); ok {
			h := fnv.New64a()
			fmt.Fprintf(h, "%s:%d", l.file, l.line)
			tell(h.Sum64())
		}
	}
	if off := g.cpu.Watch(0, 0); err == nil {
		err = off
	}
	return err
}
