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
	"github.com/tcsim/tcsim/jit/nearest"
	"github.com/tcsim/tcsim/scenarios/files"
)

func coreFlag() cli.Flag {
	return &cli.StringFlag{Name: "core", Usage: "core to model: " + coreNames()}
}

// coreNames says what --core takes.
func coreNames() string {
	return strings.Join(timing.CoreNames(), ", ") + " (default the first), host (as learned here), or a core file"
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
		core, err := findCore(strings.TrimSpace(name))
		cores, errs = append(cores, core), append(errs, err)
	}
	return cores, errors.Join(errs...)
}

// coreOf returns the core that --core names.
func coreOf(cmd *cli.Command) (*timing.Core, error) { return findCore(cmd.String("core")) }

// hostCore names the core that cycles --host --learn -o host wrote.
const hostCore = "host"

// hostCoreFile is where it lies.
func hostCoreFile() (string, error) {
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "tcsim", hostCore+".yaml"), err
}

// findCore returns a built-in core, the one that was learned here, or the core of a file.
func findCore(name string) (*timing.Core, error) {
	if name == hostCore {
		path, err := hostCoreFile()
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return nil, badUsage("--core host: this processor was not learned yet: tcsim cycles --host --learn -o host does it (%w)", err)
		}
		name = path
	}
	switch {
	case name == "" || slices.Contains(timing.CoreNames(), name):
		return timing.CoreNamed(name)
	case !strings.ContainsAny(name, "./"):
		_, err := timing.CoreNamed(name)
		return nil, badUsage("--core: %w, or a core file%s", err, nearest.DidYouMean(name, timing.CoreNames()))
	}
	src, err := files.ReadFile(name, files.MaxFile)
	if err != nil {
		return nil, badInput(fmt.Errorf("--core: %w", err))
	}
	core, err := timing.ReadCore(name, src)
	if err != nil {
		return nil, badInput(err)
	}
	return core, nil
}
