// SPDX-License-Identifier: GPL-2.0-only

// Package boot finds what a virtual machine needs: kernels, their configuration and the program that runs in it.
package boot

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

	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/capture/vm"
	"github.com/tcsim/tcsim/scenarios/files"
)

// kernelsIn are the places in a directory where a kernel may be: a tree in which one was built, a directory of modules
// that holds the kernel too, an unpacked package of a distribution.
var kernelsIn = []string{"arch/x86/boot/bzImage", "vmlinuz", "boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz", "lib/modules/*/vmlinuz"}

// FindKernels replaces directories by the kernels in them. Other names stay as they are.
func FindKernels(names []string) ([]string, error) {
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
			errs = append(errs, fmt.Errorf("--kernel: no kernel in %s (looked for %s)", n, strings.Join(kernelsIn, ", ")))
		}
		out = append(out, found...)
	}
	return out, errors.Join(errs...)
}

// Files are what the guest reads: the order and the configuration of the kernel,
// the file config or, if that is empty, one that lies where configurations do.
func Files(what []capture.Scenario, kernel, config string) (map[string][]byte, error) {
	text, err := capture.PackOrder(what)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{vm.OrderFile: text}
	paths := configPaths(kernel)
	if config != "" {
		paths = []string{config}
	}
	for _, p := range paths {
		text, err := files.ReadFile(p, files.MaxFile)
		if errors.Is(err, fs.ErrNotExist) && config == "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		out[vm.ConfigFile] = text
		break
	}
	return out, nil
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

// ErrNoGuest means that there is no program for the virtual machine and that none can be built.
var ErrNoGuest = errors.New("no tcsim-guest next to tcsim (make build makes it), and building it fails")

// Guest reads the program for the virtual machine: given, if that is not empty, the one next to tcsim, whose path self
// is, or one that it builds.
func Guest(ctx context.Context, self, given string) ([]byte, error) {
	if given != "" {
		return readGuest(given)
	}
	if self != "" {
		program, err := readGuest(filepath.Join(filepath.Dir(self), "tcsim-guest"))
		if !errors.Is(err, fs.ErrNotExist) {
			return program, err
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
		return nil, fmt.Errorf("%w: %w: %s", ErrNoGuest, err, bytes.TrimSpace(text))
	}
	return os.ReadFile(path)
}

// readGuest reads a program for the virtual machine and refuses what is not of this build, as far as
// Go's build information tells. What it does not tell the guest finds out: see capture.UnpackOrder.
func readGuest(path string) ([]byte, error) {
	program, err := files.ReadFile(path, files.MaxFile)
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
