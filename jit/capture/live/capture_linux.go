// SPDX-License-Identifier: GPL-2.0-only

package live

import (
	"context"
	"errors"

	"github.com/tcsim/tcsim/jit/capture"
)

// Capture loads scenarios in submitted form one after the other, records what the kernel makes of
// each and unloads it. Nothing runs. progress is called after each and may be nil. A scenario that
// cannot be set up has its Error set.
func (k *Kernel) Capture(ctx context.Context, scenarios []capture.Scenario, progress func(done int)) (*capture.File, error) {
	for i := range scenarios {
		if err := ctx.Err(); err != nil {
			if i == 0 {
				return nil, err
			}
			return k.File(scenarios[:i]), err
		}
		if err := k.record(&scenarios[i]); err != nil {
			scenarios[i].Error = err.Error()
			strip(&scenarios[i])
		}
		if progress != nil {
			progress(i + 1)
		}
	}
	return k.File(scenarios), nil
}

// File makes a capture of scenarios that were captured.
func (k *Kernel) File(scenarios []capture.Scenario) *capture.File {
	f := &capture.File{Header: k.Header, Scenarios: scenarios}
	f.Header.Scenarios = len(scenarios)
	f.Symbols = k.Symbols(scenarios)
	return f
}

func (k *Kernel) record(sc *capture.Scenario) error {
	l, err := k.Load(sc)
	if err != nil {
		return err
	}
	err = l.Record()
	return errors.Join(err, l.Close())
}

// strip takes back what was recorded of a scenario that failed, so that it is no half-made one.
func strip(sc *capture.Scenario) {
	sc.Trampolines = nil
	for i := range sc.Progs {
		p := &sc.Progs[i]
		text := p.LoadError
		if text == "" {
			text = "not captured: " + sc.Error
		}
		*p = capture.Prog{
			Name: p.Name, Insns: p.Insns, Kfuncs: p.Kfuncs, Type: p.Type, AttachType: p.AttachType, AttachTo: p.AttachTo,
			Sleepable: p.Sleepable, Frags: p.Frags, LoadError: text,
		}
	}
}
