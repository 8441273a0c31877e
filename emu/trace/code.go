// SPDX-License-Identifier: GPL-2.0-only

package trace

import (
	"cmp"
	"fmt"
	"slices"
	"sort"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Options say how images are prepared for tracing. The zero value is the leanest marking.
type Options struct {
	// Marks chooses the sites beyond those that are always needed.
	Marks Marks
	// Limit replaces the Limit of the image's target; 0 leaves it.
	Limit uint32
	// Symbol names an address outside the images, such as a helper; nil or "" for none.
	Symbol func(image.Addr) string
	// InsnText returns the text of one BPF instruction; nil for none.
	InsnText func(p *bpf.Program, i bpf.InsnIndex) string
	// Cache is what instructions are decoded with, only while NewCode goes on; nil does without.
	Cache *x86.Cache
}

// Marks is a set of optional kinds of sites.
type Marks uint8

// The optional sites. Entries, calls, returns and the last instruction of a tail call are always
// marked, and so is where a refused tail call goes on.
const (
	// MarkStart marks the start of each tail-call sequence, so that the registers before and after
	// a refused tail call can be compared.
	MarkStart Marks = 1 << iota
)

// Code is the machine code of a run, predecoded: what each byte offset of each function means. It
// is immutable and safe for concurrent use.
type Code struct {
	fns  []*Fn // by address
	opts Options
}

// Fn is one function of a Code.
type Fn struct {
	Prog  string // name of the program, "" if unknown
	Image *image.Image
	*image.FuncImage
	Index int // in Image.Funcs
	Limit uint32

	name  string   // as String has it
	id    int      // in Code.fns
	ops   []Op     // by offset
	level levels   // where rsp is
	marks []mark   // in order of offset
	site  []uint32 // by offset: index into marks plus one
	// Of functions with many sites: where tail calls end, where designs take a count back, and whether tail calls are
	// in the order of their code, so that they can be searched.
	ends, takes map[image.CodeOff]bool
	ordered     bool

	calledBack bool // by helpers
}

// Op says what the instruction at an offset does, as far as the invariants need it. The zero value
// means that no instruction begins there.
type Op uint16

// The bits of an Op; the rest is the size of the store.
const (
	OpInsn   Op = 1 << iota // an instruction begins here
	OpStore                 // it writes its memory operand, which is not per-CPU: only the kernel's own accounting is
	OpPush                  // it pushes: push and call
	OpDesign                // it belongs to the tail-call design, not to an instruction of the program
	OpLoad                  // it reads memory
	OpReach                 // it reads, for the design, through a register that can point anywhere
	OpBelow                 // it writes below rsp
)

const opSizeShift = 7

// Size returns the number of bytes stored; 0 if nothing is.
func (o Op) Size() int { return int(o >> opSizeShift) }

// mark is a site. Several meanings can meet at one address.
type mark struct {
	off    image.CodeOff
	kinds  MarkKind
	tail   int // index into TailCalls, for MarkTailStart and MarkTailJump
	ended  int // index into TailCalls, for MarkTailEnd
	call   int // index into Calls
	length uint8
	target *Fn // of a call; nil outside the images
	throws bool
}

// MarkKind says what a site is; several bits can be set.
type MarkKind uint8

// The kinds of sites.
const (
	MarkEntry MarkKind = 1 << iota
	MarkCall
	MarkReturn
	MarkTailStart
	MarkTailJump
	MarkTailEnd
)

// Site is an instruction at which the machine is to report its registers.
type Site struct {
	Addr image.Addr
	Kind MarkKind
	// Func is the function that contains it; its Counter says where tail_call_cnt is.
	Func *image.FuncImage
}

// NewCode predecodes images. It fails on code that cannot be decoded, on a tail call or call
// outside its function, and on functions that overlap. The images are kept and must not change,
// apart from pokes to the running copy.
func NewCode(images []*image.Image, o Options) (*Code, error) {
	c := &Code{opts: o}
	for _, img := range images {
		called := calledBack(img.Program)
		for i := range img.Funcs {
			f := &Fn{Image: img, FuncImage: &img.Funcs[i], Index: i, Limit: o.Limit}
			f.calledBack = i > 0 && !f.Trampoline && !f.ExceptionCB && called[f.FirstInsn]
			if img.Program != nil {
				f.Prog = img.Program.Name
			}
			if f.Limit == 0 {
				f.Limit = img.Limit
			}
			c.fns = append(c.fns, f)
		}
	}
	slices.SortFunc(c.fns, func(a, b *Fn) int { return cmp.Compare(a.Addr, b.Addr) })
	c.nameFuncs()
	for i, f := range c.fns {
		f.id = i
		if i > 0 && c.fns[i-1].End() > f.Addr {
			return nil, fmt.Errorf("trace: functions %s and %s overlap at %#x", c.fns[i-1], f, uint64(f.Addr))
		}
	}
	for _, f := range c.fns {
		if err := f.predecode(c); err != nil {
			return nil, fmt.Errorf("trace %s: %w", f, err)
		}
	}
	c.opts.Cache = nil // it is not safe for concurrent use, a Code is
	return c, nil
}

// Sites returns the marked instructions by address.
func (c *Code) Sites() []Site {
	var s []Site
	for _, f := range c.fns {
		for i := range f.marks {
			m := &f.marks[i]
			s = append(s, Site{Addr: f.Addr + image.Addr(m.off), Kind: m.kinds, Func: f.FuncImage})
		}
	}
	return s
}

// SiteAddrs returns the addresses of Sites, which is what the machine wants to know.
func (c *Code) SiteAddrs() []image.Addr {
	var a []image.Addr
	for _, s := range c.Sites() {
		a = append(a, s.Addr)
	}
	return a
}

// Funcs returns the functions by address. The slice must not be changed.
func (c *Code) Funcs() []*Fn { return c.fns }

// Lookup returns the function whose code contains a; nil if there is none.
func (c *Code) Lookup(a image.Addr) *Fn {
	i, ok := slices.BinarySearchFunc(c.fns, a, func(f *Fn, a image.Addr) int { return cmp.Compare(f.Addr, a) })
	if !ok {
		i--
	}
	if i < 0 || a >= c.fns[i].End() {
		return nil
	}
	return c.fns[i]
}

// Where names an address: function+0x1f, the symbol of an address outside the images, or the
// plain address.
func (c *Code) Where(a image.Addr) string {
	if f := c.Lookup(a); f != nil {
		return fmt.Sprintf("%s+%#x", f, uint64(a-f.Addr))
	}
	if s := c.symbol(a); s != "" {
		return s
	}
	return fmt.Sprintf("%#x", uint64(a))
}

// exceptionCB returns the exception callback of an image, nil if it has none.
func (c *Code) exceptionCB(img *image.Image) *Fn {
	for _, f := range c.fns {
		if f.Image == img && f.ExceptionCB {
			return f
		}
	}
	return nil
}

func (c *Code) symbol(a image.Addr) string {
	if c.opts.Symbol == nil {
		return ""
	}
	return c.opts.Symbol(a)
}

// InsnText returns the text of a BPF instruction of f, "" if there is none.
func (c *Code) InsnText(f *Fn, i bpf.InsnIndex) string {
	if c.opts.InsnText == nil || f == nil || f.Image.Program == nil {
		return ""
	}
	return c.opts.InsnText(f.Image.Program, i)
}

// String names the function: by its own name if no other function of the Code has it, else as
// program:function.
func (f *Fn) String() string {
	if f == nil {
		return "?"
	}
	return f.name
}

// nameFuncs gives the functions the names that String returns.
func (c *Code) nameFuncs() {
	n := map[string]int{}
	for _, f := range c.fns {
		n[f.Name]++
	}
	for _, f := range c.fns {
		f.name = f.Name
		if n[f.Name] > 1 && f.Prog != "" {
			f.name = f.Prog + ":" + f.Name
		}
	}
}

// OpAt returns what begins at off, which must be inside the function.
func (f *Fn) OpAt(off image.CodeOff) Op { return f.ops[off] }

// Contains reports whether a is in the code of f.
func (f *Fn) Contains(a image.Addr) bool { return a-f.Addr < image.Addr(len(f.Code)) }

// FrameBase returns rbp as it is in the body, for a frame whose return address is at top.
func (f *Fn) FrameBase(top image.Addr) image.Addr {
	for _, s := range f.Frame.Slots {
		if s.Kind == image.SlotReturn {
			return top - image.Addr(int64(s.Off))
		}
	}
	return top - 8
}

// FrameLow returns the lowest offset from rbp that the frame covers, 0 if nothing is known of it.
func (f *Fn) FrameLow() int32 {
	low := int32(0)
	for _, s := range f.Frame.Slots {
		low = min(low, s.Off)
	}
	return low
}

// predecode fills ops and marks.
func (f *Fn) predecode(c *Code) error {
	f.ops = make([]Op, len(f.Code))
	f.site = make([]uint32, len(f.Code))
	f.order()
	lengths := make([]uint8, len(f.Code))
	decode := x86.Decode
	if c.opts.Cache != nil {
		decode = c.opts.Cache.Decode
	}
	for off := image.CodeOff(0); int(off) < len(f.Code); {
		in, err := decode(f.Code[off:], f.Addr+image.Addr(off))
		if err != nil {
			return fmt.Errorf("+%#x: %w", int(off), err)
		}
		f.ops[off] = f.level.step(f, &in, off, f.opOf(&in, off))
		lengths[off] = in.Len
		thunk := in.Branch == x86.BranchJump && !f.Contains(in.Target) // of returns
		if (in.Branch == x86.BranchRet || thunk) && f.tailAt(off) < 0 {
			f.mark(off, mark{kinds: MarkReturn})
		}
		off += image.CodeOff(in.Len)
	}
	if err := f.markSites(c, lengths); err != nil {
		return err
	}
	slices.SortFunc(f.marks, func(a, b mark) int { return cmp.Compare(a.off, b.off) })
	for i := range f.marks {
		f.site[f.marks[i].off] = uint32(i + 1)
	}
	return nil
}

func (f *Fn) opOf(in *x86.Inst, off image.CodeOff) Op {
	op := OpInsn
	size := Op(0)
	if in.Load && in.Mem.Seg == x86.SegNone || in.Stack.Load {
		op |= OpLoad
	}
	switch {
	case in.Stack.Store:
		op |= OpPush
		size = 8
	case in.Store && in.Mem.Seg == x86.SegNone:
		op |= OpStore
		size = Op(in.Mem.Size)
	}
	if f.isDesign(off) || in.Branch == x86.BranchCall {
		op |= OpDesign
		if in.Load && op&OpLoad != 0 && in.Mem.Base != x86.RBP && in.Mem.Base != x86.RSP {
			op |= OpReach
		}
	}
	return op | size<<opSizeShift
}

// isDesign reports whether the code at off belongs to the tail-call design: the prologue, or the
// sequence of a tail call, or what it stores after a call. The epilogue and the reload before a call
// store nothing.
func (f *Fn) isDesign(off image.CodeOff) bool {
	body := f.Frame.Body
	if len(f.InsnOff) > 0 {
		body = max(body, f.InsnOff[0])
	}
	if off < body || f.Trampoline || f.tailAt(off) >= 0 {
		return true
	}
	return f.takesBack(off)
}

// Unwinding reports whether the instruction at off is part of a tail call that takes, or has
// taken, the frame down, or that leaves through a retpoline inline.
func (f *Fn) Unwinding(off image.CodeOff) bool {
	i := f.tailAt(off)
	if i < 0 {
		return false
	}
	t := &f.TailCalls[i]
	return t.Unwind >= 0 && off >= t.Unwind || !t.Direct && off >= t.Jump
}

// tailAt returns the index of the tail call whose sequence contains off, -1 if none does.
func (f *Fn) tailAt(off image.CodeOff) int {
	if f.ordered {
		i := sort.Search(len(f.TailCalls), func(i int) bool { return f.TailCalls[i].End > off })
		if i < len(f.TailCalls) && off >= f.TailCalls[i].Start {
			return i
		}
		return -1
	}
	for i := range f.TailCalls {
		if t := &f.TailCalls[i]; off >= t.Start && off < t.End {
			return i
		}
	}
	return -1
}
