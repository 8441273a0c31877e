// SPDX-License-Identifier: GPL-2.0-only

package lockstep

import (
	"fmt"
	"sort"

	"github.com/tcsim/tcsim/emu/kernel"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/verify/rewrite"
	"github.com/tcsim/tcsim/scenarios/progen"
)

// compiled is a program as machine code.
type compiled struct {
	index int // among the programs that are played
	prog  *progen.Program
	img   *image.Image
	// at is where the code of each slot of the program begins, 0 if it has none.
	at    []image.Addr
	marks []image.Addr
	// For what is reached: the program as the verifier leaves it, and what the emitter made of each slot, 0 where that is
	// not known.
	verified *verify.Verified
	shape    []uint64
	ways     []uint64 // through the emitter
}

// env is a plan with room for an arena.
type env struct{ *kernel.Plan }

// Where the kernel and user space see the arena.
const (
	arenaKernel image.Addr = 0xffff_d000_0000_0000
	arenaUser   image.Addr = 0x1_0000_0000
)

// Arena implements image.ArenaEnv.
func (env) Arena(int) (inKernel, inUser image.Addr, err error) { return arenaKernel, arenaUser, nil }

// add compiles a program.
func (l *load) add(index int, prog *progen.Program) error {
	p, places, err := rewrite.Places(prog.BPF, &l.t.Kernel)
	if err != nil {
		return err
	}
	if l.p.rewritten != nil {
		l.p.rewritten(p)
	}
	v, err := verify.Analyse(p, &l.t.Kernel)
	if err != nil {
		return err
	}
	t, ways := l.t, []uint64(nil)
	if l.p.Reach != nil {
		own := *t
		own.Ways = func(w uint64) { ways = append(ways, w) }
		t = &own
	}
	img, err := jit.Compile(v, t, env{l.plan})
	if err != nil {
		return err
	}
	if l.p.compiled != nil {
		l.p.compiled(img)
	}
	c := compiled{index: index, prog: prog, img: img, at: make([]image.Addr, len(places)-1), verified: v, ways: ways}
	if l.p.Reach != nil {
		c.shape = make([]uint64, len(c.at))
	}
	for i := bpf.InsnIndex(0); int(i) < len(prog.BPF.Insns); i += prog.BPF.Insns[i].Width() {
		if to := places[i]; to >= 0 && !shared(p, to) {
			if a, code := codeAt(img, p, to); code != nil {
				c.at[i] = a
				c.marks = append(c.marks, a)
				if l.p.Reach != nil {
					c.shape[i] = l.p.Reach.Shape(v.Insns[to], code)
				}
			}
		}
	}
	l.progs = append(l.progs, c)
	return nil
}

// shared reports whether other exits of the function jump to the code of an exit: only the first one has some of its own
// (do_jit, arch/x86/net/bpf_jit_comp.c).
func shared(p *bpf.Program, slot bpf.InsnIndex) bool {
	if p.Insns[slot].Op != bpf.OpExit {
		return false
	}
	from, to := bpf.InsnIndex(0), bpf.InsnIndex(len(p.Insns))
	for _, f := range p.Funcs {
		if f.Start <= slot {
			from = f.Start
		} else {
			to = min(to, f.Start)
		}
	}
	exits, first := 0, true
	for i := from; i < to; i += p.Insns[i].Width() {
		if p.Insns[i].Op == bpf.OpExit {
			exits++
			first = first && i >= slot
		}
	}
	return exits > 1 && first
}

// codeAt returns the code of a slot with its address; nil if it has none, or it is not known.
func codeAt(img *image.Image, p *bpf.Program, slot bpf.InsnIndex) (a image.Addr, code []byte) {
	n := sort.Search(len(img.Funcs), func(i int) bool { return img.Funcs[i].FirstInsn > slot }) - 1
	if n < 0 {
		return 0, nil
	}
	f := &img.Funcs[n]
	i, end := slot-f.FirstInsn, slot-f.FirstInsn+p.Insns[slot].Width()
	if int(end) >= len(f.InsnOff) || f.InsnOff[i] == f.InsnOff[end] {
		return 0, nil
	}
	return f.Addr + image.Addr(f.InsnOff[i]), f.Code[f.InsnOff[i]:f.InsnOff[end]]
}

// slot returns the slot whose code begins at an address, -1 if there is none.
func (c *compiled) slot(a image.Addr) int {
	for i, at := range c.at {
		if at == a {
			return i
		}
	}
	return -1
}

// where names the place of a site.
func (c *compiled) where(s *record.Site) string {
	i := c.slot(s.RIP)
	if i < 0 {
		return fmt.Sprintf("rip %#x", uint64(s.RIP))
	}
	return fmt.Sprintf("BPF instruction %d (%s), rip %#x", i, bpf.TextAt(c.prog.BPF.Insns, bpf.InsnIndex(i)), uint64(s.RIP))
}

// function returns the function whose code an address is in.
func (c *compiled) function(a image.Addr) *image.FuncImage {
	for i := range c.img.Funcs {
		if f := &c.img.Funcs[i]; a >= f.Addr && a < f.End() {
			return f
		}
	}
	return nil
}
