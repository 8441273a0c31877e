// SPDX-License-Identifier: GPL-2.0-only

package inkernel

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/scenarios"
)

// Programs are those of a scenario in a real kernel, loaded and not yet run; live.Loaded is that. What a
// kernel refuses is a capture.Errno.
type Programs interface {
	Fill() error // puts programs into prog arrays as the scenario begins
	Run(prog int, packet, ctx []byte) (uint32, error)
	Insert(m int, key []byte, prog int) error
	Store(m int, key, value []byte) error
	StoreMap(m int, key []byte, inner int) error // into a map of maps
	Delete(m int, key []byte) error
	Attach(prog int) error // to the function that it is for
	Detach(prog int) error
	Lookup(m int, key []byte) ([]byte, error)
	Values() ([]capture.MapValue, error)
}

const ethHeader = 14 // bytes

// longEnough returns a packet with zeroes appended up to what a test run takes (net/bpf/test_run.c): an
// Ethernet header, and the header after it in packets that say that they are of IP, which 6.18 demands.
func longEnough(packet []byte) []byte {
	const ip, ip6 = 0x0800, 0x86dd
	size := ethHeader
	if len(packet) >= ethHeader {
		switch binary.BigEndian.Uint16(packet[12:]) {
		case ip:
			size += 20
		case ip6:
			size += 40
		}
	}
	if len(packet) >= size {
		return packet
	}
	return append(packet[:len(packet):len(packet)], make([]byte, size-len(packet))...)
}

// contextSize is the size of struct __sk_buff as far as fields of scenarios lie in it.
const contextSize = 192

// Play does what a scenario says in a real kernel and returns what each run gave, and what the kernel
// refused.
func Play(p Programs, b *scenarios.Built) ([]capture.Played, error) {
	for _, v := range b.Values {
		if b.Maps[v.Map].Frozen != "" {
			continue // it has its value since it was made
		}
		if err := storeIn(p, b, v.Map, v.Key, v.Off, v.Data); err != nil {
			return nil, err
		}
	}
	for _, in := range b.Inner {
		if err := p.StoreMap(in.Map, in.Key, in.Inner); err != nil {
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
			var no capture.Errno
			if errors.As(err, &no) {
				out = append(out, capture.Played{Action: i, Error: string(no)})
			} else if err != nil {
				return nil, fmt.Errorf("action %d: %w", i, err)
			}
			continue
		}
		r := capture.Played{Action: i}
		var err error
		if r.Retval, err = p.Run(a.Program, longEnough(a.Packet), contextOf(a)); err != nil {
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
	case scenarios.ActAttach:
		return p.Attach(a.By)
	case scenarios.ActReplace:
		if a.Program >= 0 {
			return p.Attach(a.Program)
		}
		return p.Detach(replacing(b, a))
	}
	return p.Delete(a.Map, a.Key)
}

// replacing returns the program that replaces the function of an event that ends that; -1 if none does at
// any time.
func replacing(b *scenarios.Built, a *scenarios.Action) int {
	for i := range b.Actions {
		if by := &b.Actions[i]; by.Kind == scenarios.ActReplace && by.Program >= 0 && by.Replaced == a.Replaced && by.Func == a.Func {
			return by.Program
		}
	}
	return -1
}

// storeIn writes a part of a map value.
func storeIn(p Programs, b *scenarios.Built, m int, key []byte, off int, data []byte) error {
	v := make([]byte, b.Maps[m].ValueSize)
	if b.Maps[m].Type == bpf.ArrayMap {
		old, err := p.Lookup(m, key)
		if err != nil {
			return err
		}
		copy(v, old)
	}
	copy(v[off:], data)
	return p.Store(m, key, v)
}
