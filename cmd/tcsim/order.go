// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/inkernel"
	"github.com/tcsim/tcsim/scenarios/object"
)

// order is what a kernel is asked to compile.
type order struct {
	scenarios []capture.Scenario
	built     []*scenarios.Built // of each scenario
	left      []string           // what no kernel can do, with the reason
}

// wholeLibrary is the argument that means all built-in scenarios.
const wholeLibrary = "library"

// orders reads scenario files, built-in scenarios, object files and directories of these.
func orders(args []string) (*order, error) {
	if len(args) == 0 {
		return nil, badUsage("no scenario given; %q means all built-in ones", wholeLibrary)
	}
	o := &order{}
	var errs []error
	for _, a := range args {
		paths, err := expand(a, scenarioFiles)
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
		return nil, badInput(err)
	}
	if len(o.scenarios) == 0 {
		return nil, badUsage("nothing to capture in %v %v", args, o.left)
	}
	return o, nil
}

// add adds one scenario or object file.
func (o *order) add(arg string) error {
	b, text, err := orderSource(arg)
	if err != nil {
		return err
	}
	sc, err := inkernel.Order(b, text)
	var left inkernel.LeftOut
	switch {
	case errors.As(err, &left):
		o.left = append(o.left, left.Error())
		return nil
	case err != nil:
		return err
	}
	for i := range o.scenarios {
		if o.scenarios[i].Name == sc.Name {
			return fmt.Errorf("%s: another scenario is named %s already", arg, sc.Name)
		}
	}
	o.scenarios = append(o.scenarios, sc)
	o.built = append(o.built, b)
	return nil
}

// orderSource reads a scenario or an object file, and returns the text that the capture keeps of it.
func orderSource(arg string) (*scenarios.Built, []byte, error) {
	if !object.IsFile(arg) {
		b, err := object.Load(arg, object.Options{})
		if err != nil {
			return nil, nil, err
		}
		_, text, err := scenarios.Find(arg)
		return b, text, err
	}
	f, err := object.Open(arg, object.ReadOptions{})
	if err != nil {
		return nil, nil, err
	}
	text, err := scenarios.ReadFile(arg, scenarios.MaxFile)
	if err != nil {
		return nil, nil, err
	}
	b, err := inkernel.ObjectRuns(f)
	return b, text, err
}
