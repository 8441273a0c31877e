// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"fmt"
	"strings"
	"sync"
)

// sources open targets whose names begin with a word and a colon.
var (
	sourcesMu sync.Mutex
	sources   = map[string]func(rest string) (*Target, error){}
)

// RegisterSource makes TargetByName give names that begin with prefix and a colon to open, without the two. It
// is how targets with an Emitter come to have names.
func RegisterSource(prefix string, open func(rest string) (*Target, error)) {
	sourcesMu.Lock()
	defer sourcesMu.Unlock()
	sources[prefix] = open
}

// fromSource opens a registered target: ok is false for other names.
func fromSource(name string) (t *Target, ok bool, err error) {
	prefix, rest, found := strings.Cut(name, ":")
	sourcesMu.Lock()
	open := sources[prefix]
	sourcesMu.Unlock()
	if !found || open == nil {
		return nil, false, nil
	}
	t, err = open(rest)
	if err != nil {
		return nil, true, fmt.Errorf("target %q: %w", name, err)
	}
	t.Name = name
	return t, true, nil
}

// Of returns a target with the code that t's Emitter makes and everything else as kernel has it.
func (t *Target) Of(kernel *Target) (*Target, error) {
	e, err := t.Emitter.For(kernel)
	if err != nil {
		return nil, err
	}
	of := *kernel
	of.Name, of.Source, of.Evidence, of.Design, of.Emitter = t.Name, t.Source, t.Evidence, t.Design, e
	return &of, nil
}
