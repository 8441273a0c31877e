// SPDX-License-Identifier: GPL-2.0-only

// Package spare keeps memory that nothing refers to any more for who needs more of it.
//
//	s := list.Take() // as it was left, or zero
//	list.Keep(s)
//	list.Reset() // all that was taken
package spare

import "unsafe"

const (
	// least is how many values are allocated together at first. The next time these are twice as many, and so on for some times.
	least, times = 16, 5
	// kept is how many bytes a list keeps when all of them are spare.
	kept = 16 << 20
)

// List is memory for values of a type. The zero value has none.
type List[T any] struct {
	spare []*T
	parts [][]T // everything that was allocated, in parts that grow
	part  int   // those before it are taken
	n     int   // of it so many are taken
}

// Take takes memory that was kept, or some more if there is none.
func (l *List[T]) Take() *T {
	if n := len(l.spare) - 1; n >= 0 {
		t := l.spare[n]
		l.spare = l.spare[:n]
		return t
	}
	if l.part < len(l.parts) && l.n == len(l.parts[l.part]) {
		l.part, l.n = l.part+1, 0
	}
	if l.part == len(l.parts) {
		l.parts = append(l.parts, make([]T, least<<min(len(l.parts), times)))
	}
	l.n++
	return &l.parts[l.part][l.n-1]
}

// Keep takes back what nothing refers to any more.
func (l *List[T]) Keep(t *T) { l.spare = append(l.spare, t) }

// Reset takes everything back.
func (l *List[T]) Reset() {
	var t T
	size, i := 0, 0
	for i < len(l.parts) && size < kept {
		size += len(l.parts[i]) * int(unsafe.Sizeof(t))
		i++
	}
	clear(l.parts[i:])
	*l = List[T]{spare: l.spare[:0], parts: l.parts[:i]}
}
