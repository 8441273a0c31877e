// SPDX-License-Identifier: GPL-2.0-only

package kernel

import (
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/helper"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
)

// Plan decides the addresses of one scenario and implements image.Env for all its programs, which
// are compiled one after the other. The same calls give the same addresses. It needs no engine.
type Plan struct {
	maps     []guest.MapSpec
	text     image.Addr
	symbols  map[string]image.Addr
	routines map[image.Routine]image.Addr
	private  image.Addr // where the next private stack goes
	kfuncs   map[string]image.Addr
}

// AddKfuncs gives addresses to kernel functions that programs call by name. Calling one that is not
// modelled is an error when it happens. The same names in the same order get the same addresses.
func (p *Plan) AddKfuncs(names []string) {
	for _, n := range names {
		if _, known := planned[n]; known || p.kfuncs[n] != 0 {
			continue
		}
		if p.kfuncs == nil {
			p.kfuncs = map[string]image.Addr{}
		}
		p.kfuncs[n] = guest.NamedBase + image.Addr(len(helper.Named())+len(p.kfuncs))*guest.StubSpace
	}
}

// textAlign is the distance in which the kernel places programs (BPF_PROG_CHUNK_SIZE).
const textAlign = 64

// maxHelper bounds helper numbers; the kernel has about 210.
const maxHelper = 512

// NewPlan places the maps of a scenario.
func NewPlan(o kernels.Offsets, maps []bpf.Map) *Plan {
	p := &Plan{text: guest.TextBase, private: guest.PrivateBase, symbols: make(map[string]image.Addr), routines: make(map[image.Routine]image.Addr)}
	small, large := guest.MapBase, guest.LargeBase
	for _, m := range maps {
		at := &small
		if m.Type == bpf.ArrayMap && uint64(m.MaxEntries)*guest.Stride(m.ValueSize) >= guest.LargeArray {
			at = &large
		}
		s := guest.MapSpec{Map: m, Addr: *at}
		size := image.Addr(o.ArrayPtrs) + 64
		switch m.Type {
		case bpf.ArrayMap:
			s.ValueAddr = *at + image.Addr(o.ArrayPtrs)
			size += image.Addr(m.MaxEntries) * image.Addr(guest.Stride(m.ValueSize))
		case bpf.ArenaMap:
			s.ValueAddr = guest.ArenaBase
		case bpf.PerCPUArrayMap, bpf.ProgArray, bpf.ArrayOfMaps:
			size += image.Addr(m.MaxEntries) * 8
		}
		*at = (*at + size + 0x3ff) &^ 0x1ff // kmalloc'ed: aligned, with room between
		p.maps = append(p.maps, s)
	}
	return p
}

// Place implements image.Env: functions follow each other in 64-byte chunks, with at least as much
// int3 between them as the kernel leaves for its header.
func (p *Plan) Place(_ int, size int, _ image.CodeOff) (image.Addr, error) {
	if size <= 0 {
		return 0, fmt.Errorf("place function of %d bytes", size)
	}
	at := p.text
	p.text = (at + image.Addr(size) + 2*textAlign - 1) &^ (textAlign - 1)
	if p.text < guest.TextBase || p.text >= guest.TextBase+1<<28 {
		return 0, fmt.Errorf("place function of %d bytes: no text left", size)
	}
	return at, nil
}

// Helper implements image.Env. Any helper number has an address; calling one that is not modelled
// is an error when it happens.
func (p *Plan) Helper(imm int32) (image.Addr, error) {
	if imm <= 0 || imm >= maxHelper {
		return 0, fmt.Errorf("helper %d: no such number", imm)
	}
	at := guest.HelperBase + image.Addr(imm)*guest.StubSpace
	p.symbols[helper.NameOf(imm)] = at
	return at, nil
}

// MapAddr implements image.Env.
func (p *Plan) MapAddr(m int) (image.Addr, error) {
	if m < 0 || m >= len(p.maps) {
		return 0, fmt.Errorf("no map %d", m)
	}
	return p.maps[m].Addr, nil
}

// MapValue implements image.Env.
func (p *Plan) MapValue(m int) (image.Addr, error) {
	if m < 0 || m >= len(p.maps) {
		return 0, fmt.Errorf("no map %d", m)
	}
	if p.maps[m].ValueAddr == 0 {
		return 0, fmt.Errorf("map %d (%s) has no value at a fixed address", m, p.maps[m].Name)
	}
	return p.maps[m].ValueAddr, nil
}

// PrivateStack implements jit.PrivateStackEnv: private stacks follow each other, with a guard on both
// sides of each (PRIV_STACK_GUARD_SZ).
func (p *Plan) PrivateStack(_ int, size int32) (image.Addr, error) {
	const guard = 8
	if size <= 0 || size > guest.PrivateStackSize {
		return 0, fmt.Errorf("private stack of %d bytes", size)
	}
	fp := p.private + guard + image.Addr(size)
	p.private = (fp + guard + 7) &^ 7
	return fp, nil
}

// arenaUser is where user space sees arenas; only the upper half shows in code.
const arenaUser image.Addr = 0x7f00_0000_0000

// Arena implements image.ArenaEnv.
func (p *Plan) Arena(m int) (kernel, user image.Addr, err error) {
	if m < 0 || m >= len(p.maps) || p.maps[m].Type != bpf.ArenaMap {
		return 0, 0, fmt.Errorf("map %d is no arena", m)
	}
	return p.maps[m].ValueAddr, arenaUser, nil
}

// perCPU are the variables with a displacement from the gs base, as on a kernel before 6.15.
var perCPU = map[string]image.Addr{
	"this_cpu_off": 0x19a18, "pcpu_hot": 0x35000, "const_pcpu_hot": 0x35000, "__x86_call_depth": 0x35010,
	"cpu_number": 0x3500c, "current_task": 0x35000,
}

// kernelVars are other variables of the kernel with their initial values.
var kernelVars = map[string]uint64{"jiffies": guest.BootJiffies, "jiffies_64": guest.BootJiffies}

// planned are the symbols that have an address without being asked for, so that addresses do not
// depend on the order of questions.
var planned = plannedSymbols()

func plannedSymbols() map[string]image.Addr {
	s := make(map[string]image.Addr)
	names := []string{
		"__x86_return_thunk", "its_return_thunk", "retbleed_return_thunk", "srso_return_thunk",
		"srso_alias_return_thunk", "call_depth_return_thunk",
	}
	for r := x86.RAX; r <= x86.R15; r++ {
		for _, kind := range []string{"thunk", "jump_thunk", "call_thunk", "its_thunk"} {
			names = append(names, "__x86_indirect_"+kind+"_"+r.String())
		}
	}
	names = append(names, bhiArgs)
	for i, n := range names {
		s[n] = guest.KernelText + image.Addr(i)*guest.ThunkSpace
	}
	for i, n := range helper.Named() {
		s[n] = guest.NamedBase + image.Addr(i)*guest.StubSpace
	}
	vars := make([]string, 0, len(kernelVars))
	for n := range kernelVars {
		vars = append(vars, n)
	}
	slices.Sort(vars)
	for _, n := range vars {
		s[n] = guest.KernelData + 0x79c0
	}
	for n, a := range perCPU {
		s[n] = a
	}
	return s
}

// Symbol implements image.Env for thunks, helpers by name and the variables that inlined helpers
// read.
func (p *Plan) Symbol(name string) (image.Addr, error) {
	a, ok := planned[name]
	if !ok {
		if a, ok = p.kfuncs[name]; ok {
			p.symbols[name] = a
			return a, nil
		}
		return 0, fmt.Errorf("kernel symbol %s is not modelled", name)
	}
	p.symbols[name] = a
	if name == "call_depth_return_thunk" {
		p.symbols["__x86_call_depth"] = perCPU["__x86_call_depth"]
	}
	return a, nil
}

// Maps returns the maps with their addresses, for guest.Setup.
func (p *Plan) Maps() []guest.MapSpec { return slices.Clone(p.maps) }

// Symbols returns the symbols asked for so far, for guest.Setup.
func (p *Plan) Symbols() map[string]image.Addr {
	s := make(map[string]image.Addr, len(p.symbols))
	for n, a := range p.symbols {
		s[n] = a
	}
	return s
}
