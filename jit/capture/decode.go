// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"encoding/base64"
	"encoding/hex"
	"math"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
)

// This file maps the lines of the format to the types of file.go, field by field. An unknown field
// is a mistake. Relations between fields are checked in check.go.

func (r *reader) unknown() {
	r.peek()
	r.wrong(r.pos, "unknown field")
	r.skip(0)
}

// hexNum consumes an address or a 64-bit value: lower-case hex without prefix.
func (r *reader) hexNum() uint64 {
	r.peek()
	at := r.pos
	s := r.str()
	v, err := strconv.ParseUint(s, 16, 64)
	if (err != nil || strings.ToLower(s) != s) && !r.fatal {
		r.wrong(at, "expected a hexadecimal number of at most 16 lower-case digits, found %q", s)
	}
	return v
}

func (r *reader) addr() image.Addr { return image.Addr(r.hexNum()) }

// hexBytes consumes code or packet bytes.
func (r *reader) hexBytes() []byte {
	if r.peek() != '"' {
		r.wrongType("a string of hex digits")
		return nil
	}
	at := r.pos
	raw, ok := r.rawString()
	if !ok {
		return nil
	}
	b := make([]byte, hex.DecodedLen(len(raw)))
	if _, err := hex.Decode(b, raw); err != nil {
		r.wrong(at, "bad hex string: %v", err)
		return nil
	}
	return b
}

func (r *reader) insns() []bpf.Insn {
	r.peek()
	at := r.pos
	b := r.hexBytes()
	if len(b)%bpf.InsnSize != 0 {
		r.wrong(at, "%d bytes are not a whole number of %d-byte instructions", len(b), bpf.InsnSize)
	}
	out := make([]bpf.Insn, len(b)/bpf.InsnSize)
	for i := range out {
		out[i] = bpf.DecodeInsn(b[i*bpf.InsnSize:])
	}
	return out
}

func (r *reader) stringMap() map[string]string {
	m := map[string]string{}
	r.object(func(k []byte) { m[string(k)] = r.str() })
	return m
}

// tuple consumes an array of exactly len(dst) numbers that are at least lo.
func (r *reader) tuple(lo int64, dst ...*int64) {
	r.peek()
	at, n := r.pos, 0
	r.array(func(i int) {
		if n++; i >= len(dst) {
			r.skip(0)
			return
		}
		*dst[i] = r.num(lo, math.MaxUint32)
	})
	if n != len(dst) && !r.fatal {
		r.wrong(at, "expected %d numbers, found %d", len(dst), n)
	}
}

func (r *reader) off() image.CodeOff { return image.CodeOff(r.index()) }

func (r *reader) header(h *Header) {
	r.object(func(name []byte) {
		k := &h.Kernel
		switch string(name) {
		case "type":
			r.str()
		case "format":
			at := r.pos
			if h.Format = r.index(); h.Format < 1 || h.Format > Format {
				r.wrong(at, "format %d is unknown: expected 1 to %d", h.Format, Format)
			}
		case "set":
			h.Set = r.str()
		case "variant":
			h.Variant = r.str()
		case "release":
			k.Release = r.str()
		case "version":
			k.Version = r.str()
		case "cmdline":
			k.Cmdline = r.str()
		case "cpu_vendor":
			k.CPUVendor = r.str()
		case "cpu_model":
			k.CPUModel = r.str()
		case "cpu_flags":
			k.CPUFlags = strings.Fields(r.str())
		case "cpu_bugs":
			k.CPUBugs = strings.Fields(r.str())
		case "cpus":
			h.CPUs = r.index()
		case "vulnerabilities":
			k.Vulnerabilities = r.stringMap()
		case "config":
			k.Config = r.stringMap()
		case "sysctl":
			h.Sysctl = r.stringMap()
		case "bpf_call_base":
			h.CallBase = r.addr()
		case "scenarios":
			h.Scenarios = r.index()
		case "offsets":
			h.Offsets = r.offsets()
		case "context":
			h.Context = r.context()
		case "default_inputs":
			r.array(func(int) { h.DefaultInputs = append(h.DefaultInputs, r.hexNum()) })
		case "run_data":
			h.RunData = r.hexBytes()
		default:
			r.unknown()
		}
	})
}

func (r *reader) offsets() *kernels.Offsets {
	o := new(kernels.Offsets)
	r.object(func(name []byte) {
		switch string(name) {
		case "map_max_entries":
			o.MapMaxEntries = int32(r.index())
		case "array_ptrs":
			o.ArrayPtrs = int32(r.index())
		case "prog_bpf_func":
			o.ProgBPFFunc = int32(r.index())
		default:
			r.unknown()
		}
	})
	return o
}

func (r *reader) context() *kernels.ContextLayout {
	l := new(kernels.ContextLayout)
	fields := l.Fields()
	r.object(func(name []byte) {
		to, ok := fields[string(name)]
		if !ok {
			r.unknown()
			return
		}
		*to = int16(r.num(0, maxContext))
	})
	return l
}

// maxContext is the largest offset of a field of a context. Those of all kernels so far are below 300.
const maxContext = 1000

// base64Bytes consumes a file.
func (r *reader) base64Bytes() []byte {
	r.peek()
	at := r.pos
	b, err := base64.StdEncoding.DecodeString(r.str())
	if err != nil {
		r.wrong(at, "bad base64 string: %v", err)
		return nil
	}
	return b
}

func (r *reader) played() (p Played) {
	r.object(func(name []byte) {
		switch string(name) {
		case "action":
			p.Action = r.index()
		case "error":
			p.Error = r.str()
		case "retval":
			p.Retval = uint32(r.num(0, math.MaxUint32))
		case "values":
			r.array(func(int) { p.Values = append(p.Values, r.mapValue()) })
		default:
			r.unknown()
		}
	})
	return p
}

// mapValue consumes a triple [map, key, value].
func (r *reader) mapValue() (v MapValue) {
	r.peek()
	at, n := r.pos, 0
	r.array(func(i int) {
		switch n++; i {
		case 0:
			v.Map = r.index()
		case 1:
			v.Key = r.hexBytes()
		case 2:
			v.Value = r.hexBytes()
		default:
			r.skip(0)
		}
	})
	if n != 3 && !r.fatal {
		r.wrong(at, "expected a triple [map, key, value], found %d elements", n)
	}
	return v
}

func (r *reader) scenario(s *Scenario) {
	r.object(func(name []byte) {
		switch string(name) {
		case "type":
			r.str()
		case "name":
			s.Name = r.str()
		case "category":
			s.Category = r.str()
		case "prog_type":
			s.ProgType = bpf.ProgType(r.num(0, math.MaxUint32))
		case "maps":
			r.array(func(int) { s.Maps = append(s.Maps, r.mapSpec()) })
		case "progs":
			r.array(func(int) { s.Progs = append(s.Progs, Prog{}); r.prog(&s.Progs[len(s.Progs)-1]) })
		case "prog_arrays":
			r.array(func(int) {
				var m, k, p int64
				r.tuple(0, &m, &k, &p)
				s.ProgArrays = append(s.ProgArrays, Slot{Map: int(m), Key: uint32(k), Prog: int(p)})
			})
		case "inputs":
			r.array(func(int) { s.Inputs = append(s.Inputs, r.input()) })
		case "run":
			s.Run = r.run()
		case "run_traced":
			s.RunTraced = r.run()
		case "found":
			s.Found = r.num(0, 1) == 1
		case "source":
			s.Source = r.str()
		case "object":
			s.Object = r.base64Bytes()
		case "played":
			r.array(func(int) { s.Played = append(s.Played, r.played()) })
		case "trampolines":
			r.array(func(int) { s.Trampolines = append(s.Trampolines, r.trampoline()) })
		case "error":
			s.Error = r.str()
		default:
			r.unknown()
		}
	})
}

// input consumes a pair [n, value].
func (r *reader) input() (in Input) {
	r.peek()
	at, n := r.pos, 0
	r.array(func(i int) {
		switch n++; i {
		case 0:
			in.N = r.index()
		case 1:
			in.Value = r.hexNum()
		default:
			r.skip(0)
		}
	})
	if n != 2 && !r.fatal {
		r.wrong(at, "expected a pair [n, value], found %d elements", n)
	}
	return in
}

func (r *reader) mapSpec() (m Map) {
	u32 := func() uint32 { return uint32(r.num(0, math.MaxUint32)) }
	r.object(func(name []byte) {
		switch string(name) {
		case "name":
			m.Name = r.str()
		case "type":
			m.Type = bpf.MapType(u32())
		case "key_size":
			m.KeySize = u32()
		case "value_size":
			m.ValueSize = u32()
		case "max_entries":
			m.MaxEntries = u32()
		case "frozen":
			m.Frozen = string(r.hexBytes())
		case "inner":
			m.Inner = r.index()
		case "addr":
			m.Addr = r.addr()
		case "value_addr":
			m.ValueAddr = r.addr()
		default:
			r.unknown()
		}
	})
	return m
}

func (r *reader) run() *Run {
	run := new(Run)
	r.object(func(name []byte) {
		switch string(name) {
		case "prog":
			run.Prog = r.index()
		case "skipped":
			run.Skipped = r.str()
		case "error":
			run.Error = r.str()
		case "retval":
			run.Retval = uint32(r.num(0, math.MaxUint32))
		case "out":
			r.array(func(int) { run.Out = append(run.Out, r.hexNum()) })
		default:
			r.unknown()
		}
	})
	return run
}
