// SPDX-License-Identifier: GPL-2.0-only

package source

import "github.com/tcsim/tcsim/jit/source/ktree"

// Facts are everything that the C file takes from elsewhere.
type Facts struct {
	Version ktree.Version
	List    []ktree.Fact
	// Taken is what the C file uses and the tree's headers have besides: fields, macros, functions.
	Taken []ktree.Fact
	// unusual says that a header has another number than what is known of the version.
	unusual bool
}

// Get returns the value of a fact, "" if there is none of the name.
func (f *Facts) Get(name string) string {
	for i := range f.List {
		if f.List[i].Name == name {
			return f.List[i].Value
		}
	}
	return ""
}

func (f *Facts) add(name, value, from string) {
	f.List = append(f.List, ktree.Fact{Name: name, Value: value, From: from})
}
