// SPDX-License-Identifier: GPL-2.0-only

package edits

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// Outcome is all that programs, the caller and maps see of a run.
type Outcome struct {
	Fault   string
	Regs    emu.Regs // at the return, those that the caller reads
	Memory  uint64   // of maps, packet and context
	Helpers string
}

// NotJudged is the fault of code that the engine gets wrong: nothing is said of it.
const NotJudged = "the engine gets it wrong"

// Way is how a run is made.
type Way struct {
	Prog   int
	Inputs uint64 // seed of what maps and packets hold; 0 for what they hold without one
	Count  int    // the program is entered by a tail call with this count; -1 for an ordinary entry
	Empty  bool   // the prog arrays are
	// Forced are conditional jumps of Prog, and whether they are taken.
	Forced map[Jump]bool
}

// Jump is an instruction of a program.
type Jump struct {
	Func int
	Off  image.CodeOff
}

// Reached remembers where instructions retired.
type Reached map[image.Addr]bool

// Retired implements emu.Observer.
func (r Reached) Retired(b []record.Retired) bool {
	for i := range b {
		r[b[i].RIP] = true
	}
	return false
}

// Sites implements emu.Observer.
func (r Reached) Sites([]record.Site) bool { return false }

// over reports whether an instruction of an edited piece of code at addr was reached.
func (r Reached) over(e *Edit, addr image.Addr) bool {
	for off := e.Lo; off < e.Hi; off++ {
		if r[addr+image.Addr(off)] {
			return true
		}
	}
	return false
}

// Side is edited or unedited code. Run makes a run of it; at gets where instructions retired, unless it is nil.
type Side interface {
	Run(w *Way, at Reached) Outcome
}

// enterAt is where the machine enters a program by a tail call: push rbp; mov rbp, rsp; mov rax, count; jmp.
const enterAt image.Addr = 0xffffffffc7000000

// mostInsns ends the runs that the judge makes.
const mostInsns = 1 << 16

// Bench is what runs are made with.
type Bench struct {
	Rig   *runner.Rig
	Limit uint32 // of tail calls
	// Prepare gives maps and packet their contents and returns the context of the run.
	Prepare func(m *runner.Machine, w *Way) (image.Addr, error)
}

// Run makes a run of a setup, which has images and slots of the state that the way asks for.
func (b *Bench) Run(s guest.Setup, w *Way, at Reached) Outcome {
	s.Images = slices.Clone(s.Images)
	r := emu.Run{Image: w.Prog, Level: emu.LevelSites, MaxInsns: mostInsns}
	if f := &s.Images[w.Prog].Funcs[0]; w.Count >= 0 && f.Frame.Landing >= 0 {
		code := []byte{0x55, 0x48, 0x89, 0xe5, 0xb8, byte(w.Count), 0, 0, 0, 0xe9}
		code = binary.LittleEndian.AppendUint32(code, uint32(f.Addr+image.Addr(f.Frame.Landing)-enterAt-14))
		s.Images = append(s.Images, &image.Image{Limit: b.Limit, Funcs: []image.FuncImage{{Name: "enter", Addr: enterAt, Code: code}}})
		r.Image = len(s.Images) - 1
	}
	m, err := b.Rig.Load(s, runner.Options{}, b.Limit)
	if err != nil {
		return Outcome{Fault: "load"}
	}
	ctx, err := b.Prepare(m, w)
	if err != nil {
		return Outcome{Fault: "inputs"}
	}
	r.Args = []uint64{uint64(ctx)}
	if at != nil {
		r.Level, r.Observer = emu.LevelRetired, at
	}
	return observe(m, &s, r)
}

var memorySeed = maphash.MakeSeed()

// observe performs a run and reads what is left.
func observe(m *runner.Machine, s *guest.Setup, r emu.Run) (o Outcome) {
	res, err := m.Machine.Run(context.Background(), r)
	var f *emu.Fault
	switch {
	case errors.As(err, &f) && f.Kind == emu.FaultEngine:
		return Outcome{Fault: NotJudged}
	case errors.As(err, &f):
		o.Fault = fmt.Sprint(f.Kind, f.Name)
	case err != nil:
		o.Fault = err.Error()
	case res.Stop != emu.StopReturn:
		return Outcome{Fault: res.Stop.String()}
	}
	if f == nil {
		for _, reg := range []x86.Reg{x86.RAX, x86.RBX, x86.RSP, x86.RBP, x86.R12, x86.R13, x86.R14, x86.R15} {
			o.Regs[reg] = res.Regs[reg]
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
	o.Memory = h.Sum64()
	o.Helpers = fmt.Sprint(res.Helpers, res.Printk)
	return o
}

// Differ runs both sides in every way that comes to an edit of code at addr, and says how one of these runs ends otherwise,
// "" if none does. reached reports whether one came there.
func Differ(e *Edit, addr image.Addr, ways []Way, good, bad Side) (why string, reached bool) {
	for i := range ways {
		w := &ways[i]
		at := Reached{}
		want := good.Run(w, at)
		if !at.over(e, addr) {
			continue
		}
		reached = true
		if got := bad.Run(w, nil); got != want && got.Fault != NotJudged {
			return fmt.Sprintf("%+v: %+v, %+v before", *w, got, want), true
		}
	}
	return "", reached
}

// DifferForced is Differ for an edit that no run comes to, of function fn of program prog, whose image is img: the
// conditional jumps on the way there are forced.
func DifferForced(e *Edit, prog, fn int, img *image.Image, empty bool, good, bad Side) string {
	path, ok := PathTo(img, fn, e.Lo)
	if !ok {
		return ""
	}
	for _, seed := range []uint64{0, 1, 2} {
		w := Way{Prog: prog, Count: -1, Empty: empty, Forced: path, Inputs: seed}
		if want, got := good.Run(&w, nil), bad.Run(&w, nil); got != want && got.Fault != NotJudged {
			return fmt.Sprintf("forced, %+v: %+v, %+v before", w, got, want)
		}
	}
	return ""
}

// Ways are how a program is run that has an edit: run is the program that a scenario runs. tailCalls says that the edited one
// has tail calls.
func Ways(run, edited int, tailCalls, empty bool) []Way {
	out := []Way{{Prog: run, Count: -1, Empty: empty}}
	for seed := range uint64(3) {
		out = append(out, Way{Prog: run, Count: -1, Empty: empty, Inputs: seed + 1})
	}
	if edited != run {
		out = append(out, Way{Prog: edited, Count: -1, Empty: empty})
	}
	if tailCalls {
		for _, n := range []int{31, 32, 33, 34} {
			out = append(out, Way{Prog: edited, Count: n, Empty: empty})
		}
	}
	return out
}

// Input draws a number for a program to find in a map: at the edges of what numbers there are, or anything.
func Input(r *rand.Rand) uint64 {
	edges := []uint64{0, 1, 2, 3, 33, 0x7f, 0x80, 0xff, 0xffff, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, ^uint64(0)}
	x := r.Uint64()
	if r.IntN(2) == 0 {
		x = edges[r.IntN(len(edges))]
	}
	return x
}
