// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/kernel"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
)

// Raw compiles one program without maps and runs it with R1 pointing to memory and R2 its length,
// R1 being 0 if there is none. It returns R0. Code that is never reached is dropped; a fault is an
// error.
func Raw(ctx context.Context, p *bpf.Program, t *jit.Target, memory []byte) (r0 uint64, err error) {
	raw := *p
	raw.Type = bpf.Kprobe // whose context is memory as it is
	lenient := *t
	lenient.Verifier.Lenient = true
	lenient.Verifier.PrivateStack = false // a kprobe in name only
	plan := kernel.NewPlan(t.Offsets, nil)
	img, err := compile(&raw, &lenient, plan)
	if err != nil {
		return 0, err
	}
	m, err := emu.New(emu.Config{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	s := guest.Setup{Images: []*image.Image{img}, Symbols: plan.Symbols(), Routines: plan.Routines(), Offsets: t.Offsets, Tramp: t.Emit.Tramp}
	run := emu.Run{Level: emu.LevelSites, MaxInsns: DefaultMaxInsns, Args: []uint64{0, 0}}
	if len(memory) > 0 {
		s.Data = []guest.Region{{Addr: guest.ContextAddr, Bytes: memory}}
		run.Args = []uint64{uint64(guest.ContextAddr), uint64(len(memory))}
	}
	if err := m.Load(s); err != nil {
		return 0, err
	}
	res, err := m.Run(ctx, run)
	if err != nil {
		return 0, err
	}
	if res.Stop != emu.StopReturn {
		return 0, fmt.Errorf("the program did not end: %v after %d instructions", res.Stop, res.Retired)
	}
	return res.Return(), nil
}
