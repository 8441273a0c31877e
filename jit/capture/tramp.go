// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// MaxCode is the size up to which code is looked for that nothing tells the length of, in bytes: the
// kernel gives trampolines a page.
const MaxCode = 4096

// CodeLen returns the length of the code at an address, such as a trampoline, of which code has the first
// bytes: it ends with its return, or with its jump to the return thunk.
func CodeLen(at image.Addr, code []byte) (int, error) {
	for off := 0; off < len(code); {
		in, err := x86.Decode(code[off:], at+image.Addr(off))
		if err != nil {
			return 0, fmt.Errorf("code at %#x: +%#x: %w", uint64(at), off, err)
		}
		off += int(in.Len)
		outside := in.Target < at || in.Target >= at+MaxCode
		if in.Branch == x86.BranchRet || in.Branch == x86.BranchJump && outside {
			return off, nil
		}
	}
	return 0, fmt.Errorf("code at %#x: no return in %d bytes", uint64(at), len(code))
}

// deriveTrampoline finds the operands of a trampoline that depend on addresses and says what they are: a
// constant before a call of __bpf_tramp_enter or __bpf_tramp_exit is the trampoline's struct
// bpf_tramp_image, one before __bpf_prog_exit and its like the struct bpf_prog of the program that was
// called last.
func (s *Scenario) deriveTrampoline(t *Trampoline, name func(image.Addr) string) {
	t.Refs = nil
	f := Func{Addr: t.Addr, Len: len(t.Image)}
	constants := map[image.Addr]string{}
	var last image.Addr // the last constant
	called := -1        // the program that was called last
	for off := 0; off < len(t.Image); {
		in, err := x86.Decode(t.Image[off:], t.Addr+image.Addr(off))
		if err != nil {
			break
		}
		if v, ok := wideConstant(&in); ok {
			last = v
			t.Refs = append(t.Refs, Ref{Off: image.CodeOff(off), Imm: image.CodeOff(off + 2), Kind: "movabs", Target: v})
		} else if r, ok := refOf(&in, &f, t.Image[off:]); ok {
			r.Off = image.CodeOff(off)
			r.Imm += r.Off
			r.Sym = s.symbol(t.Prog, r.Target, name)
			if back := t.Site.Off + image.PokeSize; t.Kernel != "" && len(t.Site.After) == image.PokeSize && r.Target == t.SiteAddr()+image.PokeSize {
				r.Sym = fmt.Sprintf("%s+%#x", t.Kernel, int(back))
			}
			switch {
			case strings.HasPrefix(r.Sym, "__bpf_tramp_"):
				constants[last] = "tramp_image"
			case strings.HasPrefix(r.Sym, "__bpf_prog_exit") && called >= 0:
				constants[last] = fmt.Sprintf("bpf_prog:%d", called)
			}
			if p := s.progAt(r.Target); p >= 0 && r.Kind == "call" && s.Progs[p].Attach != nil {
				called = p
				r.Sym = fmt.Sprintf("prog:%d:0", p)
			}
			t.Refs = append(t.Refs, r)
		}
		off += int(in.Len)
	}
	for i := range t.Refs {
		if r := &t.Refs[i]; r.Kind == "movabs" {
			r.Sym = constants[r.Target]
		}
	}
}

// wideConstant returns what a move of 8 bytes puts into a register.
func wideConstant(in *x86.Inst) (image.Addr, bool) {
	for _, r := range []x86.Reg{x86.RDI, x86.RSI, x86.RAX} {
		if v, ok := loads(in, r); ok && in.Len == 10 {
			return image.Addr(v), true
		}
	}
	return 0, false
}

// progAt returns the program whose first function begins at an address, -1 if none does.
func (s *Scenario) progAt(a image.Addr) int {
	for i := range s.Progs {
		if fn := s.Progs[i].Funcs; len(fn) > 0 && fn[0].Len > 0 && a >= fn[0].Addr && a < fn[0].Addr+8 {
			return i
		}
	}
	return -1
}
