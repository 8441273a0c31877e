// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/capture/adapt"
	"github.com/tcsim/tcsim/jit/conform"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
)

// DecodedTarget is the name of targets that come from code alone.
const DecodedTarget = "decoded"

// TargetOf returns what replaying a capture needs to know of its kernel. Where the header does not say
// enough, because the kernel is not known or the header lacks parts, it is read from the code: the
// offsets that most tail calls use. Such a target is named DecodedTarget, its Source says why; if the
// header has no layout of contexts either, they are as in the newest kernel that is known.
func TargetOf(src *capture.Source) (*jit.Target, error) {
	t, unknown := adapt.Target(src)
	if unknown == nil {
		return t, nil
	}
	newest, err := jit.TargetByName(kernels.Newest().Name())
	if err != nil {
		return nil, err
	}
	o, err := decodeOffsets(src)
	if err != nil {
		return nil, fmt.Errorf("%w; and from the code: %w", unknown, err)
	}
	d := *newest
	d.Name, d.Decoded, d.Source, d.Offsets = DecodedTarget, true, "the code: "+unknown.Error(), o
	if src.Header.Offsets != nil {
		d.Offsets = *src.Header.Offsets
	}
	if src.Header.Context != nil {
		d.Context = kernels.NewContext(*src.Header.Context)
	}
	return &d, nil
}

// votes counts how often each value was seen.
type votes map[int32]int

func (v votes) add(x int32) {
	if x != 0 {
		v[x]++
	}
}

// most returns the value seen most often, the smallest of several, 0 without any.
func (v votes) most() int32 {
	best := int32(0)
	for _, x := range slices.SortedFunc(maps.Keys(v), cmp.Compare[int32]) {
		if v[x] > v[best] {
			best = x
		}
	}
	return best
}

// decodedPrograms is how many programs with indirect tail calls are read at most.
const decodedPrograms = 200

// decodeOffsets reads the offsets in structures from tail calls. Programs that do not decode, or
// have only direct tail calls, have no say; without any indirect tail call the offsets are used by
// nothing.
func decodeOffsets(src *capture.Source) (kernels.Offsets, error) {
	entries, ptrs, fn := votes{}, votes{}, votes{}
	seen, code := 0, 0
	for i := 0; i < src.Len() && seen < decodedPrograms; i++ {
		sc, err := src.Scenario(i)
		if err != nil {
			continue // whoever replays that scenario is told
		}
		for p := range sc.Progs {
			if sc.Progs[p].LoadError != "" {
				continue
			}
			img, err := recogniseProg(&sc.Progs[p], capture.Populated)
			if err != nil {
				continue
			}
			d, err := recognise.RecogniseDesign(img)
			if err != nil {
				continue
			}
			code++
			if d.Offsets.ProgBPFFunc != 0 {
				seen++
			}
			entries.add(d.Offsets.MapMaxEntries)
			ptrs.add(d.Offsets.ArrayPtrs)
			fn.add(d.Offsets.ProgBPFFunc)
		}
	}
	if code == 0 {
		return kernels.Offsets{}, errors.New("no program decodes")
	}
	return kernels.Offsets{MapMaxEntries: entries.most(), ArrayPtrs: ptrs.most(), ProgBPFFunc: fn.most()}, nil
}

// recognise reads the design from a program and notes what in its tail calls contradicts the rest. Of
// a design that is not known nothing is demanded.
func (c *Facts) recognise(p int, img *image.Image) error {
	prog := &c.Scenario.Progs[p]
	d, err := recognise.RecogniseDesign(img)
	if err != nil {
		return err
	}
	if d.Shown || len(prog.TailCalls) == 0 {
		c.foundDesign(&d)
	} else {
		c.found.Shown = true
	}
	if !d.Known() {
		return nil
	}
	wrong := func(format string, args ...any) {
		c.flaws = append(c.flaws, fmt.Sprintf("program %s: ", prog.Name)+fmt.Sprintf(format, args...))
	}
	if d.Mixed {
		wrong("its tail calls differ in limit, landing or offsets")
	}
	for _, t := range prog.TailCalls {
		if !hasSite(&img.Funcs[t.Func], t.Off) {
			wrong("%s+%#x: the code of the tail call is not that of %s", img.Funcs[t.Func].Name, int(t.Off), d.NameOn(c.said()))
		}
	}
	differs := func(what string, code, kernel int32) {
		if code != 0 && kernel != 0 && code != kernel {
			wrong("its tail calls use %s %#x, the kernel has it at %#x", what, code, kernel)
		}
	}
	o := &c.Target.Offsets
	differs("bpf_map.max_entries at", d.Offsets.MapMaxEntries, o.MapMaxEntries)
	differs("bpf_array.ptrs at", d.Offsets.ArrayPtrs, o.ArrayPtrs)
	differs("bpf_prog.bpf_func at", d.Offsets.ProgBPFFunc, o.ProgBPFFunc)
	return nil
}

// hasSite reports whether a recognised tail call has its code at off.
func hasSite(f *image.FuncImage, off image.CodeOff) bool {
	return slices.ContainsFunc(f.TailCalls, func(s image.TailCallSite) bool { return s.Start <= off && off < s.End })
}

// minCompared is how many functions a capture must have to say that a few are unlike the others, and
// oddShare how few: one in so many.
const (
	minCompared = 100
	oddShare    = 100
)

// OddCode compares the functions of a capture with what the JIT of its kernel emits, and describes
// those that differ if they are few: then the kernel is the known one, and the code is damaged.
// Where many differ, the kernel has another JIT, which only running can judge.
func OddCode(src *capture.Source, t *jit.Target) ([]string, error) {
	if t.Decoded {
		return nil, nil
	}
	r, err := conform.Compare(src, conform.Options{Target: t, Keep: 64})
	if err != nil {
		return nil, err
	}
	n := r.Total()
	if odd := n.Total - n.Same; odd == 0 || n.Total < minCompared || odd > max(1, n.Total/oddShare) {
		return nil, nil
	}
	var out []string
	for _, m := range r.Mismatches {
		out = append(out, fmt.Sprintf("%s: program %d, function %d, %v: not as the JIT of %s emits it: %s", m.Scenario, m.Prog, m.Func, m.State, t.Name, m.Reason))
	}
	return out, nil
}
