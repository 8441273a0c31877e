// SPDX-License-Identifier: GPL-2.0-only

package explore

import (
	"context"
	"testing"

	"github.com/tcsim/tcsim/jit/image"
)

// TestFindsPointer: of a pointer all bytes count, also where it begins like a jump.
func TestFindsPointer(t *testing.T) {
	const at image.Addr = 0xffff888100000000
	s := &Script{
		Before: []Place{{Addr: at, Bytes: []byte{0xe9, 0, 0, 0, 0, 0, 0, 0}}},
		Steps:  []Step{{Kind: StepPointer, Addr: at, Bytes: []byte{0xe9, 0, 0, 0, 0, 1, 0, 0}}},
	}
	if b := s.behaviours(&Touch{Addr: at}); len(b) != 2 || b[0] == b[1] {
		t.Errorf("two pointers are one: %q", b)
	}
}

// over fails at its second instruction, and says of the one after it that it touches the place.
type over struct{ at image.Addr }

func (o over) Execute(context.Context, []Placement) (*Execution, error) {
	return &Execution{Insns: 2, Touches: []Touch{{Seq: 2, Addr: o.at}}, Failure: Failure{Name: "fail"}}, nil
}

// TestAfterTheEnd: what comes after the instruction at which a run failed decides nothing.
func TestAfterTheEnd(t *testing.T) {
	const at image.Addr = 0xffff888100000000
	s := &Script{
		Before: []Place{{Addr: at, Bytes: make([]byte, 8)}},
		Steps:  []Step{{Kind: StepPointer, Addr: at, Bytes: []byte{1}}},
	}
	r, err := Explore(context.Background(), over{at}, s, Options{})
	if err != nil || r.All.Classes != 1 || r.All.Schedules.Int64() != 3 {
		t.Errorf("%v, %+v", err, r)
	}
}
