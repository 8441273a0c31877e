// SPDX-License-Identifier: GPL-2.0-only

package interleave

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/explore"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// shadowText is text as an update changes it, without the machine's.
type shadowText struct {
	read    func(image.Addr, int) ([]byte, error)
	changed map[image.Addr][]byte // jit.PokeSize bytes by address
}

// bytes reads text. Places that were changed are read whole.
func (t *shadowText) bytes(a image.Addr, n int) ([]byte, error) {
	if b := t.changed[a]; b != nil && n == len(b) {
		return append([]byte(nil), b...), nil
	}
	return t.read(a, n)
}

// apply does the text pokes of a plan without anything between, as far as they go.
func (t *shadowText) apply(plan []image.Patch) error {
	for i := range plan {
		if p := &plan[i]; p.Kind == image.PatchText {
			if _, err := t.patch(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// patch does one text poke. Finding other bytes than expected is a pokeError.
func (t *shadowText) patch(p *image.Patch) (image.PokeResult, error) {
	b, err := t.bytes(p.Addr, image.PokeSize)
	if err != nil {
		return 0, err
	}
	r := p.Apply(b)
	if r < 0 {
		return r, check.PokeRefused(p, r, b)
	}
	t.changed[p.Addr] = b
	return r, nil
}

// scripter makes the steps of an update.
type scripter struct {
	m       *runner.Machine
	c       *runner.Compiled
	changes []runner.Change // in order
	noRCU   bool
	text    shadowText
	out     explore.Script
	broke   *check.PokeError // the first thing wrong with the updates themselves
}

// script takes updates apart into what can be seen of it. What is wrong with it whatever other
// processors do is the violation: a text poke is refused, which ends the update, or a pair of patched
// instructions is not legal in between or at the end.
func (w *scripter) script() (*explore.Script, *check.Violation, error) {
	w.text = shadowText{w.m.Bytes, map[image.Addr][]byte{}}
	for i := range w.changes {
		err := w.run(&w.changes[i])
		var broken *check.PokeError
		if errors.As(err, &broken) {
			w.breaks(broken)
			break
		}
		if err == nil {
			err = w.leads(&w.changes[i])
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if w.broke == nil {
		return &w.out, nil, nil
	}
	return &w.out, w.broke.Violation(w.m.Code), nil
}

// leads checks that all sites lead where an update has made the slot lead.
func (w *scripter) leads(c *runner.Change) error {
	for _, site := range c.Sites {
		st, err := check.ReadSite(site, w.text.bytes)
		if err != nil {
			return err
		}
		w.breaks(st.Leads(w.c.Landing(c.New)))
	}
	return nil
}

func (w *scripter) breaks(e *check.PokeError) {
	if w.broke == nil {
		w.broke = e
	}
}

func (w *scripter) run(c *runner.Change) error {
	changed := make([]bool, len(c.Plan))
	for i := range c.Plan {
		p := &c.Plan[i]
		switch p.Kind {
		case image.PatchPointer:
			if err := w.pointer(c); err != nil {
				return err
			}
		case image.PatchWait:
			if changed[p.After] && !w.noRCU {
				w.step(explore.Step{Kind: explore.StepWaitBegin, Text: "synchronize_rcu: the wait begins"})
				w.step(explore.Step{Kind: explore.StepWaitEnd, Text: "synchronize_rcu: every earlier invocation has ended"})
			}
		case image.PatchText:
			before, err := w.text.bytes(p.Addr, image.PokeSize)
			if err != nil {
				return err
			}
			r, err := w.text.patch(p)
			if err != nil {
				return err
			}
			if changed[i] = r == image.PokeChanged; changed[i] {
				w.poke(p, before)
			}
			st, err := check.ReadSite(c.Sites[p.Site], w.text.bytes)
			if err != nil {
				return err
			}
			w.breaks(st.Fault())
		}
	}
	return nil
}

func (w *scripter) step(st explore.Step) { w.out.Steps = append(w.out.Steps, st) }

// place remembers what lies where a step stores, once.
func (w *scripter) place(a image.Addr, before []byte, code bool) {
	for i := range w.out.Before {
		if w.out.Before[i].Addr == a {
			return
		}
	}
	w.out.Before = append(w.out.Before, explore.Place{Addr: a, Bytes: before, Code: code})
}

// pointer is the exchange of the program pointer in the array.
func (w *scripter) pointer(c *runner.Change) error {
	m := w.m
	_, first := m.MapAddr(c.Map)
	at := first + image.Addr(c.Key)*8
	old, err := m.Bytes(at, 8)
	if err != nil {
		return err
	}
	var b [8]byte
	if c.New >= 0 {
		binary.LittleEndian.PutUint64(b[:], uint64(m.ProgAddr(c.New)))
	}
	w.place(at, old, false)
	w.step(explore.Step{
		Kind: explore.StepPointer, Addr: at, Bytes: b[:],
		Text: fmt.Sprintf("%s = %s", w.c.SlotName(c.Slot), w.c.ProgName(c.New)),
	})
	return nil
}

// poke is a text poke as the three writes that others can see.
func (w *scripter) poke(p *image.Patch, before []byte) {
	w.place(p.Addr, before, true)
	what := fmt.Sprintf("%s %s -> %s", part(p), w.insn(p.Addr, [image.PokeSize]byte(before)), w.insn(p.Addr, p.New))
	for i, t := range p.Steps() {
		phase := [...]string{"breakpoint", "last 4 bytes", "first byte"}[i]
		w.step(explore.Step{
			Kind: explore.StepText, Addr: p.Addr + image.Addr(t.Off), Bytes: t.Bytes, Patch: p, Last: i == 2,
			Phase: phase, Text: fmt.Sprintf("%s at %s: %s", what, w.m.Code.Where(p.Addr), phase),
		})
	}
}

// part names the instruction that a text poke changes.
func part(p *image.Patch) string {
	if p.Part == image.PartBypass {
		return "bypass"
	}
	return "target"
}

// insn names what a patched place holds.
func (w *scripter) insn(at image.Addr, b [image.PokeSize]byte) string {
	p := image.Patch{Addr: at, New: b}
	if p.Trap() == at+image.PokeSize {
		return "nop"
	}
	return "jmp " + w.m.Code.Where(p.Trap())
}

// follow tries the updates that can come after the last one: to nothing, back, to another program. The first
// that the design cannot do is the violation.
func (w *scripter) follow() (*check.Violation, error) {
	c := &w.changes[len(w.changes)-1]
	t := shadowText{w.m.Bytes, map[image.Addr][]byte{}}
	for i := range w.changes {
		if err := t.apply(w.changes[i].Plan); err != nil {
			var broken *check.PokeError
			if errors.As(err, &broken) {
				return nil, nil // the update itself is at fault
			}
			return nil, err
		}
	}
	from := c.New
	prog := max(c.New, c.Old, 0)
	for _, to := range []int{prog, -1, prog, w.other(prog), -1, w.other(prog)} {
		if w.c.Landing(to) == 0 && to >= 0 {
			continue
		}
		plan, err := w.c.Target.UpdatePlan(c.Sites, w.c.Landing(from), w.c.Landing(to))
		if err != nil {
			return nil, err
		}
		err = t.apply(plan)
		for i := 0; i < len(c.Sites) && err == nil; i++ {
			st, e := check.ReadSite(c.Sites[i], t.bytes)
			if err = e; err == nil {
				if f := st.Leads(w.c.Landing(to)); f != nil {
					err = f
				}
			}
		}
		var broken *check.PokeError
		if errors.As(err, &broken) {
			broken.Text = fmt.Sprintf("a later update of %s from %s to %s cannot be done: %s",
				w.c.SlotName(c.Slot), w.c.ProgName(from), w.c.ProgName(to), broken.Text)
			return broken.Violation(w.m.Code), nil
		}
		if err != nil {
			return nil, err
		}
		from = to
	}
	return nil, nil
}

// other returns a program other than p that can be in a slot, p itself if there is none.
func (w *scripter) other(p int) int {
	for i := range w.c.Images {
		if i != p && w.c.Landing(i) != 0 {
			return i
		}
	}
	return p
}
