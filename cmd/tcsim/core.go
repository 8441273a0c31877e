// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/scenarios"
)

// hostCore is the name of the core that was learned from this machine.
const hostCore = "host"

func coreFlag() cli.Flag {
	return &cli.StringFlag{Name: "core", Usage: "core to model: " + coreNames()}
}

// coreNames says what --core takes.
func coreNames() string {
	return strings.Join(timing.CoreNames(), ", ") + " (default the first), a core file, or " + hostCore + ": what cycles --learn wrote"
}

// hostCorePath is the file of the core named host.
func hostCorePath() (string, error) {
	dir, err := os.UserConfigDir()
	return filepath.Join(dir, "tcsim", "host.yaml"), err
}

// coresFlag is coreFlag for several cores.
func coresFlag() cli.Flag {
	return &cli.StringFlag{Name: "core", Usage: "cores to model, separated by commas: " + coreNames()}
}

// coresOf returns the cores that --core names, at least one.
func coresOf(cmd *cli.Command) ([]*timing.Core, error) {
	var cores []*timing.Core
	var errs []error
	for _, name := range strings.Split(cmd.String("core"), ",") {
		core, err := findCore(name)
		cores, errs = append(cores, core), append(errs, err)
	}
	return cores, errors.Join(errs...)
}

// coreOf returns the core that --core names.
func coreOf(cmd *cli.Command) (*timing.Core, error) { return findCore(cmd.String("core")) }

// findCore returns a built-in core, the core of a file, or that of this machine.
func findCore(name string) (*timing.Core, error) {
	path := name
	switch {
	case name == "" || slices.Contains(timing.CoreNames(), name):
		return timing.CoreNamed(name)
	case name == hostCore:
		var err error
		if path, err = hostCorePath(); err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return nil, badUsage("--core host: no core was learned on this machine (tcsim cycles --host --learn): %w", err)
		}
	case !strings.ContainsAny(name, "./"):
		_, err := timing.CoreNamed(name)
		return nil, badUsage("--core: %w, or a core file", err)
	}
	src, err := scenarios.ReadFile(path, scenarios.MaxFile)
	if err != nil {
		return nil, badInput(fmt.Errorf("--core: %w", err))
	}
	core, err := timing.ReadCore(path, src)
	if err != nil {
		return nil, badInput(err)
	}
	return core, nil
}
