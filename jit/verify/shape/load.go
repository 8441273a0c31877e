// SPDX-License-Identifier: GPL-2.0-only

package shape

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/protos"
)

// Loadable returns the functions' bounds of a program as users write it, or why a kernel refuses it before it follows paths.
func Loadable(p *bpf.Program, v *kernels.Verifier) ([]FuncInfo, error) {
	funcs, err := Form(p, 11, !v.Lenient)
	if err == nil && v.AllFields && !v.Lenient {
		err = Fields(p)
	}
	if err == nil && !v.Lenient {
		err = Reachable(p)
	}
	if err == nil && !v.Lenient && !v.NoMix {
		err = Results(p, funcs)
	}
	if err == nil {
		err = attaches(p, v)
	}
	if err == nil {
		err = mapKeys(p, v)
	}
	if err == nil {
		err = Exceptions(p)
	}
	return funcs, err
}

// attaches refuses what programs of a type are not attached to (check_attach_btf_id).
func attaches(p *bpf.Program, v *kernels.Verifier) error {
	switch {
	case v.HookResults && p.Type == bpf.LSM && protos.HookDisabled(p.AttachTo):
		return fmt.Errorf("attach_btf_id of bpf_lsm_%s points to disabled hook", p.AttachTo)
	case p.Type == bpf.Tracing && p.AttachType == protos.AttachRawTP && p.Sleepable && p.AttachTo != "sys_enter" && p.AttachTo != "sys_exit":
		return fmt.Errorf("sleepable program cannot attach to non-faultable tracepoint %s", p.AttachTo)
	case v.OwnSleep && p.Type == bpf.LSM && p.AttachType == protos.AttachLSMCGroup && p.Sleepable:
		return errors.New("program of this type cannot be sleepable")
	}
	return nil
}

// mapKeys refuses maps whose keys are longer than the kernel takes.
func mapKeys(p *bpf.Program, v *kernels.Verifier) error {
	for _, m := range p.MapsUsed() {
		if m < len(p.Maps) && v.ShortKeys && p.Maps[m].KeySize > MaxStack {
			return fmt.Errorf("map %s has keys of %d bytes: the kernel makes none of more than %d (E2BIG)", p.Maps[m].Name, p.Maps[m].KeySize, MaxStack)
		}
	}
	return nil
}
