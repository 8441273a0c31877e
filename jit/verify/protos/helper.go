// SPDX-License-Identifier: GPL-2.0-only

package protos

import (
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
)

// Helper is one helper function.
type Helper struct {
	Name string // without bpf_
	// Args has one letter per argument, some followed by a size in bytes:
	//
	//	.  anything                          c  the context             C  the same or null
	//	p  a map                             k  key of that map
	//	v  value of the map, read            V  the same, written       u  the same as v, or null
	//	m  memory, read                      n  the same or null        its size is the next argument
	//	M  memory, written                   W  read and written        N  the same as W, or null
	//	rN memory of N bytes, read           wN the same, written       xN read and written
	//	s  size of the memory before it      z  the same or 0           a  size of what is allocated, a constant
	//	d  dynptr                            D  dynptr that is made
	//	S  spin lock                         t  timer                   f  function
	//	T  stack or null                     q  constant text           X  place of a kernel pointer in a map's value
	//	o  socket                            b  the same or an object   B  the same as b, or null
	//	i  kernel object                     I  the same or null        P  per-CPU variable
	//	g  record of a ring buffer           *  what differs between program types
	Args  string
	Ret   Return
	flags flags
	// on are the names of the program types that may call it; later are more of them, since Linux 6.16.
	on, later string
}

// Return is what a helper returns.
type Return uint8

// The kinds.
const (
	Number Return = iota
	Nothing
	MapValue
	Socket
	SockCommon
	TCPSock
	XDPSock
	RingBufMem
	DynptrMem
	PerCPUMem
	Object
)

type flags uint8

const (
	null   flags = 1 << iota // what it returns may be null
	gpl                      // for programs under the GPL
	sleeps                   // for programs that may sleep
	packet                   // takes addresses in the packet from programs that read it directly (pkt_access)
)

// Null reports whether the address that the helper returns may be null.
func (h *Helper) Null() bool { return h.flags&null != 0 }

// GPL reports whether the helper is for programs under the GPL.
func (h *Helper) GPL() bool { return h.flags&gpl != 0 }

// Sleeps reports whether the helper may sleep.
func (h *Helper) Sleeps() bool { return h.flags&sleeps != 0 }

// Packet reports whether the helper takes addresses in the packet.
func (h *Helper) Packet() bool { return h.flags&packet != 0 }

// For reports whether programs of a type may call the helper (get_func_proto of bpf_verifier_ops). Kernels before 6.14
// gave some to fewer types; they count as given.
func (h *Helper) For(t bpf.ProgType, v *kernels.Verifier) bool {
	if t == bpf.Extension || t == bpf.StructOps { // as what they replace or implement may
		return true
	}
	return within(h.on, t) || v.SharedHelpers && within(h.later, t)
}

func within(types string, t bpf.ProgType) bool {
	name := t.String()
	for types != "" {
		var first string
		if first, types, _ = strings.Cut(types, " "); first == name {
			return true
		}
	}
	return false
}

// Arg is one argument of a helper.
type Arg struct {
	Kind byte
	Size int // of r, w, x and of dynptrs, in bytes
}

// dynptrSize is the size of struct bpf_dynptr in bytes.
const dynptrSize = 16

// arguments are those of all helpers.
var arguments = func() map[string][]Arg {
	m := map[string][]Arg{}
	for _, h := range Helpers {
		m[h.Args] = parse(h.Args)
	}
	return m
}()

// Arguments reads Args. The result is not to be changed.
func Arguments(args string) []Arg {
	if a, ok := arguments[args]; ok {
		return a
	}
	return parse(args)
}

func parse(args string) []Arg {
	var out []Arg
	for i := 0; i < len(args); i++ {
		a := Arg{Kind: args[i]}
		for i+1 < len(args) && args[i+1] >= '0' && args[i+1] <= '9' {
			i++
			a.Size = a.Size*10 + int(args[i]-'0')
		}
		if a.Kind == 'd' || a.Kind == 'D' {
			a.Size = dynptrSize
		}
		out = append(out, a)
	}
	return out
}

// Is reports whether the argument is one of the kinds.
func (a Arg) Is(kinds string) bool { return strings.IndexByte(kinds, a.Kind) >= 0 }

// Sized reports whether the argument is memory whose size is the next argument.
func (a Arg) Sized() bool { return a.Is("mnMWN") }

// Writes reports whether the memory is written and need not hold anything before.
func (a Arg) Writes() bool { return a.Is("MwVD") }

// Stores reports whether the memory is written.
func (a Arg) Stores() bool { return a.Is("MWNwxVD") }

// Nullable reports whether null will do.
func (a Arg) Nullable() bool { return a.Is("CunNTBI") }
