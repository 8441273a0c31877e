// SPDX-License-Identifier: GPL-2.0-only

// Package spare keeps memory that nothing refers to any more for who needs more of it.
//
//	s := list.Take() // as it was left, or zero
//	list.Keep(s)
package spare

// Most is how much a list keeps.
const Most = 2048

// List is memory for values of a type. The zero value has none.
type List[T any] []*T

// Take takes the last of a list, which gets some more if it is empty.
func (l *List[T]) Take() *T {
	if len(*l) == 0 {
		some := make([]T, 16)
		for i := range some {
			*l = append(*l, &some[i])
		}
	}
	n := len(*l) - 1
	t := (*l)[n]
	*l = (*l)[:n]
	return t
}

// Keep takes back what nothing refers to any more.
func (l *List[T]) Keep(t *T) {
	if !l.Full() {
		*l = append(*l, t)
	}
}

// Full reports whether the list keeps no more.
func (l *List[T]) Full() bool { return len(*l) >= Most }
