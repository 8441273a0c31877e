// SPDX-License-Identifier: GPL-2.0-only

package vm_test

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tcsim/tcsim/jit/capture/vm"
)

// kernelImage is the beginning of a kernel with so many bytes after its setup, in a file of size bytes
// more than that.
func kernelImage(size uint32, more int) string {
	head := make([]byte, 0x400, 0x400+int(size)*16+more)
	head[0x1f1] = 1
	binary.LittleEndian.PutUint32(head[0x1f4:], size)
	copy(head[0x202:], "HdrS")
	return string(head[:0x400+int(size)*16+more])
}

// TestBootImage refuses what is no kernel before QEMU is started.
func TestBootImage(t *testing.T) {
	for name, tc := range map[string]struct{ image, want string }{
		"nothing":   {"", "no x86 kernel"},
		"text":      {strings.Repeat("text\n", 1000), "no x86 kernel"},
		"ELF":       {"\x7fELF" + strings.Repeat("\x00", 1000), "arch/x86/boot/bzImage"},
		"truncated": {kernelImage(100, -1), "truncated: its header speaks of 2624 bytes, there are 2623"},
		"whole":     {kernelImage(100, 0), "ended without an answer"},
	} {
		t.Run(name, func(t *testing.T) {
			o := fake(t, `touch $TMPDIR/x`)
			if err := os.WriteFile(o.Kernel, []byte(tc.image), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := vm.Boot(context.Background(), o)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, expected %q", err, tc.want)
			}
			if err := os.WriteFile(filepath.Join(filepath.Dir(o.Kernel), "x"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
	o := fake(t, `touch $TMPDIR/x`)
	o.Kernel = filepath.Dir(o.Kernel)
	if _, err := vm.Boot(context.Background(), o); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("directory: %v", err)
	}
	if err := os.WriteFile(filepath.Join(o.Kernel, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

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
		"kernel": kernelImage(4, 16),
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
		Kernel: filepath.Join(dir, "kernel"), Init: []byte("the guest"), QEMU: filepath.Join(dir, "qemu"), Accel: "tcg",
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
	for _, want := range []string{"070701", "dev/console\x00", "init\x00", "the guest", "order", "TRAILER!!!", "rdinit=/init", "mitigations=off"} {
		if !strings.Contains(string(seen), want) {
			t.Errorf("the machine has not seen %q", want)
		}
	}
}

func TestBootFails(t *testing.T) {
	for name, tc := range map[string]struct{ script, want string }{
		"no answer": {`touch $TMPDIR/x; echo "Kernel panic" > $console; touch $output`, "ended without an answer\nthe console said:\n  Kernel panic"},
		"QEMU":      {`touch $TMPDIR/x; echo "qemu: warning: TCG doesn't support requested feature: x" >&2; echo "bad CPU" >&2; exit 1`, "QEMU with tcg: exit status 1: bad CPU\nthe console said:\n  (nothing)"},
		"damaged":   {`touch $TMPDIR/x; printf '\nTCSIM-VM result 2 00\nab' > $output`, "its checksum is wrong"},
		"cut short": {`touch $TMPDIR/x; printf '\nTCSIM-VM result 9 00\nab' > $output`, "cut short: 2 of 9 bytes"},
		"nonsense":  {`touch $TMPDIR/x; printf '\nTCSIM-VM hello' > $output`, "begins with"},
		"too long":  {`touch $TMPDIR/x; echo booting > $console; exec sleep 86400`, "no answer within"}, // or the test does not end,
	} {
		t.Run(name, func(t *testing.T) {
			o := fake(t, tc.script)
			if name == "too long" {
				o.Timeout = 300 * time.Millisecond
			}
			a, err := vm.Boot(context.Background(), o)
			var boot *vm.BootError
			if !errors.As(err, &boot) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("answer %v, error %v, expected %q", a, err, tc.want)
			}
		})
	}
}

// TestBootPartial has a guest that ends, or does not, after it has sent parts.
func TestBootPartial(t *testing.T) {
	parts := filepath.Join(t.TempDir(), "parts")
	text := append([]byte("noise"), vm.Frame(vm.Partial, []byte("one"))...)
	text = append(text, vm.Frame(vm.Partial, []byte("one two"))...)
	torn := append(text[:len(text):len(text)], vm.Frame(vm.Result, []byte("one two three"))[:90]...)
	whole := append(text[:len(text):len(text)], vm.Frame(vm.Result, []byte("all"))...)
	for name, tc := range map[string]struct {
		sent   []byte
		script string
		want   string
	}{
		"panic":   {text, `touch $TMPDIR/x; cp ` + parts + ` $output`, "ended without an answer"},
		"torn":    {torn, `touch $TMPDIR/x; cp ` + parts + ` $output`, "cut short"},
		"timeout": {text, `touch $TMPDIR/x; cp ` + parts + ` $output; exec sleep 86400`, "no answer within"},
		"whole":   {whole, `touch $TMPDIR/x; cp ` + parts + ` $output`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(parts, tc.sent, 0o600); err != nil {
				t.Fatal(err)
			}
			o := fake(t, tc.script)
			if name == "timeout" {
				o.Timeout = 2 * time.Second
			}
			a, err := vm.Boot(context.Background(), o)
			if tc.want == "" {
				if err != nil || string(a.Data) != "all" {
					t.Errorf("answer %v, error %v", a, err)
				}
				return
			}
			var boot *vm.BootError
			if !errors.As(err, &boot) || !strings.Contains(err.Error(), tc.want) || string(boot.Partial) != "one two" {
				t.Errorf("answer %v, error %v, expected %q with a part", a, err, tc.want)
			}
		})
	}
}

// TestBootFloods has a guest that writes without end to its console or its answer.
func TestBootFloods(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	for _, to := range []string{"console", "output"} {
		t.Run(to, func(t *testing.T) {
			// A sparse file is as long and takes no room.
			o := fake(t, `touch $TMPDIR/x; echo 0123456789 > $console; truncate -s 300M $`+to+`; exec sleep 86400`)
			a, err := vm.Boot(context.Background(), o)
			var boot *vm.BootError
			if !errors.As(err, &boot) || !strings.Contains(err.Error(), "the guest wrote more than") {
				t.Fatalf("answer %v, error %.200v", a, err)
			}
			if len(boot.Console) > 1<<20 {
				t.Errorf("%d bytes of the console are kept", len(boot.Console))
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
	t.Setenv("PATH", t.TempDir())
	no = o
	no.QEMU = ""
	if _, err := vm.Boot(context.Background(), no); !errors.Is(err, vm.ErrNoQEMU) {
		t.Errorf("QEMU: %v", err)
	}
}
