// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package debug

import (
	"bytes"
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/gdb"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios/runner"
	"github.com/tcsim/tcsim/scenarios/runner/runnertest"
)

// rule says how to unwind at an address: the frame of the caller begins at reg+off; registers that are not in saved are
// as they are.
type rule struct {
	reg   byte
	off   uint64
	saved map[byte]uint64 // below that, in bytes
	lost  map[byte]bool
}

// frameInfo reads .debug_frame and returns what holds at an address.
func frameInfo(t *testing.T, section []byte) func(image.Addr) (rule, bool) {
	t.Helper()
	type entry struct {
		from, end image.Addr
		code      []byte
	}
	var all []entry
	for at := 0; at < len(section); {
		n := int(binary.LittleEndian.Uint32(section[at:]))
		body := section[at+4 : at+4+n]
		if at += 4 + n; binary.LittleEndian.Uint32(body) != 0 {
			continue // the common entry
		}
		from := image.Addr(binary.LittleEndian.Uint64(body[4:]))
		all = append(all, entry{from, from + image.Addr(binary.LittleEndian.Uint64(body[12:])), body[20:]})
	}
	return func(a image.Addr) (rule, bool) {
		for _, e := range all {
			if a >= e.from && a < e.end {
				return unwindAt(t, e.code, uint64(a-e.from)), true
			}
		}
		return rule{}, false
	}
}

// unwindAt executes an entry's program up to an offset in the code.
func unwindAt(t *testing.T, code []byte, at uint64) rule {
	t.Helper()
	u := rule{reg: 7, off: 8, saved: map[byte]uint64{}, lost: map[byte]bool{}}
	pos := uint64(0)
	r := bytes.NewReader(code)
	number := func() uint64 {
		v, err := binary.ReadUvarint(r)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	one := func() byte { b, _ := r.ReadByte(); return b }
	for {
		op, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			return u
		}
		step := uint64(0)
		switch {
		case op == 0:
		case op == 2:
			step = uint64(one())
		case op == 3:
			step = uint64(one())
			step |= uint64(one()) << 8
		case op == 7:
			u.lost[one()] = true
		case op == 8:
			reg := one()
			delete(u.saved, reg)
			delete(u.lost, reg)
		case op == 0x0c:
			u.reg, u.off = one(), number()
		case op&0xc0 == 0x80:
			u.saved[op&0x3f] = 8 * number()
		default:
			t.Fatalf("operation %#x", op)
		}
		if pos += step; pos > at {
			return u
		}
	}
}

var byDWARF = map[byte]x86.Reg{3: x86.RBX, 6: x86.RBP, 7: x86.RSP, 12: x86.R12, 13: x86.R13, 14: x86.R14, 15: x86.R15}

// written writes the ELF file of a session and reads it.
func written(t *testing.T, s *Session) *elf.File {
	t.Helper()
	file := filepath.Join(t.TempDir(), "code.elf")
	if err := s.WriteELF(file); err != nil {
		t.Fatal(err)
	}
	f, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func walked(t *testing.T, name string, tg *jit.Target) *Session {
	t.Helper()
	c, err := runner.Compile(runnertest.Build(t, name), tg)
	if errors.Is(err, kernels.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	w, err := runnertest.Opened(t, c, runner.Options{}).Walk(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(w)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestUnwind unwinds the stack by the ELF file at every instruction of runs on every target, and compares with the
// recorder's own account of who called whom, with which registers.
func TestUnwind(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	for _, tg := range runnertest.AllTargets(t) {
		for _, name := range []string{"hierarchy", "tramp_bpf2bpf_both", "tailcall_4"} {
			t.Run(tg.Name+" "+name, func(t *testing.T) {
				s := walked(t, name, tg)
				data, err := written(t, s).Section(".debug_frame").Data()
				if err != nil {
					t.Fatal(err)
				}
				info := frameInfo(t, data)
				compared := 0
				for range 1500 {
					// The recorder hears of a trampoline after its first instruction.
					if f := s.code.Lookup(s.rip); f != nil && s.at > 0 && !(f.Trampoline && s.rip == f.Addr+image.Addr(f.Entry)) {
						compared += compareFrames(t, s, info)
					}
					stop, err := s.Resume(t.Context(), gdb.Resume{Step: true})
					if err != nil {
						t.Fatal(err)
					}
					if stop.Reason != gdb.Stepped && stop.Reason != gdb.Signaled || t.Failed() {
						break
					}
				}
				if compared < 20 && !unsure(s) {
					t.Errorf("%d frames compared", compared)
				}
			})
		}
	}
}

// unsure says that in the session's design nothing is known of frames from where tail calls enter on.
func unsure(s *Session) bool {
	for _, f := range s.code.Funcs() {
		returns := 0
		for _, slot := range f.Frame.Slots {
			switch slot.Kind {
			case image.SlotFrameLink:
				return true
			case image.SlotReturn:
				returns++
			}
		}
		if returns > 1 {
			return true
		}
	}
	return false
}

// compareFrames compares all frames of a place.
func compareFrames(t *testing.T, s *Session, info func(image.Addr) (rule, bool)) int {
	t.Helper()
	acts := s.acts()
	regs, rip, lost := s.regs, s.rip, map[x86.Reg]bool{}
	for n := len(acts) - 1; n >= 0; n-- {
		a := &acts[n]
		u, ok := info(rip)
		if !ok {
			t.Errorf("at %d: no entry for %s", s.at, s.code.Where(rip))
			return 0
		}
		if u.lost[16] {
			return len(acts) - 1 - n // where the frame begins is not known, and said so
		}
		cfa := regs[byDWARF[u.reg]] + u.off
		if cfa != uint64(a.Top)+8 {
			t.Errorf("at %d, %s: frame %d of %s at %s begins at %#x, want %#x (%+v)", s.at, s.code.Where(s.rip), n, a.Fn, s.code.Where(rip), cfa, uint64(a.Top)+8, u)
			return 0
		}
		for reg, below := range u.saved {
			regs[byDWARF[reg]], _ = s.word(image.Addr(cfa-below), 8)
		}
		regs[x86.RSP] = cfa
		want := trace.Saved{RBX: regs[x86.RBX], RBP: regs[x86.RBP], R12: regs[x86.R12], R13: regs[x86.R13], R14: regs[x86.R14], R15: regs[x86.R15]}
		for reg := range u.lost { // of what is lost nothing more can be said, in the frames above either
			lost[byDWARF[reg]] = true
		}
		for reg, of := range map[x86.Reg]*uint64{x86.RBX: &want.RBX, x86.R12: &want.R12, x86.R13: &want.R13, x86.R14: &want.R14, x86.R15: &want.R15} {
			if lost[reg] {
				*of = *map[x86.Reg]*uint64{x86.RBX: &a.Caller.RBX, x86.R12: &a.Caller.R12, x86.R13: &a.Caller.R13, x86.R14: &a.Caller.R14, x86.R15: &a.Caller.R15}[reg]
			}
		}
		if a.Caller != want && a.ReturnTo != 0 {
			t.Errorf("at %d, %s: the caller of %s at %s has %+v, want %+v", s.at, s.code.Where(s.rip), a.Fn, s.code.Where(rip), want, a.Caller)
			return 0
		}
		ret, _ := s.word(image.Addr(cfa-8), 8)
		rip = image.Addr(ret)
	}
	return len(acts)
}

// TestELF reads the file with other people's code: sections, symbols, functions, lines. Each instruction must be on the line of the
// listing that shows it.
func TestELF(t *testing.T) {
	s := walked(t, "hierarchy", runnertest.Target(t, "6.12"))
	folder := t.TempDir()
	file := filepath.Join(folder, "code.elf")
	if err := s.WriteELF(file); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file + ListingSuffix)
	if err != nil {
		t.Fatal(err)
	}
	listing := strings.Split(string(text), "\n")
	f, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, fn := range s.code.Funcs() {
		found := false
		for _, y := range symbols {
			sec := f.Sections[min(int(y.Section), len(f.Sections)-1)]
			if y.Name != fn.Name || y.Value != uint64(fn.Addr) || y.Size != uint64(len(fn.Code)) || sec.Addr != uint64(fn.Addr) {
				continue
			}
			data, err := sec.Data()
			now, _ := s.m.Bytes(fn.Addr, len(fn.Code))
			found = err == nil && bytes.Equal(data, now)
		}
		if !found {
			t.Errorf("%s is not there as it is in memory: %+v", fn, symbols)
		}
	}
	d, err := f.DWARF()
	if err != nil {
		t.Fatal(err)
	}
	unit, err := d.Reader().Next()
	if err != nil || unit.Val(dwarf.AttrName) != "code.elf.lst" || unit.Val(dwarf.AttrCompDir) != folder {
		t.Fatalf("%v: %+v", err, unit)
	}
	lines, err := d.LineReader(unit)
	if err != nil {
		t.Fatal(err)
	}
	var e dwarf.LineEntry
	rows := 0
	for lines.Next(&e) == nil {
		fn := s.code.Lookup(image.Addr(e.Address))
		if e.EndSequence {
			continue
		}
		rows++
		if line := strings.Fields(listing[e.Line-1])[0]; fn == nil || line != hexOff(image.Addr(e.Address)-fn.Addr) {
			t.Errorf("%#x is on line %d, %q", e.Address, e.Line, listing[e.Line-1])
		}
	}
	if rows < 40 {
		t.Errorf("%d lines", rows)
	}
	seen := map[string]uint64{}
	for r := d.Reader(); ; {
		entry, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if entry == nil {
			break
		}
		if pc, ok := entry.Val(dwarf.AttrLowpc).(uint64); ok && entry.Tag != dwarf.TagCompileUnit {
			seen[entry.Tag.String()+" "+entry.Val(dwarf.AttrName).(string)] = pc
		}
	}
	entry, sub := s.code.Funcs()[0], s.code.Funcs()[1]
	for name, want := range map[string]image.Addr{
		"Subprogram entry": entry.Addr, "Subprogram sub": sub.Addr, "Subprogram kernel": 0xffffffff81a4b000,
		"Label landing": entry.Addr + image.Addr(entry.Frame.Landing), "Label tailcall1": sub.Addr + image.Addr(sub.TailCalls[0].Start),
	} {
		if seen[name] != uint64(want) {
			t.Errorf("%s at %#x, want %#x", name, seen[name], uint64(want))
		}
	}
	// A second time nothing is written: a debugger may have read the file.
	was, _ := os.Stat(file)
	if err := s.WriteELF(file); err != nil {
		t.Fatal(err)
	}
	if is, _ := os.Stat(file); !is.ModTime().Equal(was.ModTime()) {
		t.Error("the same file was written again")
	}
}

func hexOff(off image.Addr) string {
	const digits = "0123456789abcdef"
	if off < 16 {
		return digits[off : off+1]
	}
	return hexOff(off>>4) + digits[off&15:off&15+1]
}
