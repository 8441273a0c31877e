// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/emu/count"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/source"
	"github.com/tcsim/tcsim/jit/source/compiler"
	"github.com/tcsim/tcsim/jit/source/ktree"
)

// sourceFlags are what can be said of all targets that are kernel sources. It goes into their names, so
// that everything that is given a name is given it.
type sourceFlags struct {
	version string
	config  string
	extra   []string
	noCache bool
}

// flags declares them for every command.
func (s *sourceFlags) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: "kernel-version", Destination: &s.version,
			Usage: "of targets src:FILE.c: the kernel that the file is of, such as 6.12",
		},
		&cli.StringFlag{
			Name: "kernel-config", Destination: &s.config,
			Usage: "of targets src:...: the .config of the kernel, if it is not in the tree",
		},
		&cli.StringSliceFlag{
			Name: "extra", Destination: &s.extra,
			Usage: "of targets src:...: a C file to compile with the JIT, for routines that a patch puts elsewhere",
		},
		&cli.BoolFlag{Name: "no-cache", Destination: &s.noCache, Usage: "of targets src:...: compile again, and keep nothing"},
	}
}

// complete adds the flags to a target's name, if it is that of a kernel source.
func (s *sourceFlags) complete(name string) (string, error) {
	rest, ok := strings.CutPrefix(name, source.Prefix+":")
	if !ok || s == nil {
		return name, nil
	}
	spec, err := source.ParseSpec(rest)
	if err != nil {
		return "", err
	}
	if s.version != "" {
		if spec.Version, err = ktree.ParseVersion(s.version); err != nil {
			return "", err
		}
	}
	if s.config != "" {
		spec.Config = s.config
	}
	spec.Extra = append(spec.Extra, s.extra...)
	spec.NoCache = spec.NoCache || s.noCache
	return source.Prefix + ":" + spec.Name(), nil
}

// unused is what was said of kernel sources where no target is one, "" for nothing.
func (s *sourceFlags) unused(names []string) string {
	if s == nil || slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, source.Prefix+":") }) {
		return ""
	}
	switch {
	case s.version != "":
		return "--kernel-version"
	case s.config != "":
		return "--kernel-config"
	case len(s.extra) > 0:
		return "--extra"
	}
	return ""
}

// untestable reports whether something cannot be tried here: what a target or this machine lacks, a kernel source without a
// compiler, a file that does not compile, a tree or a revision without a JIT.
func untestable(err error) bool {
	var compile *compiler.CompileError
	return errors.As(err, &compile) || slices.ContainsFunc([]error{
		kernels.ErrUnsupported, errUntestable, errUndecided, count.ErrUndecided, compiler.ErrNoCompiler, ktree.ErrNoFile,
	}, func(what error) bool { return errors.Is(err, what) })
}
