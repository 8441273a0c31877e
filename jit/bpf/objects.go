// SPDX-License-Identifier: GPL-2.0-only

package bpf

// Objects is what a kernel's BTF says of its structures.
type Objects interface {
	// Field returns what size bytes at off of a structure are. The error says why they cannot be loaded; known is false if
	// the structure is not known, or what it holds there is nothing that this says.
	Field(structure string, off, size int64) (f ObjectField, known bool, err error)
	// Holds reports whether a structure of a name begins at off of another; known is false if one of them is not known.
	Holds(structure string, off int64, inner string) (holds, known bool)
	// Kernel reports whether the kernel has the structure, rather than a module or the program.
	Kernel(structure string) bool
}

// ObjectField is a part of a structure: a number, or with Type the address of another structure.
type ObjectField struct {
	Name, Type string
	// RCU says that RCU protects the address (__rcu).
	RCU bool
	// Union says that the address is in a union, so that another member may be there.
	Union bool
}

// Owned is what a program's BTF says of the structures that it allocates objects of.
type Owned interface {
	// Struct returns the structure with a type id, nil if there is none. It is not to be changed.
	Struct(id int64) *OwnedStruct
	// Load returns why size bytes at off of that structure cannot be loaded, nil if they can.
	Load(id int64, off, size int64) error
}

// OwnedStruct is a structure of which a program allocates objects.
type OwnedStruct struct {
	Name    string
	Size    int64   // in bytes
	Special Special // the parts that only helpers and kernel functions touch
	Numbers bool    // it holds nothing but numbers
}
