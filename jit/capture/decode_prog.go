// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"math"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
)

func (r *reader) prog(p *Prog) {
	r.object(func(name []byte) {
		switch string(name) {
		case "name":
			p.Name = r.str()
		case "load_error":
			p.LoadError = r.str()
		case "tag":
			p.Tag = r.str()
		case "insns":
			p.Insns = r.insns()
		case "xlated":
			p.Xlated = r.insns()
		case "funcs":
			r.array(func(int) { p.Funcs = append(p.Funcs, r.fn()) })
		case "removed_funcs":
			r.array(func(int) { p.Removed = append(p.Removed, r.removed()) })
		case "insn_map":
			r.array(func(int) {
				var insn, xlated, fn, off int64
				least := int64(0)
				if r.blinds {
					least = -1 // records of other instructions, which are left out later
				}
				r.tuple(least, &insn, &xlated, &fn, &off)
				p.InsnMap = append(p.InsnMap, InsnPos{
					Insn: bpf.InsnIndex(insn), Xlated: bpf.InsnIndex(xlated), Func: int(fn), Off: image.CodeOff(off),
				})
			})
		case "tail_calls":
			r.array(func(int) { p.TailCalls = append(p.TailCalls, r.tailCall()) })
		case "maps_at":
			r.array(func(int) { p.MapsAt = append(p.MapsAt, r.mapAt()) })
		case "refs":
			r.object(func(name []byte) {
				s := r.state(name)
				if s == NumStates {
					r.skip(0)
					return
				}
				r.array(func(int) { p.Refs[s] = append(p.Refs[s], r.ref()) })
			})
		case "undecoded":
			r.array(func(int) {
				var fn, off int64
				r.tuple(0, &fn, &off)
				p.Undecoded = append(p.Undecoded, FuncOff{int(fn), image.CodeOff(off)})
			})
		case "attach":
			p.Attach = r.attach()
		case "kfuncs":
			r.array(func(int) { p.Kfuncs = append(p.Kfuncs, r.str()) })
		case "prog_type":
			p.Type = bpf.ProgType(r.num(0, math.MaxUint32))
		case "expected_attach_type":
			p.AttachType = uint32(r.num(0, math.MaxUint32))
		case "attach_to":
			p.AttachTo = r.str()
		case "sleepable":
			p.Sleepable = r.num(0, 1) == 1
		case "frags":
			p.Frags = r.num(0, 1) == 1
		default:
			r.unknown()
		}
	})
}

// state finds the state that a field is named after; NumStates and a mistake if there is none.
func (r *reader) state(name []byte) State {
	for s, n := range stateNames {
		if n == string(name) {
			return State(s)
		}
	}
	r.wrong(r.pos, "unknown state")
	return NumStates
}

func (r *reader) fn() (f Func) {
	r.object(func(name []byte) {
		switch string(name) {
		case "name":
			f.Name = r.str()
		case "start":
			f.Start = bpf.InsnIndex(r.num(-1, math.MaxInt32))
		case "addr":
			f.Addr = r.addr()
		case "len":
			f.Len = r.index()
		case "image":
			r.object(func(name []byte) {
				s := r.state(name)
				if s == NumStates {
					r.skip(0)
					return
				}
				f.image[s] = r.hexBytes()
			})
		default:
			r.unknown()
		}
	})
	return f
}

func (r *reader) removed() (f RemovedFunc) {
	r.object(func(name []byte) {
		switch string(name) {
		case "name":
			f.Name = r.str()
		case "start":
			f.Start = bpf.InsnIndex(r.index())
		default:
			r.unknown()
		}
	})
	return f
}

func (r *reader) tailCall() (t TailCall) {
	r.object(func(name []byte) {
		switch string(name) {
		case "func":
			t.Func = r.index()
		case "off":
			t.Off = r.off()
		case "kind":
			t.Direct = r.oneOf("direct", "indirect") == "direct"
		default:
			r.unknown()
		}
	})
	return t
}

// oneOf consumes a string that must be one of a few.
func (r *reader) oneOf(words ...string) string {
	r.peek()
	at := r.pos
	s := r.str()
	for _, w := range words {
		if s == w {
			return w
		}
	}
	if !r.fatal {
		r.wrong(at, "expected one of %q, found %q", words, s)
	}
	return ""
}

func (r *reader) mapAt() (m MapAt) {
	r.object(func(name []byte) {
		switch string(name) {
		case "func":
			m.Func = r.index()
		case "off":
			m.Off = r.off()
		case "map":
			m.Map = r.index()
		case "value":
			m.Value = r.num(-1, math.MaxUint32)
		default:
			r.unknown()
		}
	})
	return m
}

func (r *reader) ref() (f Ref) {
	r.object(func(name []byte) {
		switch string(name) {
		case "func":
			f.Func = r.index()
		case "off":
			f.Off = r.off()
		case "imm":
			f.Imm = r.off()
		case "kind":
			f.Kind = r.oneOf("call", "jmp", "jcc", "gs", "gs-rip", "rip", "movabs")
		case "target":
			f.Target = r.addr()
		case "sym":
			f.Sym = r.str()
		default:
			r.unknown()
		}
	})
	return f
}

func (r *reader) attach() *Attach {
	a := new(Attach)
	r.object(func(name []byte) {
		switch string(name) {
		case "kind":
			a.Kind = r.oneOf("fentry", "fexit", "fmod_ret", KindReplace)
		case "prog":
			a.Prog = r.index()
		case "func":
			a.Func = r.index()
		case "kernel":
			a.Kernel = r.str()
		default:
			r.unknown()
		}
	})
	return a
}

func (r *reader) trampoline() (t Trampoline) {
	r.object(func(name []byte) {
		switch string(name) {
		case "prog":
			t.Prog = r.index()
		case "func":
			t.Func = r.index()
		case "kernel":
			t.Kernel = r.str()
		case "attached":
			r.array(func(int) { t.Attached = append(t.Attached, r.index()) })
		case "site":
			r.object(func(name []byte) {
				switch string(name) {
				case "off":
					t.Site.Off = r.off()
				case "before":
					t.Site.Before = r.hexBytes()
				case "after":
					t.Site.After = r.hexBytes()
				default:
					r.unknown()
				}
			})
		case "addr":
			t.Addr = r.addr()
		case "len":
			t.Len = r.index()
		case "image":
			t.Image = r.hexBytes()
		case "refs":
			r.array(func(int) { t.Refs = append(t.Refs, r.ref()) })
		case "error":
			t.Error = r.str()
		default:
			r.unknown()
		}
	})
	return t
}

func (r *reader) symbols(s *Symbols) {
	s.Addr, s.Aliases = map[string]image.Addr{}, map[string][]string{}
	r.object(func(name []byte) {
		switch string(name) {
		case "type":
			r.str()
		case "symbols":
			r.object(func(k []byte) { s.Addr[string(k)] = r.addr() })
		case "aliases":
			r.object(func(k []byte) {
				n := string(k)
				r.array(func(int) { s.Aliases[n] = append(s.Aliases[n], r.str()) })
			})
		default:
			r.unknown()
		}
	})
}
