// SPDX-License-Identifier: GPL-2.0-only

package shape

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/protos"
)

// licensed refuses what programs that are not under the GPL cannot be (check_struct_ops_btf_id, bpf_lsm_verify_prog), and calls
// of kernel functions in them (add_kfunc_call). What such a program must not call of helpers is known where a path leads to the
// call.
func licensed(p *bpf.Program) error {
	switch {
	case !p.NotGPL:
	case p.Type == bpf.StructOps:
		return errors.New("struct ops programs must have a GPL compatible license")
	case p.Type == bpf.LSM:
		return errors.New("LSM programs must have a GPL compatible license")
	}
	for i := bpf.InsnIndex(0); p.NotGPL && int(i) < len(p.Insns); i += p.Insns[i].Width() {
		if in := p.Insns[i]; in.Op == bpf.OpCall && in.Src == bpf.PseudoKfunc {
			return bpf.ErrorAt(p.Insns, i, errors.New("cannot call kernel function from non-GPL compatible program (char LICENSE[] SEC(\"license\") = \"GPL\")"))
		}
	}
	return nil
}

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
		err = exists(p, v)
	}
	if err == nil && !v.Lenient {
		err = licensed(p)
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

// exists refuses types of programs and of maps that the kernel does not have.
func exists(p *bpf.Program, v *kernels.Verifier) error {
	if v.ProgTypes > 0 && int32(p.Type) >= v.ProgTypes {
		return fmt.Errorf("the kernel has no programs of type %s: %w", p.Type, kernels.ErrUnsupported)
	}
	for _, m := range p.MapsUsed() {
		if m < len(p.Maps) && v.MapTypes > 0 && int32(p.Maps[m].Type) >= v.MapTypes {
			return fmt.Errorf("the kernel has no maps of type %d (map %s): %w", p.Maps[m].Type, p.Maps[m].Name, kernels.ErrUnsupported)
		}
	}
	return nil
}

// maySleep says whether programs of the type may sleep (can_be_sleepable; of functions in 5.10, too).
func maySleep(p *bpf.Program, v *kernels.Verifier) bool {
	switch p.Type {
	case bpf.Tracing:
		return p.AttachType != protos.AttachRawTP || !v.SleepingOps || v.SleepingTracepoints
	case bpf.LSM, bpf.Syscall:
		return true
	case bpf.Kprobe:
		return v.SleepingProbes
	case bpf.StructOps:
		return v.SleepingOps
	case bpf.RawTracepoint, bpf.Tracepoint:
		return v.SleepingTracepoints
	}
	return false
}

// attaches refuses what programs of a type are not attached to (check_attach_btf_id).
func attaches(p *bpf.Program, v *kernels.Verifier) error {
	switch {
	case p.Sleepable && !v.Lenient && !maySleep(p, v):
		return errors.New("program of this type cannot be sleepable")
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
