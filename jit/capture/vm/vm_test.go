// SPDX-License-Identifier: GPL-2.0-only

package vm_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tcsim/tcsim/jit/capture/vm"
)

// fake is a QEMU made of shell: it gets the two serial files as $console and $output.
func fake(t *testing.T, script string) vm.Options {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	files := map[string]string{
		"qemu": `#!/bin/sh
for a; do case $a in file:*) if [ -z "$console" ]; then console=${a#file:}; else output=${a#file:}; fi;; esac
if [ "$last" = -initrd ]; then initrd=$a; fi
if [ "$last" = -append ]; then append=$a; fi
last=$a; done
` + script,
		"kernel": "k", "init": "the guest",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		left, err := os.ReadDir(dir)
		if err != nil || len(left) != len(files)+1 { // and what the script kept
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
	return vm.Options{
		Kernel: filepath.Join(dir, "kernel"), Init: filepath.Join(dir, "init"), QEMU: filepath.Join(dir, "qemu"), Accel: "tcg",
		Files: map[string][]byte{vm.OrderFile: []byte("order")}, Append: "mitigations=off",
	}
}

func TestBoot(t *testing.T) {
	kept := filepath.Join(t.TempDir(), "kept")
	if err := os.WriteFile(kept, append([]byte("noise\r\n"), vm.Frame(vm.Result, []byte("answer\n\x00\xff"))...), 0o600); err != nil {
		t.Fatal(err)
	}
	o := fake(t, `echo hello > "$console"; cp `+kept+` "$output"; cp "$initrd" "$TMPDIR/seen"; echo "$append" >> "$TMPDIR/seen"`)
	a, err := vm.Boot(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if a.Kind != vm.Result || string(a.Data) != "answer\n\x00\xff" || a.Console != "hello\n" || a.Accel != "tcg" {
		t.Errorf("answer %+v", a)
	}
	seen, err := os.ReadFile(filepath.Join(filepath.Dir(o.Kernel), "seen"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"070701", "dev/console\x00", "init\x00", "the guest", "order.json\x00", "order", "TRAILER!!!", "rdinit=/init", "mitigations=off"} {
		if !strings.Contains(string(seen), want) {
			t.Errorf("the machine has not seen %q", want)
		}
	}
}

func TestBootFails(t *testing.T) {
	for name, tc := range map[string]struct{ script, want string }{
		"no answer": {`touch $TMPDIR/x; echo "Kernel panic" > $console; touch $output`, "ended without an answer\nthe console said:\n  Kernel panic"},
		"QEMU":      {`touch $TMPDIR/x; echo "bad CPU" >&2; exit 1`, "QEMU with tcg: exit status 1: bad CPU\nthe console said:\n  (nothing)"},
		"damaged":   {`touch $TMPDIR/x; printf '\nTCSIM-VM result 2 00\nab' > $output`, "its checksum is wrong"},
		"cut short": {`touch $TMPDIR/x; printf '\nTCSIM-VM result 9 00\nab' > $output`, "cut short: 2 of 9 bytes"},
		"nonsense":  {`touch $TMPDIR/x; printf '\nTCSIM-VM hello' > $output`, "begins with"},
		"too long":  {`touch $TMPDIR/x; echo booting > $console; exec sleep 60`, "no answer within"},
	} {
		t.Run(name, func(t *testing.T) {
			o := fake(t, tc.script)
			if name == "too long" {
				o.Timeout = 300 * time.Millisecond
			}
			start := time.Now()
			a, err := vm.Boot(context.Background(), o)
			var boot *vm.BootError
			if !errors.As(err, &boot) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("answer %v, error %v, expected %q", a, err, tc.want)
			}
			if time.Since(start) > 30*time.Second {
				t.Error("the machine was not ended")
			}
		})
	}
}

func TestBootNeeds(t *testing.T) {
	o := fake(t, "")
	if err := os.WriteFile(filepath.Join(filepath.Dir(o.Kernel), "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	no := o
	no.Kernel = "no-such-kernel"
	if _, err := vm.Boot(context.Background(), no); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("kernel: %v", err)
	}
	no = o
	no.Init = "no-such-guest"
	if _, err := vm.Boot(context.Background(), no); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("guest: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	no = o
	no.QEMU = ""
	if _, err := vm.Boot(context.Background(), no); !errors.Is(err, vm.ErrNoQEMU) {
		t.Errorf("QEMU: %v", err)
	}
}
