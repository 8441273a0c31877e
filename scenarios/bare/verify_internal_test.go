// SPDX-License-Identifier: GPL-2.0-only

package bare

import (
	"errors"
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios/object"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// TestVerify: a pointer or an instruction that was moved wrongly is found.
func TestVerify(t *testing.T) {
	b, err := object.Load("tailcall_3", object.Options{})
	if err != nil {
		t.Fatal(err)
	}
	target, err := jit.TargetByName("6.12")
	if err != nil {
		t.Fatal(err)
	}
	c, err := runner.Compile(b, target)
	if err != nil {
		t.Fatal(err)
	}
	s, err := runner.Open(c, runner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m, err := emu.New(emu.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	r, err := observe(t.Context(), s, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.layOut(); err != nil {
		t.Fatal(err)
	}
	q, err := r.sequence()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.verify(t.Context(), m, q); err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for n := 5; n < 8; n++ { // bytes of the call to the entry
		q.Code[n-1] ^= 4
		if err := r.verify(t.Context(), m, q); errors.Is(err, ErrNeedsKernel) {
			wrong++
		}
		q.Code[n-1] ^= 4
	}
	if wrong != 3 {
		t.Errorf("%d of 3 wrong calls were found", wrong)
	}
	q.Stack.Addr -= 1 << 20
	if err := r.verify(t.Context(), m, q); !errors.Is(err, ErrNeedsKernel) {
		t.Errorf("a stack elsewhere: %v", err)
	}
}
