// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/boot"
	"github.com/tcsim/tcsim/cmd/tcsim/inputs"
	"github.com/tcsim/tcsim/cmd/tcsim/units"
)

func (e env) vmCommand() *cli.Command {
	return &cli.Command{
		Name:      "vm",
		Usage:     "boot a kernel in QEMU, capture the code its JIT emits, and replay it here",
		ArgsUsage: "[SCENARIO|DIRECTORY|FILE.o...]",
		Description: "Boots the kernel with one static program as its only process, which lets the kernel compile\n" +
			"the scenarios (all built-in ones by default) and never runs them; then runs the kernel's code\n" +
			"in the emulator, where a stall is a verdict. KVM is used where it works. Needs QEMU, but\n" +
			"neither root nor a disk image.\n\n" +
			"Examples:\n   tcsim vm --kernel arch/x86/boot/bzImage\n" +
			"   tcsim vm --kernel /boot/vmlinuz-6.1.0-40-cloud-amd64 --append spectre_v2=retpoline hierarchy\n" +
			"   tcsim vm --kernel bzImage --cpu max,-bmi2 -o patched.jsonl.gz library\n\n" + exitCodesInHelp,
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "kernel", Usage: "the kernel to boot: bzImage, vmlinuz, or a directory with one (a kernel tree, /usr/lib/modules/VERSION); several make one table"},
			&cli.StringFlag{Name: "append", Usage: "further options of the kernel command line"},
			&cli.StringFlag{Name: "cpu", Usage: "CPU model in QEMU's terms; what the JIT emits depends on it"},
			&cli.StringFlag{Name: "accel", Usage: "\"kvm\" or \"tcg\" (software emulation); the default is KVM where it works"},
			&cli.IntFlag{Name: "memory", Value: 1024, Usage: "memory of the machine in MiB"},
			&cli.DurationFlag{Name: "timeout", Value: 5 * time.Minute, Usage: "give up after this time"},
			&cli.StringFlag{Name: "config", Usage: "the kernel's configuration, if it is neither next to the kernel nor in it"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "keep the capture in this file; of several kernels, each in a file of this directory"},
			&cli.StringFlag{Name: "resume", Usage: "go on with a capture that was not finished: boot for what it lacks, and add that to it"},
			&cli.StringFlag{Name: "guest", Usage: "static program to run in the virtual machine, instead of tcsim-guest next to tcsim or one built on the spot"},
			&cli.StringFlag{Name: "qemu", Usage: "QEMU program to use instead of qemu-system-x86_64"},
			units.ShardFlag("kernels"), jsonFlag(),
		},
		Action: e.vm,
	}
}

func (e env) vm(ctx context.Context, cmd *cli.Command) error {
	kernels := cmd.StringSlice("kernel")
	accel := cmd.String("accel")
	switch {
	case len(kernels) == 0:
		return badUsage("--kernel: expected the kernel to boot")
	case accel != "" && accel != "kvm" && accel != "tcg":
		return badUsage("--accel: expected kvm or tcg, found %q", accel)
	case cmd.Int("memory") < 256:
		return badUsage("--memory: expected at least 256 MiB, found %d", cmd.Int("memory"))
	}
	args := cmd.Args().Slice()
	if len(args) == 0 {
		args = []string{inputs.Library}
	}
	what, err := inputs.Orders(args)
	if err != nil {
		return badInput(err)
	}
	w, err := units.Begin(cmd, e.args, args, e.sum)
	if err != nil {
		return err
	}
	if !w.Sum() { // then other machines have them
		kernels, err = boot.FindKernels(kernels)
	}
	if err != nil {
		return badInput(err)
	}
	if len(kernels) > 1 && cmd.IsSet("resume") {
		return badUsage("--resume goes on with one kernel: expected one --kernel, found %d", len(kernels))
	}
	v := &virtual{env: e, cmd: cmd, what: what, several: len(kernels) > 1}
	if !w.Sum() {
		if err := v.prepare(ctx, kernels); err != nil {
			return err
		}
	}
	for _, l := range what.Left {
		fmt.Fprintf(e.stderr, "tcsim: left out: %s\n", l)
	}
	var errs []error
	first := w.Reserve(len(kernels))
	for n, k := range kernels {
		if err := v.unit(ctx, w, first+n, k); err != nil {
			if v.several {
				err = fmt.Errorf("%s: %w", k, err)
			}
			errs = append(errs, err)
		}
		if v.interrupted = ctx.Err() != nil; v.interrupted {
			break
		}
	}
	if w.Part() {
		return e.printPart(ctx, w, errors.Join(errs...))
	}
	return v.print(append(errs, badInput(w.Err())))
}
