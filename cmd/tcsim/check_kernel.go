// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"os"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/campaign"
)

func (e env) checkKernelCommand() *cli.Command {
	return &cli.Command{
		Name:      "check-kernel",
		Usage:     "say which of the known tail-call bugs a kernel has, with the commits that fix them",
		ArgsUsage: "[TARGET|CAPTURE...]",
		Description: "Of a target, which can be what uname -r prints or src:TREE, it runs tcsim's own code; of a capture\n" +
			"of the library (tcsim vm or tcsim capture with -o) the kernel's. Without an argument it is the kernel\n" +
			"that this machine runs, by its release.\n\n" +
			"Examples:\n   tcsim check-kernel\n   tcsim check-kernel 6.1.0-40-cloud-amd64 5.15\n" +
			"   tcsim vm --kernel bzImage -o new.jsonl.gz && tcsim check-kernel new.jsonl.gz\n\n" + exitCodesInHelp,
		Flags:  []cli.Flag{jsonFlag()},
		Action: e.checkKernel,
	}
}

// runningRelease is the file in which the kernel says its release.
const runningRelease = "/proc/sys/kernel/osrelease"

func (e env) checkKernel(ctx context.Context, cmd *cli.Command) error {
	names := cmd.Args().Slice()
	if len(names) == 0 {
		text, err := os.ReadFile(runningRelease)
		if err != nil {
			return badUsage("name a kernel, such as 6.1.0-40-amd64: this machine tells none: %w", err)
		}
		names = []string{strings.TrimSpace(string(text))}
	}
	var rows []render.KernelBugs
	here, interrupted := false, false
	bar := e.progress("check-kernel")
	defer bar.Done()
	for i, n := range names {
		checks, err := e.bugsOf(ctx, n, func(done int) { bar.Set(i*len(campaign.Bugs)+done, len(names)*len(campaign.Bugs)) })
		if interrupted = cutShort(ctx, err); err != nil && !interrupted {
			return err
		}
		if interrupted && len(checks) == 0 {
			break
		}
		rows = append(rows, render.KernelBugs{Kernel: n, Bugs: render.BugRows(checks)})
		for _, c := range checks {
			here = here || c.Here.Here()
		}
		if interrupted {
			break
		}
	}
	if cmd.Bool("json") {
		if err := render.JSON(e.stdout, render.CheckKernel{Interrupted: interrupted, Kernels: rows, Schema: render.SchemaCheckKernel}); err != nil {
			return err
		}
	} else {
		render.BugsText(e.stdout, rows)
	}
	if interrupted {
		return errInterrupted
	}
	if here {
		return errFailed
	}
	return nil
}

// bugsOf checks a capture, if there is such a file, or a target. With the error of the context comes what was found.
func (e env) bugsOf(ctx context.Context, name string, progress func(done int)) ([]campaign.BugCheck, error) {
	_, patch, _, _ := kernels.ParseVersion(name)
	if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
		src, t, err := e.openCapture(name)
		if err != nil {
			return nil, err
		}
		return campaign.CheckCapture(ctx, src, t, max(patch, 0), progress)
	}
	ts, err := e.targets([]string{name}, 0)
	if err != nil {
		return nil, err
	}
	return campaign.CheckTarget(ctx, ts[0], max(patch, 0), progress)
}
