// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/scenarios"
)

// Programs are those of a scenario in a real kernel, loaded and not yet run; live.Loaded is that.
type Programs interface {
	Fill() error // puts programs into prog arrays as the scenario begins
	Run(prog int, packet, ctx []byte) (uint32, error)
	Insert(m int, key []byte, prog int) error
	Store(m int, key, value []byte) error
	Delete(m int, key []byte) error
	Lookup(m int, key []byte) ([]byte, error)
	Values() ([]capture.MapValue, error)
}

// Unsafe says why the programs of a captured scenario must not run in a real kernel, "" if they may:
// the emulator ran them first, and whoever breaks an invariant or a budget there does not run.
func (r *Replayer) Unsafe(ctx context.Context, c *Captured) (string, error) {
	if why := c.skip(); why != "" {
		return why, nil
	}
	if c.compiled == nil {
		return "the capture has no source of this scenario", nil
	}
	if slices.ContainsFunc(c.compiled.Built.Actions, func(a scenarios.Action) bool { return a.Interrupt != nil }) {
		return "nobody can interrupt a test run at a given moment", nil
	}
	s, err := open(r.m, c.compiled, r.opt)
	if err != nil {
		return "", err
	}
	res, err := s.Play(ctx)
	if errors.Is(err, jit.ErrUnsupported) {
		return err.Error(), nil
	}
	if err != nil {
		return "", err
	}
	if v := res.Violation(); v != nil {
		return "in the emulator it violates " + v.String(), nil
	}
	for i := range res.Runs {
		if k := res.Runs[i].Killed; k != "" {
			return "in the emulator it is ended by " + k, nil
		}
	}
	return "", nil
}

// minPacket is the shortest packet that a test run takes (net/bpf/test_run.c, ETH_HLEN).
const minPacket = 14

// contextSize is the size of struct __sk_buff as far as fields of scenarios lie in it.
const contextSize = 192

// PlayIn does what a scenario says in a real kernel and returns what each run gave.
func PlayIn(p Programs, b *scenarios.Built) ([]capture.Played, error) {
	for _, v := range b.Values {
		if err := storeIn(p, b, v.Map, v.Key, v.Off, v.Data); err != nil {
			return nil, err
		}
	}
	if err := p.Fill(); err != nil {
		return nil, err
	}
	var out []capture.Played
	for i := range b.Actions {
		a := &b.Actions[i]
		if a.Kind != scenarios.ActRun {
			err := act(p, b, a)
			if (err != nil) != (a.Event.Errno != "") {
				return nil, fmt.Errorf("action %d: expected errno %q: %w", i, a.Event.Errno, err)
			}
			continue
		}
		r := capture.Played{Action: i}
		packet := a.Packet
		if len(packet) < minPacket {
			packet = append(packet[:len(packet):len(packet)], make([]byte, minPacket-len(packet))...)
		}
		var err error
		if r.Retval, err = p.Run(a.Program, packet, contextOf(a)); err != nil {
			r.Error = err.Error()
		}
		if r.Values, err = p.Values(); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// contextOf is the context of a run as user space gives it, nil if the scenario sets no field.
func contextOf(a *scenarios.Action) []byte {
	if len(a.Context) == 0 {
		return nil
	}
	ctx := make([]byte, contextSize)
	for _, f := range a.Context {
		binary.LittleEndian.PutUint32(ctx[f.Off:], f.Value)
	}
	return ctx
}

func act(p Programs, b *scenarios.Built, a *scenarios.Action) error {
	switch a.Kind {
	case scenarios.ActInsert:
		return p.Insert(a.Map, a.Key, a.Program)
	case scenarios.ActStore:
		return storeIn(p, b, a.Map, a.Key, a.Off, a.Data)
	}
	return p.Delete(a.Map, a.Key)
}

// storeIn writes a part of a map value.
func storeIn(p Programs, b *scenarios.Built, m int, key []byte, off int, data []byte) error {
	v := make([]byte, b.Maps[m].ValueSize)
	if b.Maps[m].Type == jit.ArrayMap {
		old, err := p.Lookup(m, key)
		if err != nil {
			return err
		}
		copy(v, old)
	}
	copy(v[off:], data)
	return p.Store(m, key, v)
}
