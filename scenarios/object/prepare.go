// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/tcsim/tcsim/jit/bpf"
)

// prepare does what user space does with a file before it loads it: it says types that sections do not
// say, sizes maps and sets variables. The error names every mistake in the options.
func (o ReadOptions) prepare(spec *ebpf.CollectionSpec) error {
	var errs []error
	if o.AttachType != "" {
		t, err := attachType(o.AttachType)
		errs = append(errs, err)
		for _, p := range spec.Programs {
			if p.AttachType == ebpf.AttachNone && (o.Type == "" || p.Type == ebpf.UnspecifiedProgram) {
				p.AttachType = t
			}
		}
	}
	if o.Type != "" {
		t, ok := bpf.ProgTypeByName(o.Type)
		if !ok {
			errs = append(errs, fmt.Errorf("no program type %q: expected one of %s", o.Type, strings.Join(bpf.ProgTypeNames(), ", ")))
		}
		for _, p := range spec.Programs {
			if p.Type == ebpf.UnspecifiedProgram {
				p.Type = ebpf.ProgramType(t)
			}
		}
	}
	for _, text := range o.Maps {
		errs = append(errs, changeMap(spec, text))
	}
	for _, text := range o.Set {
		errs = append(errs, set(spec, text))
	}
	return errors.Join(errs...)
}

// attachType finds an attach type by the kernel's name.
func attachType(name string) (ebpf.AttachType, error) {
	const last = 64 // more than there are
	var known []string
	for t := ebpf.AttachType(0); t < last; t++ {
		word := t.String()
		if strings.Contains(word, "(") { // a number without a name
			continue
		}
		if strings.EqualFold(word, strings.ReplaceAll(name, "_", "")) {
			return t, nil
		}
		known = append(known, word)
	}
	return 0, fmt.Errorf("no attach type %q: expected one of %s", name, strings.Join(known, ", "))
}

// changeMap reads MAP.max_entries=N or MAP=OTHER.
func changeMap(spec *ebpf.CollectionSpec, text string) error {
	where, value, ok := strings.Cut(text, "=")
	name, isSize := strings.CutSuffix(where, ".max_entries")
	n, err := strconv.ParseUint(value, 0, 32)
	if !ok || isSize && err != nil {
		return fmt.Errorf("map %q: expected MAP.max_entries=NUMBER or MAP=OTHER", text)
	}
	known := slices.Sorted(maps.Keys(spec.Maps))
	switch {
	case spec.Maps[name] == nil:
		return fmt.Errorf("map %q: no map %q: %s", text, name, among(name, known))
	case isSize:
		spec.Maps[name].MaxEntries = uint32(n)
		return nil
	case spec.Maps[value] == nil:
		return fmt.Errorf("map %q: no map %q to use in its place: %s; a size is set by MAP.max_entries=NUMBER", text, value, among(value, known))
	}
	for _, p := range spec.Programs {
		for i := range p.Instructions {
			if in := &p.Instructions[i]; in.IsLoadFromMap() && in.Reference() == name {
				*in = in.WithReference(value)
			}
		}
	}
	return nil
}

// set reads VARIABLE=NUMBER.
func set(spec *ebpf.CollectionSpec, text string) error {
	name, number, _ := strings.Cut(text, "=")
	n, err := strconv.ParseInt(number, 0, 64)
	if err != nil {
		var u uint64
		if u, err = strconv.ParseUint(number, 0, 64); err != nil {
			return fmt.Errorf("set %q: expected VARIABLE=NUMBER", text)
		}
		n = int64(u)
	}
	v := spec.Variables[name]
	if v == nil {
		return fmt.Errorf("set %q: no variable %q: %s", text, name, among(name, slices.Sorted(maps.Keys(spec.Variables))))
	}
	b := make([]byte, 8)
	binary.LittleEndian.PutUint64(b, uint64(n))
	bits := v.Size() * 8
	switch {
	case v.Size() > 8:
		return fmt.Errorf("set %q: %s has %d bytes: only numbers of up to 8 can be set", text, name, v.Size())
	case bits < 64 && n>>bits != 0 && n>>(bits-1) != -1:
		return fmt.Errorf("set %q: the number does not fit the %d bytes of %s", text, v.Size(), name)
	}
	m := spec.Maps[v.SectionName]
	if m == nil || len(m.Contents) != 1 {
		return fmt.Errorf("set %q: section %s is not one that programs share", text, v.SectionName)
	}
	data, ok := m.Contents[0].Value.([]byte)
	if end := int(v.Offset) + int(v.Size()); !ok || end > len(data) {
		return fmt.Errorf("set %q: %s lies outside of section %s", text, name, v.SectionName)
	}
	copy(data[v.Offset:], b[:v.Size()])
	return nil
}
