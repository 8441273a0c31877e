// SPDX-License-Identifier: GPL-2.0-only

package bpf

// Objects is what a kernel's BTF says of its structures.
type Objects interface {
	// Field returns what size bytes at off of a structure are. The error says why they cannot be loaded; known is false if
	// the structure is not known, or what it holds there is nothing that this says.
	Field(structure string, off, size int64) (f ObjectField, known bool, err error)
}

// ObjectField is a part of a structure: a number, or with Type the address of another structure.
type ObjectField struct {
	Name, Type string
	// RCU says that RCU protects the address (__rcu).
	RCU bool
}
