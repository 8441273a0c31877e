// SPDX-License-Identifier: GPL-2.0-only

package progen

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
)

// The maps of all programs, by index.
const (
	MapIn     = iota // values that programs begin with
	MapBuf           // memory at a fixed address
	MapTable         // an array that is looked up
	MapHash          // likewise, with keys that are not there
	MapPerCPU        // an array with values of each CPU
	MapJump          // a prog array with empty slots
	MapArena         // an arena without pages
)

// Sizes of values in bytes, and numbers of entries.
const (
	inSize, bufSize, elemSize = 128, 1024, 16

	tableEntries, hashEntries, perCPUEntries, jumpEntries = 4, 4, 2, 2
)

// Maps are those of all programs. Their values have no parts that only helpers touch.
var Maps = plain([]bpf.Map{
	MapIn:     {Name: "in", Type: bpf.ArrayMap, KeySize: 4, ValueSize: inSize, MaxEntries: 1},
	MapBuf:    {Name: "buf", Type: bpf.ArrayMap, KeySize: 4, ValueSize: bufSize, MaxEntries: 1},
	MapTable:  {Name: "table", Type: bpf.ArrayMap, KeySize: 4, ValueSize: elemSize, MaxEntries: tableEntries},
	MapHash:   {Name: "hash", Type: bpf.HashMap, KeySize: 4, ValueSize: elemSize, MaxEntries: hashEntries},
	MapPerCPU: {Name: "percpu", Type: bpf.PerCPUArrayMap, KeySize: 4, ValueSize: elemSize, MaxEntries: perCPUEntries},
	MapJump:   {Name: "jump", Type: bpf.ProgArray, KeySize: 4, ValueSize: 4, MaxEntries: jumpEntries},
	MapArena:  {Name: "area", Type: bpf.ArenaMap, MaxEntries: 1},
})

func plain(maps []bpf.Map) []bpf.Map {
	for i := range maps {
		maps[i].Special = &bpf.Special{}
	}
	return maps
}

// PacketSize is the size of Packet in bytes.
const PacketSize = 96

// Packet is what all programs run on: no IP, and every byte another one.
var Packet = func() []byte {
	p := make([]byte, PacketSize)
	for i := range p {
		p[i] = byte(i*37 + 11)
	}
	return p
}()

// Regs is a set of BPF registers, as bits.
type Regs uint16

// Has reports whether a register is in the set.
func (r Regs) Has(reg int) bool { return r>>reg&1 != 0 }

// Program is a program with what is known of it.
type Program struct {
	BPF *bpf.Program
	// In is the value in the map of inputs before the run.
	In [inSize]byte
	// Defined are, before each slot of BPF.Insns, the registers that hold a number, and Addresses those that
	// hold an address. What others hold, BPF does not say. Of Halves only the lower half counts.
	Defined, Addresses, Halves []Regs
	// Size is how much there is to read.
	Size int

	inputs  map[int]int // words of In by the slot that loads them
	direct  bool        // from an address in the program
	context bool        // the program uses its context
}

// Can is what programs of a kernel can do.
type Can struct {
	ISA     kernels.ISA
	Helpers int32 // one more than the highest number of a helper
	// Subprograms are bpf-to-bpf calls, and Mixed tail calls beside them.
	Subprograms, Mixed bool
	// Spills says that numbers that loops count with can be on the stack.
	Spills bool
}

// Of returns what programs of a kernel can do.
func Of(k *kernels.Kernel) Can {
	v := &k.Verifier
	return Can{
		ISA: k.Emit.ISA, Helpers: v.Helpers,
		Subprograms: !v.NoSubprogs, Mixed: !v.NoSubprogs && !v.NoMix, Spills: v.SpillBounded,
	}
}

// What came with the kernels that had so many helpers.
const (
	helpersValues = 109 // 5.2: addresses of map values in ld_imm64
	helpersLoops  = 110 // 5.3: bounded loops
	helpersTask   = 163 // 5.11: bpf_get_current_task_btf and loads through what it returns
)

func (c *Can) has(isa kernels.ISA) bool { return c.ISA&isa == isa }
func (c *Can) values() bool             { return c.Helpers >= helpersValues }
func (c *Can) loops() bool              { return c.Helpers >= helpersLoops }
func (c *Can) helper(n int32) bool      { return n < c.Helpers }

// types are the program types, the simplest first.
var types = []bpf.ProgType{bpf.SchedCLS, bpf.SchedCLS, bpf.XDP, bpf.Kprobe, bpf.SocketFilter}
