// SPDX-License-Identifier: GPL-2.0-only

package explain

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Place says what of a function differs.
type Place uint8

// The places.
const (
	Body     Place = iota // what instructions of the program became, calls and exits
	Prologue              // before the program's first instruction
	Site                  // the code of a tail call
)

// Difference is a piece of code that is not shown to do what the right code does there.
type Difference struct {
	Place Place
	Off   image.CodeOff // in the code that is compared
	Text  string
	// Counter says that nothing but rax at a call of another function differs: whether the counter has to be in
	// it is a matter of the design.
	Counter bool
}

// Result is the outcome of a comparison.
type Result struct {
	Differences []Difference
	// Explained counts the pieces that differ and do the same.
	Explained int
}

// Each piece is executed in so many states at least: in more where it compares something, and in more than that until all
// of its outcomes were seen.
const (
	trials     = 160
	comparing  = 1000
	mostTrials = 4000
)

// Compare compares code that lies at want.Addr with want. It errors if code does not decode.
func Compare(want *image.FuncImage, code []byte) (Result, error) {
	var out Result
	if bytes.Equal(want.Code, code) {
		return out, nil
	}
	w, err := list(want.Code, want.Addr)
	if err != nil {
		return out, fmt.Errorf("the code to compare with: %w", err)
	}
	g, err := list(code, want.Addr)
	if err != nil {
		return out, err
	}
	c := &comparison{want: want, w: w, g: g, callees: calleesOf(want)}
	c.align()
	c.live = liveness(w, want)
	gaps := c.gaps()
	for i := 0; i < len(gaps); i++ {
		p := gaps[i]
		why, counter := c.judge(p, p)
		if why != "" && c.fine(c.before(p), p) {
			why = ""
		}
		// What differs in two places may only be right together.
		for n := 1; why != "" && n <= 3 && i+n < len(gaps) && gaps[i+n].w0-gaps[i+n-1].w1 <= 4; n++ {
			joined := gap{p.w0, gaps[i+n].w1, p.g0, gaps[i+n].g1}
			if c.placeOf(joined) != c.placeOf(p) {
				break
			}
			if c.fine(joined, joined) || c.fine(c.before(joined), joined) {
				why, i = "", i+n
			}
		}
		if why == "" {
			out.Explained++
			continue
		}
		out.Differences = append(out.Differences, Difference{c.placeOf(p), c.g.off(p.g0), c.describe(p, why), counter})
	}
	if at, ok := attached(want); ok && c.moved(at, code) && !slices.ContainsFunc(out.Differences, func(d Difference) bool { return d.Place == Prologue }) {
		out.Differences = append(out.Differences, Difference{Prologue, at, "trampolines are attached to one instruction of five bytes, and it is not here", false})
	}
	return out, nil
}

// attached returns where trampolines are attached to a function: at the nop of five bytes at its entry, after what an
// indirect branch lands on (bpf_arch_text_poke). ok is false if the kernel has none there, as those before 5.5.
func attached(f *image.FuncImage) (at image.CodeOff, ok bool) {
	for at = f.Entry; int(at) < len(f.Code); {
		in, err := x86.Decode(f.Code[at:], f.Addr+image.Addr(at))
		if err != nil || !in.IsNop && in.Op != "endbr64" {
			break
		}
		if in.Len == image.PokeSize {
			return at, true
		}
		at += image.CodeOff(in.Len)
	}
	return 0, false
}

// moved reports whether what the right code has at the place of the trampolines is not there.
func (c *comparison) moved(at image.CodeOff, code []byte) bool {
	end := int(at) + image.PokeSize
	return end > len(code) || !bytes.Equal(code[at:end], c.want.Code[at:end])
}

// fine reports whether a piece is shown to do the same; core is what of it differs.
func (c *comparison) fine(p, core gap) bool {
	why, _ := c.judge(p, core)
	return why == ""
}

// context is how many instructions before a piece are executed with it at most.
const context = 8

// before widens a piece by instructions before it that both sides have: what they leave in registers may be what
// makes the piece right. Nothing else may lead to the piece than they do.
func (c *comparison) before(p gap) gap {
	for n := 0; n < context && p.w0 > 0 && p.g0 > 0; n++ {
		in := &c.w.insns[p.w0-1]
		if at, ok := c.w.at[c.want.Frame.Landing]; ok && at == p.w0 || in.Op == "endbr64" {
			break // tail calls come here with values of their own
		}
		if c.w.labels[p.w0] || c.g.labels[p.g0] || c.pair[p.w0-1] != p.g0-1 || in.Branch != x86.BranchNone || in.Trap {
			break
		}
		p.w0, p.g0 = p.w0-1, p.g0-1
	}
	return p
}

// listing is code as instructions, without nops that are only there to fill space.
type listing struct {
	addr  image.Addr
	size  int
	insns []x86.Inst
	at    map[image.CodeOff]int // position of the first instruction at or after each boundary
	// labels are positions that branches lead to.
	labels map[int]bool
}

func list(code []byte, addr image.Addr) (*listing, error) {
	l := &listing{addr: addr, size: len(code), at: map[image.CodeOff]int{image.CodeOff(len(code)): 0}}
	for off := 0; off < len(code); {
		in, err := x86.Decode(code[off:], addr+image.Addr(off))
		if err != nil {
			return nil, fmt.Errorf("offset %#x: %w", off, err)
		}
		l.at[image.CodeOff(off)] = len(l.insns)
		if !in.IsNop || bytes.HasPrefix(code[off:], image.Nop5[:]) { // which the kernel compares before it patches
			l.insns = append(l.insns, in)
		}
		off += int(in.Len)
	}
	l.at[image.CodeOff(len(code))] = len(l.insns)
	l.labels = map[int]bool{}
	for i := range l.insns {
		if to, ok := l.target(&l.insns[i]); ok {
			l.labels[to] = true
		}
	}
	return l, nil
}

// off returns where an instruction lies.
func (l *listing) off(i int) image.CodeOff {
	if i >= len(l.insns) {
		return image.CodeOff(l.size)
	}
	return image.CodeOff(l.insns[i].PC - l.addr)
}

// target returns the position that a branch goes to inside of the function, -1 if that is inside of an
// instruction; ok is false if the branch leaves the function.
func (l *listing) target(in *x86.Inst) (pos int, ok bool) {
	if !in.Branch.Direct() || in.Target < l.addr || in.Target >= l.addr+image.Addr(l.size) {
		return 0, false
	}
	if p, ok := l.at[image.CodeOff(in.Target-l.addr)]; ok {
		return p, true
	}
	return -1, true
}

// key is an instruction without what depends on where it is and how it is encoded.
func (l *listing) key(in *x86.Inst) x86.Inst {
	k := *in
	if _, inside := l.target(in); inside {
		k.Target = 0
	}
	if k.HasMem && k.Mem.RIPRel {
		k.Mem.Disp += int64(in.Next())
	}
	for n := range k.Operands {
		if k.Operands[n].Kind == x86.OpRel {
			k.Operands[n] = x86.Operand{Kind: x86.OpRel}
		}
	}
	k.PC, k.Len = 0, 0
	if in.IsNop {
		return x86.Inst{Op: "nop", Len: in.Len}
	}
	return k
}

// comparison is one function.
type comparison struct {
	want *image.FuncImage
	w, g *listing
	pair []int // by instruction of w: that of g which is the same, -1
	back []int // by instruction of g
	// starts has where pieces begin that differ, in g by position in w.
	starts map[int]int
	live   []set
	// callees are those of the right code.
	callees callees
}

// gap is a piece of both that differs: [w0, w1) and [g0, g1).
type gap struct{ w0, w1, g0, g1 int }

// gaps lists what is not paired.
func (c *comparison) gaps() (out []gap) {
	w, g := 0, 0
	for w < len(c.pair) || g < len(c.back) {
		if w < len(c.pair) && g < len(c.back) && c.pair[w] == g {
			w, g = w+1, g+1
			continue
		}
		p := gap{w0: w, g0: g}
		for w < len(c.pair) && c.pair[w] < 0 {
			w++
		}
		for g < len(c.back) && c.back[g] < 0 {
			g++
		}
		p.w1, p.g1 = w, g
		out = append(out, p)
	}
	return out
}

// placeOf says what a piece belongs to. What is inserted between instructions belongs to what they are of.
func (c *comparison) placeOf(p gap) Place {
	lo, hi := c.w.off(p.w0), c.w.off(p.w1)
	if hi <= c.want.Frame.Body && (lo < hi || lo < c.want.Frame.Body) {
		return Prologue
	}
	for i := range c.want.TailCalls {
		s := &c.want.TailCalls[i]
		if lo >= s.Start && hi <= s.End && (lo < hi || lo > s.Start && lo < s.End) {
			return Site
		}
	}
	return Body
}

// describe puts a difference into words.
func (c *comparison) describe(p gap, why string) string {
	text := func(l *listing, lo, hi int) string {
		var out []string
		for i := lo; i < hi && i < lo+3; i++ {
			out = append(out, l.insns[i].String())
		}
		if hi-lo > 3 {
			out = append(out, "…")
		}
		if len(out) == 0 {
			return "nothing"
		}
		return strings.Join(out, "; ")
	}
	return fmt.Sprintf("%s stands where %s belongs: %s", text(c.g, p.g0, p.g1), text(c.w, p.w0, p.w1), why)
}
