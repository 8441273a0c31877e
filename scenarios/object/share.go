// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/scenarios"
)

// share gives the file the maps of another one that was loaded before, as loaders do with maps that are pinned: a map
// that both have is that one, with the programs in its slots. The sections of variables are each file's own. The error names
// every map that kernels' loaders do not share (bpf_map__reuse_fd, map_is_reuse_compat in libbpf).
func (f *File) share(other *File) error {
	to := make([]int, len(other.Maps))
	mine := len(f.Maps)
	var errs []error
	shared := 0
	for i := range other.Maps {
		m := other.Maps[i]
		to[i] = slices.IndexFunc(f.Maps[:mine], func(o bpf.Map) bool { return o.Name == m.Name && !strings.HasPrefix(m.Name, ".") })
		if n := to[i]; n >= 0 {
			shared++
			if o := &f.Maps[n]; o.Type != m.Type || o.KeySize != m.KeySize || o.ValueSize != m.ValueSize || o.MaxEntries != m.MaxEntries || o.NoRead != m.NoRead || o.NoWrite != m.NoWrite {
				errs = append(errs, fmt.Errorf("map %s: type %d with %d entries of %d+%d bytes, in %s type %d with %d of %d+%d: such maps are not shared",
					m.Name, o.Type, o.MaxEntries, o.KeySize, o.ValueSize, other.Name, m.Type, m.MaxEntries, m.KeySize, m.ValueSize))
			}
			continue
		}
		to[i] = len(f.Maps)
		if slices.ContainsFunc(f.Maps, func(o bpf.Map) bool { return o.Name == m.Name }) {
			m.Name = other.title() + "/" + m.Name
		}
		f.Maps, f.mapErrs = append(f.Maps, m), append(f.mapErrs, other.mapErrs[i])
		if v := other.versions[i]; v != nil {
			f.versions[to[i]] = v
		}
	}
	for _, n := range to {
		if in := f.Maps[n].Inner; n >= mine && in > 0 {
			f.Maps[n].Inner = to[in-1] + 1
		}
	}
	if shared == 0 {
		errs = append(errs, fmt.Errorf("no map of %s has the name of one of these: %s", other.Name, strings.Join(mapNames(f.Maps[:mine]), ", ")))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	first := len(f.Programs)
	for i := range other.Programs {
		p := other.renumber(i, to, f.Maps)
		if slices.ContainsFunc(f.Programs[:first], func(o bpf.Program) bool { return o.Name == p.Name }) {
			p.Name = other.title() + "/" + p.Name
		}
		f.Programs = append(f.Programs, p)
	}
	f.Sections, f.Tags, f.progErrs = append(f.Sections, other.Sections...), append(f.Tags, other.Tags...), append(f.progErrs, other.progErrs...)
	for i := range f.Programs {
		f.Programs[i].Maps = f.Maps
	}
	f.shareContents(other, to, first)
	return nil
}

// shareContents adds what the other file's maps hold. What this file declares is put there later.
func (f *File) shareContents(other *File, to []int, first int) {
	for _, s := range other.Slots {
		s.Map, s.Program = to[s.Map], first+s.Program
		if !slices.ContainsFunc(f.Slots, func(o scenarios.Slot) bool { return o.Map == s.Map && o.Key == s.Key }) {
			f.Slots = append(f.Slots, s)
		}
	}
	for _, v := range other.Values {
		v.Map = to[v.Map]
		f.Values = append(f.Values, v)
	}
	for _, in := range other.Inner {
		in.Map, in.Inner = to[in.Map], to[in.Inner]
		if !slices.ContainsFunc(f.Inner, func(o scenarios.Inner) bool { return o.Map == in.Map && string(o.Key) == string(in.Key) }) {
			f.Inner = append(f.Inner, in)
		}
	}
}

func mapNames(all []bpf.Map) (names []string) {
	for i := range all {
		if !strings.HasPrefix(all[i].Name, ".") {
			names = append(names, all[i].Name)
		}
	}
	return names
}
