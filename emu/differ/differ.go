// SPDX-License-Identifier: GPL-2.0-only

package differ

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/jit/x86"
)

// inputs is how many states one variant is called with.
const inputs = 200

// Report is what a comparison has found.
type Report struct {
	Executions uint64
	Variants   int
	// Differences are the first few of each form, Lacking the forms that this processor does not have,
	// Refused what the machine refuses, by the reason.
	Differences []string
	Lacking     []string
	Refused     map[string]int
}

// differ is one comparison.
type differ struct {
	b       *emu.Beside
	r       *rand.Rand
	report  Report
	lacking map[string]bool
	seen    map[string]int // differences by form
	in, out []emu.CPU
}

// Compare executes forms on this processor and in the engine until n executions are done. The same seed
// gives the same executions. The error is an emu.ErrNative if this machine cannot run them; progress gets a line for each
// variant before it runs, so that a process that dies says of what.
func Compare(forms []Form, seed, n uint64, progress io.Writer) (*Report, error) {
	b, err := emu.NewBeside()
	if err != nil {
		return nil, err
	}
	defer b.Close()
	d := &differ{
		b: b, r: rand.New(rand.NewPCG(seed, 0)), lacking: map[string]bool{}, seen: map[string]int{},
		in: make([]emu.CPU, inputs), out: make([]emu.CPU, inputs),
	}
	d.report.Refused = map[string]int{}
	for d.report.Executions < n {
		for i := range forms {
			if err := d.variant(&forms[i], progress); err != nil {
				return nil, fmt.Errorf("form %s: %w", forms[i].Key(), err)
			}
		}
	}
	d.report.Lacking = slices.Sorted(maps.Keys(d.lacking))
	return &d.report, nil
}

// variant runs one choice of registers with many inputs.
func (d *differ) variant(f *Form, progress io.Writer) error {
	v, err := NewVariant(f, d.r)
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "% x\n", v.Code)
	level := emu.LevelNone
	switch d.report.Variants % 8 {
	case 3:
		level = emu.LevelSites
	case 7:
		level = emu.LevelRetired
	}
	d.report.Variants++
	if err := d.b.Load(v.Code, level); err != nil {
		return err
	}
	for i := range d.in {
		d.in[i] = v.Input(d.r)
	}
	if err := d.b.Native(d.in, d.out); err != nil {
		return err
	}
	for i := range d.in {
		got, fault, err := d.b.Engine(&d.in[i])
		if err != nil {
			return err
		}
		if fault != nil {
			if fault.Kind != emu.FaultEngine {
				d.differs(&v, i, "the engine: "+fault.Error())
				continue
			}
			d.report.Refused[fault.Err.Error()]++
			return nil
		}
		if d.out[i].Fault == vectorUndefined && got.Fault != vectorUndefined {
			d.lacking[v.Inst.Op+" ("+f.Key()+")"] = true
			return nil
		}
		d.report.Executions++
		if diff := Diff(&v, &d.in[i], &got, &d.out[i]); diff != "" {
			d.differs(&v, i, diff)
		}
	}
	return nil
}

const vectorUndefined = 6

// differs notes a difference; of one form two are enough.
func (d *differ) differs(v *Variant, i int, what string) {
	key := v.Form.Key()
	if d.seen[key]++; d.seen[key] > 2 {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s (% x), form %s: %s; before: flags %#x", v.Inst.String(), v.Code, key, what, d.in[i].Flags)
	for r := x86.RAX; r <= x86.R15; r++ {
		if v.Inst.Reads.Has(r) || v.Inst.Writes.Has(r) {
			fmt.Fprintf(&b, " %s %#x", r, d.in[i].Regs[r])
		}
	}
	d.report.Differences = append(d.report.Differences, b.String())
}

// Diff says how the engine's result differs from the hardware's in what is defined; "" if it does not.
func Diff(v *Variant, in, engine, hardware *emu.CPU) string {
	var out []string
	if engine.Fault != hardware.Fault || engine.RIP != hardware.RIP {
		return fmt.Sprintf("engine: exception %d at %#x, hardware: %d at %#x", engine.Fault, uint64(engine.RIP), hardware.Fault, uint64(hardware.RIP))
	}
	for r := x86.RAX; r <= x86.R15; r++ {
		if engine.Regs[r] != hardware.Regs[r] && !undefinedResult(v, in, r) {
			out = append(out, fmt.Sprintf("%s is %#x, hardware %#x", r, engine.Regs[r], hardware.Regs[r]))
		}
	}
	if hardware.Fault < 0 {
		mask := uint64(statusFlags|flagDF) &^ undefinedFlags(v, in)
		if (engine.Flags^hardware.Flags)&mask != 0 {
			out = append(out, fmt.Sprintf("flags are %#x, hardware %#x", engine.Flags&mask, hardware.Flags&mask))
		}
	}
	for i := 0; i < emu.WindowSize; i += 8 {
		a, b := binary.LittleEndian.Uint64(engine.Window[i:]), binary.LittleEndian.Uint64(hardware.Window[i:])
		if a != b {
			out = append(out, fmt.Sprintf("memory+%#x is %#x, hardware %#x", i, a, b))
		}
	}
	return strings.Join(out, "; ")
}
