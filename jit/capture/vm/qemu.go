// SPDX-License-Identifier: GPL-2.0-only

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Options say what to boot. Kernel and Init are needed.
type Options struct {
	Kernel string            // bzImage
	Init   string            // static program that becomes /init
	Files  map[string][]byte // further files of the initramfs by path, such as "order.json"

	Append  string        // further kernel command line
	CPU     string        // QEMU's -cpu; "" for the host's with KVM, else a Skylake server
	Accel   string        // "kvm" or "tcg"; "" for KVM if it works
	Memory  int           // in MiB; 0 means 1024
	Timeout time.Duration // 0 means 5 minutes
	QEMU    string        // program; "" means qemu-system-x86_64
}

const (
	defaultQEMU    = "qemu-system-x86_64"
	defaultMemory  = 1024
	defaultTimeout = 5 * time.Minute
	// tcgCPU is without CMPXCHG16B: QEMU 7.2 mishandles its flags as 6.12 uses it.
	tcgCPU = "Skylake-Server-v1,cx16=off"
	// command is the kernel command line: a panic reboots at once, which ends QEMU.
	command = "console=ttyS0 nokaslr panic=-1 rdinit=/init loglevel=4 random.trust_cpu=on"
)

// ErrNoQEMU says that QEMU is not installed.
var ErrNoQEMU = errors.New("QEMU is not installed: " + defaultQEMU + " is in package qemu-system-x86 (Debian, Ubuntu), qemu-system-x86-core (Fedora) or qemu-system-x86 (Arch)")

// BootError is a boot that gave no answer, with what the kernel said meanwhile.
type BootError struct {
	Err     error
	Console string
}

// Error returns the reason and the end of the console's log.
func (e *BootError) Error() string {
	lines := strings.Split(strings.TrimRight(e.Console, "\n"), "\n")
	if n := len(lines) - consoleLines; n > 0 {
		lines = append([]string{fmt.Sprintf("(%d lines before)", n)}, lines[n:]...)
	}
	if e.Console == "" {
		lines = []string{"(nothing)"}
	}
	return fmt.Sprintf("%v\nthe console said:\n  %s", e.Err, strings.Join(lines, "\n  "))
}

// Unwrap returns the reason.
func (e *BootError) Unwrap() error { return e.Err }

// consoleLines is how much of the console an error shows.
const consoleLines = 40

// Answer is what the guest said.
type Answer struct {
	Kind    string
	Data    []byte
	Accel   string // what QEMU used
	CPU     string
	Console string
}

// Boot boots a kernel and waits for the answer of its only process. Nothing is left when it returns:
// no process and no file. The error is ErrNoQEMU, a *BootError, or one of the files'.
func Boot(ctx context.Context, o Options) (*Answer, error) {
	qemu, err := exec.LookPath(orElse(o.QEMU, defaultQEMU))
	if err != nil {
		if o.QEMU != "" {
			return nil, err
		}
		return nil, ErrNoQEMU
	}
	if _, err := os.Stat(o.Kernel); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "tcsim-vm-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	initrd := filepath.Join(dir, "initrd")
	if err := writeInitrd(initrd, o.Init, o.Files); err != nil {
		return nil, err
	}
	limit := o.Timeout
	if limit == 0 {
		limit = defaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %v", limit))
	defer cancel()
	m := machine{o: o, qemu: qemu, initrd: initrd, dir: dir, accel: o.Accel}
	if o.Accel == "" {
		m.accel = "tcg"
		if kvmWorks() {
			m.accel = "kvm"
			a, err := m.run(ctx)
			var boot *BootError
			if !errors.As(err, &boot) || boot.Console != "" || ctx.Err() != nil {
				return a, err
			}
			m.accel = "tcg" // QEMU cannot use KVM here: nothing of the kernel ran
		}
	}
	return m.run(ctx)
}

// machine is one start of QEMU.
type machine struct {
	o                 Options
	qemu, initrd, dir string
	accel             string
}

func (m *machine) run(ctx context.Context) (*Answer, error) {
	a := &Answer{Accel: m.accel, CPU: orElse(m.o.CPU, tcgCPU)}
	if m.o.CPU == "" && m.accel == "kvm" {
		a.CPU = "host"
	}
	memory := m.o.Memory
	if memory == 0 {
		memory = defaultMemory
	}
	accel := m.accel
	if accel == "tcg" {
		accel += ",thread=multi"
	}
	console, output := filepath.Join(m.dir, "console"), filepath.Join(m.dir, "output")
	cmd := exec.CommandContext(ctx, m.qemu, "-accel", accel, "-machine", "q35", "-smp", "1", "-m", fmt.Sprint(memory),
		"-cpu", a.CPU, "-nodefaults", "-display", "none", "-no-reboot", "-serial", "file:"+console, "-serial", "file:"+output,
		"-kernel", m.o.Kernel, "-initrd", m.initrd, "-append", strings.TrimSpace(command+" "+m.o.Append))
	endWithUs(cmd)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	a.Console = read(console)
	if cause := context.Cause(ctx); cause != nil {
		return nil, &BootError{cause, a.Console}
	}
	if err != nil {
		return nil, &BootError{fmt.Errorf("QEMU with %s: %w: %s", m.accel, err, strings.TrimSpace(said.String())), a.Console}
	}
	if a.Kind, a.Data, err = unframe([]byte(read(output))); err != nil {
		return nil, &BootError{err, a.Console}
	}
	return a, nil
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// read returns what a file holds, "" if there is none.
func read(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(b)
}

// writeInitrd writes the initramfs: the program, the files and a console for it.
func writeInitrd(to, program string, files map[string][]byte) (err error) {
	text, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	c := &cpio{w: f}
	for _, dir := range []string{"dev", "proc", "sys"} {
		c.entry(dir, modeDir, 0, 0, nil)
	}
	c.entry("dev/console", modeChar, 5, 1, nil)
	c.entry("init", modeFile, 0, 0, text)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		c.entry(path.Clean(name), modeFile, 0, 0, files[name])
	}
	return errors.Join(c.close(), f.Close())
}
