// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"fmt"
	"maps"
	"slices"
)

// Lacks returns the names of those scenarios that a capture does not have, or not without an error.
func (f *File) Lacks(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		return slices.ContainsFunc(f.Scenarios, func(sc Scenario) bool { return sc.Name == n && sc.Error == "" })
	})
}

// Merge adds the scenarios of another capture of the same kernel to f. Those that both have are the other's.
func (f *File) Merge(other *File) error {
	a, b := &f.Header.Kernel, &other.Header.Kernel
	if a.Release != b.Release || a.Version != b.Version {
		return fmt.Errorf("%s is a capture of %s %s, not of %s %s", f.Name, a.Release, a.Version, b.Release, b.Version)
	}
	for name, addr := range other.Symbols.Addr {
		if was, ok := f.Symbols.Addr[name]; ok && was != addr {
			return fmt.Errorf("%s: %s is at %#x there and at %#x here: boot with nokaslr, or begin anew", f.Name, name, uint64(was), uint64(addr))
		}
	}
	if f.Symbols.Addr == nil {
		f.Symbols = other.Symbols
	} else {
		maps.Copy(f.Symbols.Addr, other.Symbols.Addr)
		if f.Symbols.Aliases == nil {
			f.Symbols.Aliases = map[string][]string{}
		}
		maps.Copy(f.Symbols.Aliases, other.Symbols.Aliases)
	}
	kept := slices.DeleteFunc(f.Scenarios, func(sc Scenario) bool {
		return slices.ContainsFunc(other.Scenarios, func(o Scenario) bool { return o.Name == sc.Name })
	})
	f.Scenarios = append(kept, other.Scenarios...)
	f.Header.Scenarios = len(f.Scenarios)
	return nil
}
