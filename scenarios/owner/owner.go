// SPDX-License-Identifier: GPL-2.0-only

// Package owner knows which programs a prog array takes: the kind of its owner decides.
package owner

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
)

// ErrForeign is wrapped by the errors of programs that a kernel keeps out of a prog array, with -EINVAL,
// because the array belongs to programs of another kind.
var ErrForeign = errors.New("the prog array belongs to programs of another kind (EINVAL)")

// Owners are whom prog arrays belong to: the kind of the first program that uses an array or is put into
// it (kernel/bpf/core.c: bpf_prog_map_compatible). The zero value of a kernels.Policy is a kernel that
// asks for the program type only.
type Owners struct {
	b      *scenarios.Built
	policy kernels.Policy
	owner  map[int]int // program that an array belongs to, by map
}

// NewOwners loads the programs of b in order, and puts what b.Slots says into the arrays. The error names
// every program that the kernel refuses; each wraps ErrForeign.
func New(b *scenarios.Built, policy kernels.Policy) (*Owners, error) {
	o := &Owners{b: b, policy: policy, owner: map[int]int{}}
	var errs []error
	for i := range b.Programs {
		p := &b.Programs[i]
		for _, m := range p.MapsUsed() {
			if m < len(b.Maps) && b.Maps[m].Type == bpf.ProgArray {
				if err := o.Enter(m, i); err != nil {
					errs = append(errs, fmt.Errorf("program %s uses %s: %w", p.Name, b.Maps[m].Name, err))
				}
			}
		}
	}
	for _, s := range b.Slots {
		if err := o.Enter(s.Map, s.Program); err != nil {
			errs = append(errs, fmt.Errorf("%s[%d]: %w", b.Maps[s.Map].Name, s.Key, err))
		}
	}
	return o, errors.Join(errs...)
}

// Enter asks whether a program may use a prog array or be put into it, and makes it the owner of an array
// that has none.
func (o *Owners) Enter(m, prog int) error {
	first, ok := o.owner[m]
	if !ok {
		o.owner[m] = prog
		return nil
	}
	a, b := &o.b.Programs[first], &o.b.Programs[prog]
	differ := ""
	switch tracing := b.Type == bpf.Tracing || b.Type == bpf.LSM || b.Type == bpf.Extension || b.Type == bpf.StructOps; {
	case a.Type != b.Type:
		differ = fmt.Sprintf("is a program of type %s, %s of type %s", b.Type, a.Name, a.Type)
	case a.Frags != b.Frags:
		differ = fmt.Sprintf("and %s differ in whether they know packets of several fragments", a.Name)
	case o.policy.OwnerSleepable && a.Sleepable != b.Sleepable:
		differ = fmt.Sprintf("and %s differ in whether they may sleep", a.Name)
	case o.policy.OwnerAttachType && a.AttachType != b.AttachType:
		differ = fmt.Sprintf("has expected attach type %d, %s has %d", b.AttachType, a.Name, a.AttachType)
	case tracing && a.AttachTo != b.AttachTo:
		differ = fmt.Sprintf("is attached to %s, %s to %s", b.AttachTo, a.Name, a.AttachTo)
	default:
		return nil
	}
	return fmt.Errorf("%s %s: %w", b.Name, differ, ErrForeign)
}

// Clone returns owners that change apart from these.
func (o *Owners) Clone() *Owners {
	c := &Owners{b: o.b, policy: o.policy, owner: make(map[int]int, len(o.owner))}
	for m, p := range o.owner {
		c.owner[m] = p
	}
	return c
}
