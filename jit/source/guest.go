// SPDX-License-Identifier: GPL-2.0-only

package source

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
)

// Requests of the code, as in runtime.c, in rax at a hlt.
const (
	askAlloc   = 1 + iota // an image: function, size, where the two addresses go
	askPrint              // file, line, format with arguments
	askWarn               // file, line, text
	askBug                // the same, and there is no going on
	askPerCPU             // a private stack: function, size
	askPoke               // a comparison (size 0) or a write of code: address, bytes, size
	askWait               // synchronize_rcu
	askMemory             // the heap must reach to an address
	askUnknown            // a name that nothing declares is used: file, line, name
)

// The budget of a request, in pieces of code that a jump ends: many times what any program of the captures
// takes.
const (
	blocksPerRequest = 20_000_000
	blocksPerInsn    = 20_000
)

// Message is something that the JIT said.
type Message struct {
	Kind  string // printk, WARN or BUG
	Where string // file:line
	Text  string
}

// String returns the message on one line.
func (m Message) String() string { return fmt.Sprintf("%s: %s: %s", m.Where, m.Kind, m.Text) }

// CrashError says that the JIT did not come to an end by itself, or should not have done what it did.
type CrashError struct {
	Text     string
	Messages []Message
	// Unknown says that it used something of the kernel that is not here, which is not its fault.
	Unknown bool
}

// Unwrap makes it jit.ErrEmitter, or kernels.ErrUnsupported.
func (e *CrashError) Unwrap() error {
	if e.Unknown {
		return kernels.ErrUnsupported
	}
	return jit.ErrEmitter
}

// Error returns the text and what the JIT said before.
func (e *CrashError) Error() string { return withMessages(e.Text, e.Messages) }

func withMessages(text string, all []Message) string {
	for _, m := range all {
		text += "\n" + m.String()
	}
	return text
}

// poke is a comparison or a write of code, or a wait, that the JIT asked for.
type poke struct {
	kind int // askPoke, askWait
	at   image.Addr
	code []byte
	seen bool // a comparison
}

// guest is an object in a processor.
type guest struct {
	o        *object
	cpu      Processor
	openAddr []image.Addr // where the open names are now
	heapEnd  image.Addr
	buffers  []uint64 // mapped bytes of each image buffer, below the end of its slot
	mapped   map[image.Addr]bool
	// configure sets the variables that no request changes.
	configure func() error

	// Of one request.
	insns    int // of the program
	place    func(fn int, size int) (image.Addr, error)
	percpu   func(fn int, size uint64) (image.Addr, error)
	messages []Message
	pokes    []poke
	err      error // of a question to the outside
	// allocated is per-CPU memory that the code refers to, other than private stacks.
	allocated []image.Piece
}

func newGuest(o *object, cpu Processor) (*guest, error) {
	g := &guest{o: o, cpu: cpu, mapped: map[image.Addr]bool{}, buffers: make([]uint64, maxFuncs)}
	if len(o.open)*openSpace > int(openEnd-openBase) {
		return nil, fmt.Errorf("the compiled JIT uses %d names that are not defined", len(o.open))
	}
	g.heapEnd = heapBase + heapStep
	if err := errors.Join(cpu.Map(stackTop-stackSize, stackSize), cpu.Map(heapBase, heapStep), g.renew()); err != nil {
		return nil, err
	}
	return g, nil
}

// renew puts the object into the processor as it was compiled.
func (g *guest) renew() error {
	o := g.o
	code, err := o.relocated(nil)
	if err != nil {
		return err
	}
	stubs := make([]byte, len(o.open)*openSpace)
	for i, n := range o.open {
		if n == perCPUOffset {
			continue // a variable: 0
		}
		s := stubs[i*openSpace:]
		s[0] = 0xb8 // mov eax, number
		binary.LittleEndian.PutUint32(s[1:], uint32(askOpen+i))
		s[5] = 0xf4 // hlt
	}
	for _, part := range []image.Piece{{Addr: moduleBase, Bytes: code}, {Addr: perCPUBase, Bytes: o.perCPU}, {Addr: haltAddr, Bytes: []byte{0xf4}}, {Addr: openBase, Bytes: stubs}} {
		if len(part.Bytes) == 0 {
			continue
		}
		if err := errors.Join(g.cpu.Map(part.Addr, uint64(len(part.Bytes))), g.cpu.WriteCode(part.Addr, part.Bytes)); err != nil {
			return err
		}
	}
	g.openAddr = make([]image.Addr, len(o.open))
	if g.configure != nil {
		return g.configure()
	}
	return nil
}

// askOpen plus a number is the request that calls of a name make which is not defined.
const askOpen = 1000

// openAt is where an unknown name is, by its number.
func openAt(i int) image.Addr { return openBase + image.Addr(i*openSpace) }

// openName returns the name whose place an address is in.
func (o *object) openName(a image.Addr) (string, bool) {
	if a < openBase || a >= openBase+image.Addr(len(o.open)*openSpace) {
		return "", false
	}
	return o.open[(a-openBase)/openSpace], true
}

// bind says where the open names are: addr returns false for those that it does not know.
func (g *guest) bind(addr func(name string) (image.Addr, bool)) error {
	changed := make([]bool, len(g.o.open))
	for i, n := range g.o.open {
		a, ok := addr(n)
		if !ok {
			a = openAt(i)
		}
		changed[i] = g.openAddr[i] != a
		g.openAddr[i] = a
		if n == perCPUOffset && ok { // here it is 0
			if err := g.cpu.Map(a, 8); err != nil {
				return err
			}
		}
	}
	for i := range g.o.relocs {
		r := &g.o.relocs[i]
		if r.open < 0 || !changed[r.open] {
			continue
		}
		b, err := r.bytes(g.openAddr[r.open])
		if err != nil {
			return fmt.Errorf("kernel symbol %s: %w", g.o.open[r.open], err)
		}
		if err := g.cpu.WriteCode(moduleBase+image.Addr(r.at), b); err != nil {
			return err
		}
	}
	return nil
}

// set stores a value of n bytes in a variable of the object.
func (g *guest) set(name string, n int, index int, v uint64) error {
	at, ok := g.o.symbols[name]
	if !ok {
		return fmt.Errorf("compiled JIT: no variable %s", name)
	}
	return g.cpu.Write(at+image.Addr(n*index), binary.LittleEndian.AppendUint64(nil, v)[:n])
}

// call calls a function of the object and returns what it returns.
func (g *guest) call(name string, arg image.Addr) (uint64, error) {
	at, ok := g.o.symbols[name]
	if !ok {
		return 0, fmt.Errorf("compiled JIT: no function %s", name)
	}
	g.messages, g.pokes, g.err, g.allocated = nil, nil, nil, nil
	if err := errors.Join(
		g.set("tcsim_heap_next", 8, 0, uint64(heapBase)), g.set("tcsim_heap_end", 8, 0, uint64(g.heapEnd)),
		g.cpu.Write(stackTop-8, binary.LittleEndian.AppendUint64(nil, uint64(haltAddr))),
	); err != nil {
		return 0, err
	}
	regs := [16]uint64{x86.RDI: uint64(arg), x86.RSP: uint64(stackTop - 8)}
	budget := uint64(blocksPerRequest + blocksPerInsn*g.insns)
	for rip := at; ; {
		stop, err := g.cpu.Execute(rip, &regs, budget)
		if err != nil {
			return 0, err
		}
		if stop.Reason != StoppedByHalt {
			return 0, g.crash(stop)
		}
		if stop.RIP == haltAddr+1 {
			return regs[x86.RAX], g.err
		}
		budget -= min(budget, stop.Blocks)
		if err := g.answer(&regs, stop.RIP); err != nil {
			return 0, err
		}
		rip = stop.RIP
	}
}

// crash describes an end that the code did not want.
func (g *guest) crash(stop Stop) error {
	at := g.o.where(stop.RIP)
	var text string
	switch stop.Reason {
	case StoppedByBudget:
		text = fmt.Sprintf("the JIT does not come to an end: stopped in %s", at)
	case StoppedByAccess:
		text = fmt.Sprintf("the JIT accesses %#x, where it has nothing: in %s", uint64(stop.Addr), at)
		if n, ok := g.buffer(stop.Addr); ok {
			text = fmt.Sprintf("the JIT writes past the end of the image of function %d: in %s", n, at)
		}
	default:
		text = fmt.Sprintf("the JIT ends in an exception of the processor: in %s %s", at, stop.Text)
	}
	return &CrashError{strings.TrimSpace(text), g.messages, false}
}

// buffer returns the function past whose image buffer an address is.
func (g *guest) buffer(a image.Addr) (int, bool) {
	if a < bufferBase || a >= bufferBase+maxFuncs*bufferSlot+0x1000 {
		return 0, false
	}
	n := int((a - bufferBase) / bufferSlot)
	return n - 1, n > 0 && (a-bufferBase)%bufferSlot < 0x10000
}

// answer does what the code asks for.
func (g *guest) answer(regs *[16]uint64, rip image.Addr) error {
	a, b, c := regs[x86.RDI], regs[x86.RSI], regs[x86.RDX]
	ask := regs[x86.RAX]
	regs[x86.RAX] = 0
	switch {
	case ask >= askOpen && ask < askOpen+uint64(len(g.o.open)):
		var ret [8]byte
		if err := g.cpu.Read(image.Addr(regs[x86.RSP]), ret[:]); err != nil {
			return err
		}
		from := image.Addr(binary.LittleEndian.Uint64(ret[:])) - 1
		return &CrashError{fmt.Sprintf("the JIT uses %s in %s, which tcsim does not know: --extra FILE.c compiles what another file defines, too", g.o.open[ask-askOpen], g.o.where(from)), g.messages, true}
	case ask == askAlloc:
		if err := g.alloc(int(a), int(b), image.Addr(c)); err != nil {
			g.err = errors.Join(g.err, err)
			regs[x86.RAX] = 1
		}
	case ask == askPrint, ask == askWarn, ask == askBug:
		return g.say(ask, image.Addr(a), b, image.Addr(c))
	case ask == askUnknown:
		file, err := g.text(image.Addr(a))
		name, nerr := g.text(image.Addr(c))
		return errors.Join(err, nerr, &CrashError{fmt.Sprintf("the JIT uses %s in %s:%d, which tcsim does not know", name, file, b), g.messages, true})
	case ask == askPerCPU:
		if g.percpu == nil {
			return &CrashError{"per-CPU memory is allocated outside of loading a program, which tcsim does not know", g.messages, true}
		}
		at, err := g.percpu(int(a), b)
		g.err = errors.Join(g.err, err)
		regs[x86.RAX] = uint64(at)
	case ask == askPoke:
		code := make([]byte, image.PokeSize)
		if c != 0 {
			code = make([]byte, min(c, 4096))
		}
		if err := g.cpu.Read(image.Addr(b), code); err != nil {
			return err
		}
		g.pokes = append(g.pokes, poke{kind: askPoke, at: image.Addr(a), code: code, seen: c == 0})
	case ask == askWait:
		g.pokes = append(g.pokes, poke{kind: askWait})
	case ask == askMemory:
		if a > uint64(heapBase)+heapMax {
			regs[x86.RAX] = 1
			return nil
		}
		for uint64(g.heapEnd) < a {
			if err := g.cpu.Map(g.heapEnd, heapStep); err != nil {
				return err
			}
			g.heapEnd += heapStep
		}
		return g.set("tcsim_heap_end", 8, 0, uint64(g.heapEnd))
	default:
		return &CrashError{fmt.Sprintf("the JIT halts the processor: in %s", g.o.where(rip-1)), g.messages, false}
	}
	return nil
}

// alloc gives a function its place and a buffer to write its image in. The buffer ends where the mapped
// memory ends.
func (g *guest) alloc(fn, size int, out image.Addr) error {
	at, err := g.place(fn, size)
	if err != nil {
		return err
	}
	if at < textFrom || at+image.Addr(size) >= textTo {
		return fmt.Errorf("function %d is at %#x, outside the module area", fn, uint64(at))
	}
	if err := g.mapText(at-8, size+8); err != nil {
		return err
	}
	end := bufferBase + image.Addr(fn+1)*bufferSlot
	room := uint64(size+8+0xfff) &^ 0xfff
	if room > bufferSlot/2 {
		return fmt.Errorf("function %d has %d bytes of code", fn, size)
	}
	if room > g.buffers[fn] {
		if err := g.cpu.Map(end-image.Addr(room), room); err != nil {
			return err
		}
		g.buffers[fn] = room
	}
	b := binary.LittleEndian.AppendUint64(nil, uint64(at))
	return g.cpu.Write(out, binary.LittleEndian.AppendUint64(b, uint64(end)-uint64(size)))
}

// maxTextPages bounds the pages of images that are kept.
const maxTextPages = 2048

// mapText makes memory for code at its place.
func (g *guest) mapText(at image.Addr, size int) error {
	for a := at &^ 0xfff; a < at+image.Addr(size); a += 0x1000 {
		g.mapped[a] = true
	}
	return g.cpu.Map(at, uint64(size))
}

// tidy forgets images of earlier requests if there are many.
func (g *guest) tidy() error {
	if len(g.mapped) < maxTextPages {
		return nil
	}
	clear(g.mapped)
	return g.cpu.Unmap(textFrom, textTo)
}

// say notes a message.
func (g *guest) say(ask uint64, file image.Addr, no uint64, text image.Addr) error {
	name, err := g.text(file)
	if err != nil {
		return err
	}
	m := Message{Kind: "printk", Where: fmt.Sprintf("%s:%d", name, no)}
	switch ask {
	case askPrint:
		if m.Text, err = g.printf(text); err != nil {
			return err
		}
	default:
		m.Kind = map[uint64]string{askWarn: "WARN", askBug: "BUG"}[ask]
		if m.Text, err = g.text(text); err != nil {
			return err
		}
	}
	const most = 100
	if len(g.messages) < most {
		g.messages = append(g.messages, m)
	}
	if ask == askBug {
		return &CrashError{"the JIT stops the kernel", g.messages, false}
	}
	return nil
}

// text reads a string.
func (g *guest) text(at image.Addr) (string, error) {
	const most = 512
	var s []byte
	for len(s) < most {
		var b [1]byte
		if err := g.cpu.Read(at+image.Addr(len(s)), b[:]); err != nil {
			return "", err
		}
		if b[0] == 0 {
			break
		}
		s = append(s, b[0])
	}
	return string(s), nil
}

// printf formats what the kernel's printk would, from an array: the format, then the arguments.
func (g *guest) printf(at image.Addr) (string, error) {
	var words [9]uint64
	var raw [72]byte
	if err := g.cpu.Read(at, raw[:]); err != nil {
		return "", err
	}
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(raw[8*i:])
	}
	format, err := g.text(image.Addr(words[0]))
	if err != nil {
		return "", err
	}
	var out strings.Builder
	arg := 0
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			out.WriteByte(format[i])
			continue
		}
		spec := conversion(format[i+1:])
		i += len(spec)
		if spec == "%" {
			out.WriteByte('%')
			continue
		}
		if arg++; arg >= len(words) || spec == "" {
			out.WriteString("%" + spec)
			continue
		}
		out.WriteString(g.convert(spec, words[arg]))
	}
	return strings.TrimRight(out.String(), "\n"), nil
}

// conversion returns the conversion that a format begins with, without the percent sign.
func conversion(format string) string {
	for i := range len(format) {
		c := format[i]
		if strings.IndexByte("0123456789-+ #.hlzjt", c) >= 0 {
			continue
		}
		return format[:i+1]
	}
	return ""
}

// convert prints one argument.
func (g *guest) convert(spec string, v uint64) string {
	long := strings.ContainsAny(spec, "lzjt")
	flags := strings.Trim(spec[:len(spec)-1], "hlzjt")
	switch c := spec[len(spec)-1]; c {
	case 'd', 'i':
		if !long {
			v = uint64(int32(v))
		}
		return fmt.Sprintf("%"+flags+"d", int64(v))
	case 'u', 'x', 'X', 'o', 'c':
		if !long {
			v = uint64(uint32(v))
		}
		return fmt.Sprintf("%"+flags+strings.Replace(string(c), "u", "d", 1), v)
	case 'p':
		return fmt.Sprintf("%#x", v)
	case 's':
		if s, err := g.text(image.Addr(v)); err == nil {
			return s
		}
	}
	return fmt.Sprintf("%#x", v)
}
