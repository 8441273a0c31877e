// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/capture/vm"
	"github.com/tcsim/tcsim/scenarios"
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
			jsonFlag(),
		},
		Action: interruptible(e.vm),
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
		args = []string{wholeLibrary}
	}
	what, err := orders(args)
	if err != nil {
		return err
	}
	if kernels, err = findKernels(kernels); err != nil {
		return err
	}
	if len(kernels) > 1 && cmd.IsSet("resume") {
		return badUsage("--resume goes on with one kernel: expected one --kernel, found %d", len(kernels))
	}
	v := &virtual{env: e, cmd: cmd, what: what, several: len(kernels) > 1}
	if err := v.prepare(ctx, kernels); err != nil {
		return err
	}
	for _, l := range what.left {
		fmt.Fprintf(e.stderr, "tcsim: left out: %s\n", l)
	}
	var errs []error
	for _, k := range kernels {
		if err := v.one(ctx, k); err != nil {
			if v.several {
				err = fmt.Errorf("%s: %w", k, err)
			}
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return v.print(errs)
}

// kernelsIn are the places in a directory where a kernel may be: a tree in which one was built, a directory of modules
// that holds the kernel too, an unpacked package of a distribution.
var kernelsIn = []string{"arch/x86/boot/bzImage", "vmlinuz", "boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz", "lib/modules/*/vmlinuz"}

// findKernels finds the kernels in directories.
func findKernels(names []string) ([]string, error) {
	var out []string
	var errs []error
	for _, n := range names {
		if info, err := os.Stat(n); err != nil || !info.IsDir() {
			out = append(out, n)
			continue
		}
		var found []string
		for _, pattern := range kernelsIn {
			more, err := filepath.Glob(filepath.Join(n, pattern))
			if err != nil {
				return nil, err
			}
			found = append(found, more...)
		}
		if len(found) == 0 {
			errs = append(errs, badUsage("--kernel: no kernel in %s (looked for %s)", n, strings.Join(kernelsIn, ", ")))
		}
		out = append(out, found...)
	}
	return out, errors.Join(errs...)
}

// because is an error at the end of a message, nothing if it is nil.
func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// guestFiles are what the guest reads.
func guestFiles(what []capture.Scenario, kernel, config string) (map[string][]byte, error) {
	text, err := capture.PackOrder(what)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{vm.OrderFile: text}
	paths := configPaths(kernel)
	if config != "" {
		paths = []string{config}
	}
	for _, p := range paths {
		text, err := scenarios.ReadFile(p, scenarios.MaxFile)
		if errors.Is(err, fs.ErrNotExist) && config == "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		files[vm.ConfigFile] = text
		break
	}
	return files, nil
}

// configPaths are where a kernel's configuration usually is: next to an installed kernel under the
// same version, or at the top of the tree in which a kernel was built.
func configPaths(kernel string) []string {
	dir, base := filepath.Split(kernel)
	var out []string
	if _, version, ok := strings.Cut(base, "vmlinuz-"); ok {
		out = append(out, filepath.Join(dir, "config-"+version))
	}
	if base == "bzImage" {
		out = append(out, filepath.Join(dir, "../../../.config"))
	}
	return append(out, filepath.Join(dir, "config"), filepath.Join(dir, ".config"))
}

// guestPackage is what is built where there is no tcsim-guest.
const guestPackage = "github.com/tcsim/tcsim/cmd/tcsim/guest"

// guest reads the program for the virtual machine, or builds it.
func (e env) guest(ctx context.Context, given string) ([]byte, error) {
	if given != "" {
		program, err := readGuest(given)
		return program, badInput(err)
	}
	if e.self != "" {
		program, err := readGuest(filepath.Join(filepath.Dir(e.self), "tcsim-guest"))
		if !errors.Is(err, fs.ErrNotExist) {
			return program, badInput(err)
		}
	}
	dir, err := os.MkdirTemp("", "tcsim-guest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "tcsim-guest")
	build := exec.CommandContext(ctx, "go", "build", "-o", path, guestPackage)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if text, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: no tcsim-guest next to tcsim (make build makes it), and building it fails: %w: %s",
			errUntestable, err, bytes.TrimSpace(text))
	}
	return os.ReadFile(path)
}

// readGuest reads a program for the virtual machine and refuses what is not of this build, as far as
// Go's build information tells. What it does not tell the guest finds out: see capture.UnpackOrder.
func readGuest(path string) ([]byte, error) {
	program, err := scenarios.ReadFile(path, scenarios.MaxFile)
	if err != nil {
		return nil, err
	}
	its, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil || its.Path != guestPackage {
		return nil, fmt.Errorf("%s is not the program that make build calls tcsim-guest", path)
	}
	ours, known := debug.ReadBuildInfo()
	if !known {
		return program, nil
	}
	if have, want := version(its), version(ours); have != want {
		return nil, fmt.Errorf("%s has version %s, tcsim %s: build both with make build", path, have, want)
	}
	return program, nil
}

// version is what a program was built of.
func version(b *debug.BuildInfo) string {
	text := b.Main.Version
	for _, s := range b.Settings {
		if s.Key == "vcs.revision" {
			text += " " + s.Value
		}
	}
	return text
}
