// SPDX-License-Identifier: GPL-2.0-only

package imports

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/jit/image"
)

// Symbols are names and addresses of the kernel that a dump is of.
type Symbols struct {
	byAddr map[image.Addr][]string
	byName map[string]image.Addr // 0 if several things have the name
	progs  []image.Addr          // of functions of programs, in order
}

// ReadSymbols reads the text of /proc/kallsyms, or some lines of it. The error names the line, or says
// that the addresses are hidden.
func ReadSymbols(data []byte) (*Symbols, error) {
	s := NewSymbols()
	zero, lines := 0, 0
	var wrong mistakes
	for i, line := range strings.Split(string(data), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		lines++
		a, err := uint64(0), error(nil)
		if len(fields) < 3 || len(fields) > 4 || len(fields[1]) != 1 {
			err = fmt.Errorf("expected an address, a letter and a name as in /proc/kallsyms, found %.80q", line)
		} else if a, err = strconv.ParseUint(fields[0], 16, 64); err != nil {
			err = fmt.Errorf("%q is not an address", fields[0])
		}
		if err != nil {
			if !wrong.add(lineNo(i), err) {
				break
			}
			continue
		}
		if a == 0 {
			zero++
			continue
		}
		s.Add(image.Addr(a), fields[2])
		if strings.HasPrefix(fields[2], bpfPrefix) && len(fields) == 4 && fields[3] == "[bpf]" {
			s.progs = append(s.progs, image.Addr(a))
		}
	}
	switch {
	case len(wrong) > 0:
		return nil, wrong.join()
	case lines == 0:
		return nil, errors.New("no symbols")
	case zero > lines/2:
		return nil, errors.New("the addresses are 0: the kernel hides them (read /proc/kallsyms as root, with kernel.kptr_restrict=0)")
	}
	slices.SortFunc(s.progs, cmp.Compare)
	s.progs = slices.Compact(s.progs)
	return s, nil
}

// NewSymbols makes an empty table.
func NewSymbols() *Symbols {
	return &Symbols{byAddr: map[image.Addr][]string{}, byName: map[string]image.Addr{}}
}

// Add adds a symbol.
func (s *Symbols) Add(a image.Addr, name string) {
	if slices.Contains(s.byAddr[a], name) {
		return
	}
	s.byAddr[a] = append(s.byAddr[a], name)
	if old, ok := s.byName[name]; ok && old != a {
		a = 0
	}
	s.byName[name] = a
}

// Names returns the symbols at an address, in the order of the source. The caller must not change it.
func (s *Symbols) Names(a image.Addr) []string { return s.byAddr[a] }

// Elsewhere reports whether a name is known and is none of those at an address.
func (s *Symbols) Elsewhere(name string, a image.Addr) bool {
	_, known := s.byName[name]
	return known && !slices.Contains(s.byAddr[a], name)
}

// Name returns the first symbol at an address, "" if there is none.
func (s *Symbols) Name(a image.Addr) string {
	if n := s.byAddr[a]; len(n) > 0 {
		return n[0]
	}
	return ""
}

// prog returns the distance of a to the function of a program that begins last before it; ok is false
// if none does.
func (s *Symbols) prog(a image.Addr) (image.Addr, bool) {
	i, exact := slices.BinarySearch(s.progs, a)
	if exact {
		return 0, true
	}
	if i == 0 {
		return 0, false
	}
	return a - s.progs[i-1], true
}

// room returns how far the next function of a program is after that at a; 0 without one.
func (s *Symbols) room(a image.Addr) image.Addr {
	i, _ := slices.BinarySearch(s.progs, a+1)
	if i == len(s.progs) {
		return 0
	}
	return s.progs[i] - a
}
