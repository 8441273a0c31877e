// SPDX-License-Identifier: GPL-2.0-only

package guest

import (
	"errors"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
)

// Queues and stacks (kernel/bpf/queue_stack_maps.c). The header of the elements has the number of the oldest and how many there
// are; they follow each other from the oldest on, and go on at the first place after the last.

func (g *Map) queued(s *Memory) (oldest, count uint64, err error) {
	oldest, err = s.ReadWord(g.Elems - hashHeader)
	if err != nil {
		return 0, 0, err
	}
	count, err = s.ReadWord(g.Elems - hashHeader + 8)
	return oldest, count, err
}

func (g *Map) setQueued(s *Memory, oldest, count uint64) error {
	return errors.Join(s.WriteWord(g.Elems-hashHeader, oldest), s.WriteWord(g.Elems-hashHeader+8, count))
}

// queueElem is the element that is i after the oldest.
func (g *Map) queueElem(oldest, i uint64) image.Addr {
	return g.Elems + image.Addr((oldest+i)%uint64(g.MaxEntries)*g.size)
}

// Push adds a value to a queue or a stack; with UpdateExist the oldest gives way if it is full. A refusal is an Errno.
func (g *Map) Push(s *Memory, value []byte, flags UpdateFlags) error {
	oldest, count, err := g.queued(s)
	switch {
	case err != nil:
		return err
	case flags&UpdateNoExist != 0 || flags > UpdateExist:
		return EINVAL
	case count == uint64(g.MaxEntries) && flags != UpdateExist:
		return E2BIG
	case count == uint64(g.MaxEntries):
		oldest, count = (oldest+1)%count, count-1
	}
	return errors.Join(s.Write(g.queueElem(oldest, count), value), g.setQueued(s, oldest, count+1))
}

// Pop returns the value that is next, the oldest of a queue and the newest of a stack, and takes it out if take says so. An empty one
// is ENOENT.
func (g *Map) Pop(s *Memory, take bool) ([]byte, error) {
	oldest, count, err := g.queued(s)
	if err != nil {
		return nil, err
	}
	if count == 0 {
		return nil, ENOENT
	}
	at := g.queueElem(oldest, 0)
	next := (oldest + 1) % uint64(g.MaxEntries)
	if g.Type == bpf.StackMap {
		at, next = g.queueElem(oldest, count-1), oldest
	}
	v := make([]byte, g.ValueSize)
	if err := s.Read(at, v); err != nil || !take {
		return v, err
	}
	return v, g.setQueued(s, next, count-1)
}
