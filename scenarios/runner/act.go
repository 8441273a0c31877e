// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/scenarios"
)

// updated performs an update and compares its result.
func (t *Timeline) updated(a *scenarios.Action) (*Update, error) {
	s := t.s
	err := t.holds.act(a)
	var poke *check.PokeError
	switch {
	case errors.As(err, &poke):
		u := Update{What: describe(s.c.Built, a), Violation: poke.Violation(s.m.Code)}
		u.Mismatches = s.judgeUpdate(a, string(u.Violation.Invariant))
		u.Foreseen = len(u.Mismatches) == 0
		return &u, nil
	case err != nil && !isErrno(err):
		return nil, err
	}
	found := ""
	if err != nil {
		found = err.Error()
	} else if err := s.ref.act(a); err != nil {
		return nil, fmt.Errorf("reference interpreter: %w", err)
	}
	u := Update{What: describe(s.c.Built, a), Errno: found, Mismatches: s.judgeUpdate(a, "")}
	if want := a.ErrnoOf(scenarios.TargetNames(s.c.Target)...); found != want {
		u.Mismatches = append(u.Mismatches, s.c.Built.Mismatch(a, orSuccess(want), orSuccess(found)))
	}
	return &u, nil
}

// describe says in a few words what an update does.
func describe(b *scenarios.Built, a *scenarios.Action) string {
	program := func(n int) string {
		if n < 0 {
			return "none"
		}
		return b.Programs[n].Name
	}
	if a.Kind == scenarios.ActReplace {
		p := &b.Programs[a.Replaced]
		return fmt.Sprintf("replace %s:%s by %s", p.Name, p.Funcs[a.Func].Name, program(a.Program))
	}
	if a.Kind == scenarios.ActAttach {
		return fmt.Sprintf("attach %s to %s:%s", program(a.By), program(a.Program), b.Programs[a.Program].Funcs[a.Func].Name)
	}
	key := fmt.Sprintf("%#x", a.Key)
	if len(a.Key) == 4 {
		key = fmt.Sprint(binary.LittleEndian.Uint32(a.Key))
	}
	slot := fmt.Sprintf("%s[%s]", b.Maps[a.Map].Name, key)
	switch a.Kind {
	case scenarios.ActDelete:
		return "delete " + slot
	case scenarios.ActInsert:
		return fmt.Sprintf("put %s into %s", program(a.Program), slot)
	}
	return "update " + slot
}

// judgeUpdate compares what an update broke, "" for nothing, with what its event expects.
func (s *Session) judgeUpdate(a *scenarios.Action, violation string) []scenarios.Mismatch {
	return s.c.Built.Check(a, &scenarios.Outcome{Violation: violation}, scenarios.TargetNames(s.c.Target)...)
}

func orSuccess(errno string) string {
	if errno == "" {
		return "success"
	}
	return errno
}

func isErrno(err error) bool {
	var e guest.Errno
	return errors.As(err, &e)
}

// act does what an event of the scenario says that is no run. An error of the kernel's is a guest.Errno, one of
// its BUGs a check.PokeError.
func (h *holdings) act(a *scenarios.Action) error {
	if a.Kind == scenarios.ActReplace {
		return h.replace(a)
	}
	switch a.Kind {
	case scenarios.ActAttach:
		return h.attach(a)
	case scenarios.ActInsert:
		if err := h.mayInsert(SlotOf(a), a.Program); err != nil {
			return err
		}
		_, err := h.setSlot(SlotOf(a), a.Program)
		return err
	case scenarios.ActStore:
		return h.store(a.Map, a.Key, a.Off, a.Data)
	case scenarios.ActDelete:
		if h.c.Built.Maps[a.Map].Type != bpf.ProgArray {
			return h.m.DeleteElem(a.Map, a.Key)
		}
		if SlotOf(a).Key >= h.c.Built.Maps[a.Map].MaxEntries {
			return guest.E2BIG // fd_array_map_delete_elem
		}
		had, err := h.setSlot(SlotOf(a), -1)
		if err == nil && !had {
			return guest.ENOENT // fd_array_map_delete_elem finds no old program
		}
		return err
	}
	panic(fmt.Sprintf("BUG: action kind %d", a.Kind))
}

// store writes part of a map value.
func (h *holdings) store(m int, key []byte, off int, data []byte) error {
	v, err := h.m.LookupElem(m, key)
	if errors.Is(err, guest.ENOENT) {
		v, err = make([]byte, h.c.Built.Maps[m].ValueSize), nil
	}
	if err != nil {
		return err
	}
	copy(v[off:], data)
	return h.m.UpdateElem(m, key, v, guest.UpdateAny)
}

// SlotOf returns the slot that an event of a prog array changes.
func SlotOf(a *scenarios.Action) Slot { return Slot{a.Map, binary.LittleEndian.Uint32(a.Key)} }
