// SPDX-License-Identifier: GPL-2.0-only

package live_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/capture/inside"
	"github.com/tcsim/tcsim/jit/capture/live"
	"github.com/tcsim/tcsim/jit/capture/vm"
)

// testsFile is what of the tests runs in a virtual machine, a regular expression.
const testsFile = "tests"

// TestMain runs the tests, in a virtual machine as its only process.
func TestMain(m *testing.M) {
	if !inside.Is() {
		os.Exit(m.Run())
	}
	inside.Main(func() (string, []byte) {
		which, err := os.ReadFile("/" + testsFile)
		err = errors.Join(err, os.Mkdir(os.TempDir(), 0o700))
		if err != nil {
			return vm.Failed, []byte(err.Error())
		}
		flag.Parse()
		const out = "/out"
		for _, f := range [][2]string{{"test.run", string(which)}, {"test.v", "true"}} {
			if err := flag.Set(f[0], f[1]); err != nil {
				return vm.Failed, []byte(err.Error())
			}
		}
		if os.Stdout, err = os.Create(out); err != nil {
			return vm.Failed, []byte(err.Error())
		}
		code := m.Run()
		text, err := os.ReadFile(out)
		if code != 0 || err != nil {
			return vm.Failed, text
		}
		return vm.Result, text
	})
}

// options are those of this package's tests: in a virtual machine the configuration is a file there.
func options() (o live.Options) {
	if inside.Is() {
		o.Config = "/" + vm.ConfigFile
	}
	return o
}

// TestInVM has a distribution's kernel load and attach programs that trace and replace functions, which the policy of many
// machines forbids: the tests of this package that do, by themselves, as its only process.
func TestInVM(t *testing.T) {
	if testing.Short() || inside.Is() {
		t.Skip("boots a kernel")
	}
	const dir = "/var/cache/tcsim-vm/boot"
	kernels, err := filepath.Glob(dir + "/vmlinuz-*")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil || len(kernels) == 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("QEMU or the kernel is missing: .ci/setup-vm installs them")
		}
		t.Skip("QEMU or the kernel is missing: .ci/setup-vm installs them")
	}
	config, err := os.ReadFile(strings.Replace(kernels[0], "vmlinuz-", "config-", 1))
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(t.TempDir(), "init")
	build := exec.Command("go", "test", "-c", "-trimpath", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	init, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	a, err := vm.Boot(context.Background(), vm.Options{
		Kernel: kernels[0], Init: init, Append: "mitigations=off", Accel: "tcg",
		Files: map[string][]byte{testsFile: []byte("^TestFoundAttached$"), vm.ConfigFile: config},
	})
	if err != nil {
		t.Fatal(err)
	}
	passed := regexp.MustCompile(`(?m)^--- PASS: TestFoundAttached `).Match(a.Data)
	if a.Kind != vm.Result || !passed || bytes.Contains(a.Data, []byte("--- SKIP")) {
		t.Errorf("%s\n%s", a.Kind, a.Data)
	}
}
