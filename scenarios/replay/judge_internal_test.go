// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// The judge says whether an edit changes what programs or the kernel can see. It knows no design and asks none
// of the checks: it runs edited and unedited code in the bare machine, with the same inputs, and compares how
// the runs end. Where no input comes to the edited place, branches on the way there are forced in both.

// outcome is all that programs, the caller and maps see of a run.
type outcome struct {
	fault   string
	regs    emu.Regs // at the return, those that the caller reads
	memory  uint64   // of maps, packet and context
	helpers string
}

// notJudged is the fault of code that the engine gets wrong: nothing is said of it.
const notJudged = "the engine gets it wrong"

// way is how a run is made.
type way struct {
	prog   int
	inputs uint64          // seed of the input slots; 0 for those of the capture
	count  int             // the program is entered by a tail call with this count; -1 for an ordinary entry
	state  capture.State   // of the prog arrays
	forced map[forced]bool // conditional jumps, and whether they are taken
}

type forced struct {
	fn  int
	off image.CodeOff
}

// bench is edited or unedited code, ready to run.
type bench struct {
	t     *testing.T
	rig   *runner.Rig
	c     *Bare
	edits *edit
}

var memorySeed = maphash.MakeSeed()

// retiredAt remembers where instructions retired.
type retiredAt map[image.Addr]bool

func (r retiredAt) Retired(b []record.Retired) bool {
	for i := range b {
		r[b[i].RIP] = true
	}
	return false
}
func (r retiredAt) Sites([]record.Site) bool { return false }

// enterAt is where the machine enters a program by a tail call: push rbp; mov rbp, rsp; mov rax, count; jmp.
const enterAt image.Addr = 0xffffffffc7000000

// run makes a run. at gets where instructions retired, unless it is nil.
func (b *bench) run(w *way, at retiredAt) outcome {
	c := b.c
	s, _, err := c.setup()
	if err != nil {
		return outcome{fault: "setup: " + err.Error()}
	}
	for p := range c.Scenario.Progs {
		img, err := c.decoded.program(p, w.state)
		if err != nil {
			return outcome{fault: "does not decode"}
		}
		own := *img
		own.Limit = 33
		if p == w.prog {
			own.Funcs = slices.Clone(img.Funcs)
			for i := range own.Funcs {
				own.Funcs[i].Code = b.force(own.Funcs[i].Code, i, w)
			}
		}
		s.Images = append(s.Images, &own)
	}
	r := emu.Run{Image: w.prog, Level: emu.LevelSites, MaxInsns: 1 << 16}
	if f := &s.Images[w.prog].Funcs[0]; w.count >= 0 && f.Frame.Landing >= 0 {
		code := []byte{0x55, 0x48, 0x89, 0xe5, 0xb8, byte(w.count), 0, 0, 0, 0xe9}
		code = binary.LittleEndian.AppendUint32(code, uint32(f.Addr+image.Addr(f.Frame.Landing)-enterAt-14))
		s.Images = append(s.Images, &image.Image{Limit: 33, Funcs: []image.FuncImage{{Name: "enter", Addr: enterAt, Code: code}}})
		r.Image = len(s.Images) - 1
	}
	if w.state == capture.Populated {
		for _, sl := range c.Scenario.ProgArrays {
			s.Slots = append(s.Slots, guest.Slot{Map: sl.Map, Key: sl.Key, Prog: sl.Prog})
		}
	}
	s.Data, s.Packet = runner.ContextSpace(), slices.Clone(c.header.RunData)
	m, err := b.rig.Load(s, runner.Options{}, 33)
	if err != nil {
		return outcome{fault: "load"}
	}
	if err := c.inputs(m); err != nil {
		return outcome{fault: "inputs"}
	}
	b.drawInputs(m, w.inputs)
	ctx, err := runner.PlaceContext(m, c.Target, c.Scenario.ProgType, c.header.RunData, nil)
	if err != nil {
		return outcome{fault: "context"}
	}
	r.Args = []uint64{uint64(ctx)}
	if at != nil {
		r.Level, r.Observer = emu.LevelRetired, at
	}
	return b.observe(m, &s, r)
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
	edges := []uint64{0, 1, 2, 3, 33, 0x7f, 0x80, 0xff, 0xffff, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, ^uint64(0)}
	for n := 32; 8*n+8 <= len(v); n++ {
		x := r.Uint64()
		if r.IntN(2) == 0 {
			x = edges[r.IntN(len(edges))]
		}
		binary.LittleEndian.PutUint64(v[8*n:], x)
	}
	_ = m.UpdateElem(0, make([]byte, 4), v, guest.UpdateAny)
}

// observe performs a run and reads what is left.
func (b *bench) observe(m *runner.Machine, s *guest.Setup, r emu.Run) (o outcome) {
	res, err := m.Machine.Run(context.Background(), r)
	var f *emu.Fault
	switch {
	case errors.As(err, &f) && f.Kind == emu.FaultEngine:
		return outcome{fault: notJudged}
	case errors.As(err, &f):
		o.fault = fmt.Sprint(f.Kind, f.Name)
	case err != nil:
		o.fault = err.Error()
	case res.Stop != emu.StopReturn:
		return outcome{fault: res.Stop.String()}
	}
	if f == nil {
		for _, reg := range []x86.Reg{x86.RAX, x86.RBX, x86.RSP, x86.RBP, x86.R12, x86.R13, x86.R14, x86.R15} {
			o.regs[reg] = res.Regs[reg]
		}
	}
	var h maphash.Hash
	h.SetSeed(memorySeed)
	read := func(at image.Addr, n int) {
		buf := make([]byte, n)
		if m.ReadMemory(at, buf) == nil {
			h.Write(buf)
		}
	}
	for i := range s.Maps {
		for _, sp := range m.MapMemory(i) {
			read(sp.Addr, int(min(sp.Size, 1<<16)))
		}
	}
	for _, d := range s.Data {
		read(d.Addr, len(d.Bytes))
	}
	read(guest.PacketAddr, len(s.Packet))
	o.memory = h.Sum64()
	o.helpers = fmt.Sprint(res.Helpers, res.Printk)
	return o
}

// force patches the conditional jumps that a way forces.
func (b *bench) force(code []byte, fn int, w *way) []byte {
	if len(w.forced) == 0 {
		return code
	}
	out := bytes.Clone(code)
	for f, taken := range w.forced {
		off := int(f.off)
		if f.fn != fn {
			continue
		}
		if e := b.edits; e != nil && e.over(w.prog, fn, off) {
			continue
		}
		if e := b.edits; e != nil && e.fn == fn && e.prog == w.prog {
			switch grow := len(e.repl) - (e.hi - e.lo); {
			case off >= e.hi:
				off += grow
			case off >= e.lo:
				continue // it is what was edited
			}
		}
		long := out[off] == 0x0f
		switch {
		case !long && taken:
			out[off] = 0xeb
		case !long:
			out[off], out[off+1] = 0x66, 0x90
		case taken:
			out[off], out[off+1] = 0x90, 0xe9
		default:
			copy(out[off:], nops(6))
		}
	}
	return out
}

// over reports whether one of the places that are edited besides the first one is at an offset.
func (e *edit) over(prog, fn, off int) bool {
	for i := range e.also {
		if a := &e.also[i]; a.prog == prog && a.fn == fn && off >= a.lo && off < a.hi {
			return true
		}
	}
	return false
}

// pathTo finds the conditional jumps on a shortest way from the entry of a program to an offset of one of its
// functions.
func pathTo(img *image.Image, fn int, lo int) (map[forced]bool, bool) {
	type node struct {
		fn  int
		off image.CodeOff
	}
	type step struct {
		from  node
		jump  bool
		taken bool
	}
	first := node{0, img.Funcs[0].Entry}
	seen := map[node]step{first: {}}
	queue := []node{first}
	byAddr := entriesOf(img)
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		f := &img.Funcs[n.fn]
		if n.fn == fn && int(n.off) == lo {
			out := map[forced]bool{}
			for ; n != first; n = seen[n].from {
				if s := seen[n]; s.jump {
					out[forced{s.from.fn, s.from.off}] = s.taken
				}
			}
			return out, true
		}
		if int(n.off) >= len(f.Code) {
			continue
		}
		in, err := x86.Decode(f.Code[n.off:], f.Addr+image.Addr(n.off))
		if err != nil {
			continue
		}
		visit := func(to node, jump, taken bool) {
			if _, dup := seen[to]; !dup {
				seen[to] = step{n, jump, taken}
				queue = append(queue, to)
			}
		}
		next := node{n.fn, n.off + image.CodeOff(in.Len)}
		inside := in.Target >= f.Addr && in.Target < f.End()
		switch in.Branch {
		case x86.BranchNone, x86.BranchCallIndirect:
			if !in.Trap {
				visit(next, false, false)
			}
		case x86.BranchCond:
			visit(next, true, false)
			visit(node{n.fn, image.CodeOff(in.Target - f.Addr)}, true, true)
		case x86.BranchJump:
			if inside {
				visit(node{n.fn, image.CodeOff(in.Target - f.Addr)}, false, false)
			}
		case x86.BranchCall:
			if to, ok := byAddr[in.Target]; ok {
				visit(node{to, img.Funcs[to].Entry}, false, false)
			}
			visit(next, false, false)
		}
	}
	return nil, false
}

func entriesOf(img *image.Image) map[image.Addr]int {
	out := map[image.Addr]int{}
	for i := range img.Funcs {
		out[img.Funcs[i].Addr+image.Addr(img.Funcs[i].Entry)] = i
	}
	return out
}

// seenByKernel says whether an edit changes something that the kernel relies on without executing it: where it may
// enter, and the bytes that it compares before it patches them.
func seenByKernel(img *image.Image, e *edit, ibt bool) string {
	f := &img.Funcs[e.fn]
	over := func(at image.CodeOff, n int) bool { return e.lo < int(at)+n && int(at) < e.hi && at >= 0 }
	const endbr = 4
	attach := f.Entry
	if ibt {
		if over(f.Entry, endbr) {
			return "an indirect branch enters here"
		}
		if e.fn == 0 && f.Frame.Landing >= 0 && over(f.Frame.Landing, endbr) {
			return "a tail call lands here"
		}
		attach += endbr
	}
	twice := e.kind == "doubled, relinked" && e.lo == int(attach) && e.hi == e.lo+image.PokeSize                   // the first one is patched
	if over(attach, 5) && !twice && int(attach) < len(f.Code) && !bytes.HasPrefix(f.Code[attach:], []byte{0x55}) { // before 5.5 the frame comes first
		return "trampolines are attached here"
	}
	for i := range f.TailCalls {
		s := &f.TailCalls[i]
		if e.kind == "doubled, relinked" && e.lo == int(s.Jump) && e.hi == e.lo+image.PokeSize && e.old[:3] == "nop" {
			continue // one of two nops is patched, the other one does nothing
		}
		if s.Direct && (over(s.Jump, 5) || over(s.Bypass, 5)) {
			return "the kernel patches this"
		}
	}
	return ""
}
