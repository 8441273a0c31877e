// SPDX-License-Identifier: GPL-2.0-only

package inputs

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/files"
	"github.com/tcsim/tcsim/scenarios/inkernel"
	"github.com/tcsim/tcsim/scenarios/object"
)

// Order is what a kernel is asked to compile.
type Order struct {
	Scenarios []capture.Scenario
	Built     []*scenarios.Built // of each scenario
	Left      []string           // what no kernel can do, with the reason
}

// Orders reads scenario files, built-in scenarios, object files and directories of these.
func Orders(args []string) (*Order, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("no scenario given; %q means all built-in ones", Library)
	}
	o := &Order{}
	var errs []error
	for _, a := range args {
		paths, err := Expand(a, ScenarioFiles)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, p := range paths {
			if err := o.add(p); err != nil {
				errs = append(errs, err)
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(o.Scenarios) == 0 {
		return nil, fmt.Errorf("nothing to capture in %v %v", args, o.Left)
	}
	return o, nil
}

// add adds one scenario or object file.
func (o *Order) add(arg string) error {
	b, text, err := source(arg)
	if err != nil {
		return err
	}
	sc, err := inkernel.Order(b, text)
	var left inkernel.LeftOut
	switch {
	case errors.As(err, &left):
		o.Left = append(o.Left, left.Error())
		return nil
	case err != nil:
		return err
	}
	for i := range o.Scenarios {
		if o.Scenarios[i].Name == sc.Name {
			return fmt.Errorf("%s: another scenario is named %s already", arg, sc.Name)
		}
	}
	o.Scenarios = append(o.Scenarios, sc)
	o.Built = append(o.Built, b)
	return nil
}

// source reads a scenario or an object file, and returns the text that the capture keeps of it.
func source(arg string) (*scenarios.Built, []byte, error) {
	if !object.IsFile(arg) {
		b, err := object.Load(arg, object.Options{})
		if err != nil {
			return nil, nil, err
		}
		_, text, err := files.Find(arg)
		return b, text, err
	}
	f, err := object.Open(arg, object.ReadOptions{})
	if err != nil {
		return nil, nil, err
	}
	text, err := files.ReadFile(arg, files.MaxFile)
	if err != nil {
		return nil, nil, err
	}
	b, err := inkernel.ObjectRuns(f)
	return b, text, err
}
