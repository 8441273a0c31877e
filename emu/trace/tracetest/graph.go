// SPDX-License-Identifier: GPL-2.0-only

package tracetest

import (
	"encoding/binary"

	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
)

// Graph is the hierarchy of two functions: entry calls sub, sub tail-calls slot 0 of a prog array
// with entry in it. The zero value but for Design is entry{sub} with an indirect tail call.
type Graph struct {
	Design *Design
	Calls  int   // of sub in entry, 0 means 1
	Stack  int32 // BPF stack of entry in bytes, of which the first 8 are written, 0 means 8
	Direct bool
	Helper bool // entry calls a helper before sub
	Around bool // sub can jump around its tail call
	Self   bool // there is no sub: entry makes the tail call itself, to itself
	// Extra is code that entry runs before its calls, SubExtra what sub runs before its tail call,
	// as the program's own, hexadecimal.
	Extra, SubExtra string
}

// Image returns the graph as one image: entry, then sub.
func (g Graph) Image() *image.Image {
	if g.Calls == 0 {
		g.Calls = 1
	}
	if g.Stack == 0 {
		g.Stack = 8
	}
	p := &bpf.Program{
		Name:  "entry",
		Funcs: []bpf.Func{{Name: "entry"}, {Name: "sub"}},
		Maps:  []bpf.Map{{Name: "jmp_table", Type: bpf.ProgArray, KeySize: 4, ValueSize: 4, MaxEntries: 1}},
	}
	funcs := []image.FuncImage{g.entry()}
	if g.Self {
		p.Funcs = p.Funcs[:1]
	} else {
		funcs = append(funcs, g.sub(bpf.InsnIndex(len(funcs[0].InsnOff)-1)))
		p.Funcs[1].Start = funcs[1].FirstInsn
	}
	for i := range funcs {
		f := &funcs[i]
		insns := make([]bpf.Insn, len(f.InsnOff)-1)
		for i := range insns {
			insns[i].Op = bpf.OpMov // mov, unless it is known to be something else
		}
		for _, c := range f.Calls {
			insns[c.Insn-f.FirstInsn].Op = bpf.OpCall
		}
		for _, t := range f.TailCalls {
			insns[t.Insn-f.FirstInsn].Op = bpf.OpCall
		}
		insns[len(insns)-1].Op = bpf.OpExit
		p.Insns = append(p.Insns, insns...)
	}
	return &image.Image{
		Program: p, Limit: 33, Funcs: funcs,
	}
}

func (g Graph) entry() image.FuncImage {
	b := newBuf(EntryAddr)
	f := image.FuncImage{Name: "entry", Addr: EntryAddr, Frame: g.Design.frame(true, g.Stack, true)}
	g.Design.prologue(b, true, g.Stack, true)
	f.Frame.Body, f.Frame.Landing = b.off(), image.CodeOff(g.Design.landing)
	insn := func() bpf.InsnIndex {
		f.InsnOff = append(f.InsnOff, b.off())
		return bpf.InsnIndex(len(f.InsnOff) - 1)
	}
	insn()
	b.hex("4889fb") // mov rbx, rdi
	insn()
	b.hex("48895df8") // mov [rbp-8], rbx
	if g.Extra != "" {
		insn()
		b.hex(g.Extra)
	}
	if g.Helper {
		i := insn()
		g.Design.reload(b, g.Stack)
		f.Calls = append(f.Calls, image.CallSite{Insn: i, Off: b.call(HelperAddr), Target: HelperAddr, Func: -1})
	}
	if g.Self {
		g.tailCall(b, &f, insn, g.Stack, true)
		g.Calls = 0
	}
	for range g.Calls {
		insn()
		b.hex("4889df") // mov rdi, rbx
		i := insn()
		g.Design.reload(b, g.Stack)
		f.Calls = append(f.Calls, image.CallSite{Insn: i, Off: b.call(SubAddr), Target: SubAddr, Func: 1})
	}
	insn()
	b.hex("b801000000") // mov eax, 1
	insn()
	b.hex(g.Design.epilogue)
	insn()
	f.Code = b.finish()
	return f
}

func (g Graph) sub(first bpf.InsnIndex) image.FuncImage {
	b := newBuf(SubAddr)
	f := image.FuncImage{Name: "sub", Addr: SubAddr, FirstInsn: first, Frame: g.Design.frame(false, 0, false)}
	g.Design.prologue(b, false, 0, false)
	f.Frame.Body, f.Frame.Landing = b.off(), image.CodeOff(g.Design.landing)
	insn := func() bpf.InsnIndex {
		f.InsnOff = append(f.InsnOff, b.off())
		return first + bpf.InsnIndex(len(f.InsnOff)-1)
	}
	g.tailCall(b, &f, insn, 0, false)
	insn()
	b.hex("b800000000") // mov eax, 0
	insn()
	b.hex("c9 c3") // leave; ret
	insn()
	f.Code = b.finish()
	return f
}

// tailCall appends the instructions that end in a tail call.
func (g Graph) tailCall(b *buf, f *image.FuncImage, insn func() bpf.InsnIndex, sd int32, rbx bool) {
	insn()
	insn()
	b.hex("48be").i64(uint64(MapAddr)) // mov rsi, map
	insn()
	b.hex("31d2") // xor edx, edx
	if g.SubExtra != "" {
		insn()
		b.hex(g.SubExtra)
	}
	if g.Around {
		insn()
		b.hex("4885ff") // test rdi, rdi
		b.jcc("74", "end")
	}
	t := image.TailCallSite{
		Direct: g.Direct, Bounds: -1, Limit: -1, Null: -1, Bump: -1, Unwind: -1, Bypass: -1, Jump: -1,
	}
	t.Insn = insn()
	t.Start = b.off()
	g.Design.tail(b, &t, sd, rbx)
	t.End = b.off()
	b.label("end")
	f.TailCalls = []image.TailCallSite{t}
}

// Fill puts entry into slot 0, or empties it, as a map update does, with the text of a direct tail
// call.
func (m *Machine) Fill(yes bool) {
	m.Write(MapAddr+offMaxEntries, 1, 4)
	m.Write(ProgAddr+offBPFFunc, uint64(EntryAddr), 8)
	p := uint64(ProgAddr)
	if !yes {
		p = 0
	}
	m.Write(MapAddr+offPtrs, p, 8)
	Patch(m.Images[0], yes)
}

// Patch sets the two patched places of a direct site; it leaves indirect ones alone.
func Patch(img *image.Image, filled bool) {
	f := &img.Funcs[len(img.Funcs)-1]
	t := &f.TailCalls[0]
	if !t.Direct {
		return
	}
	bypass, jump := f.Code[t.Bypass:t.Bypass+5], f.Code[t.Jump:t.Jump+5]
	nop := []byte{0x0f, 0x1f, 0x44, 0, 0}
	jmp := func(at image.CodeOff, to image.Addr) []byte {
		return binary.LittleEndian.AppendUint32([]byte{0xe9}, uint32(to-f.Addr-image.Addr(at)-5))
	}
	if filled {
		copy(bypass, nop)
		copy(jump, jmp(t.Jump, EntryAddr+image.Addr(img.Funcs[0].Frame.Landing)))
		return
	}
	copy(bypass, jmp(t.Bypass, f.Addr+image.Addr(t.End)))
	copy(jump, nop)
}

// Record prepares the graph with a filled slot, runs change on the image and the machine if it is
// not nil, and records a run of at most max instructions.
func (g Graph) Record(o trace.Options, max int, change func(*image.Image, *Machine)) (*trace.Code, *Machine, error) {
	img := g.Image()
	c, err := trace.NewCode([]*image.Image{img}, o)
	if err != nil {
		return nil, nil, err
	}
	m := New(c, img)
	m.Fill(true)
	m.Helper = func(m *Machine, _ image.Addr) error {
		for _, r := range callerSaved {
			m.Regs[r] = Junk
		}
		return nil
	}
	if change != nil {
		change(img, m)
		if c, err = trace.NewCode([]*image.Image{img}, o); err != nil {
			return nil, nil, err
		}
	}
	return c, m, m.Run(max)
}
