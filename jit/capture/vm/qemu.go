// SPDX-License-Identifier: GPL-2.0-only

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Options say what to boot. Kernel and Init are needed.
type Options struct {
	Kernel string            // bzImage
	Init   []byte            // static program that becomes /init
	Files  map[string][]byte // further files of the initramfs by path, such as "order"

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
	// The processor of software emulation has no CMPXCHG16B where a kernel does without: QEMU 7.2 mishandles its flags
	// as 6.12 uses it. From 6.19 on kernels make no arenas without it (kmalloc_nolock, mm/slub.c).
	newCPU = "Skylake-Server-v1"
	oldCPU = newCPU + ",cx16=off"
	// command is the kernel command line: a panic reboots at once, which ends QEMU. Software emulation on a busy
	// machine is so slow that the kernel takes its timer for broken, and itself for stalled or locked up.
	command = "console=ttyS0 nokaslr panic=-1 rdinit=/init loglevel=4 random.trust_cpu=on" +
		" no_timer_check rcupdate.rcu_cpu_stall_suppress=1 nowatchdog"
)

// ErrNoQEMU says that QEMU is not installed.
var ErrNoQEMU = errors.New("QEMU is not installed: " + defaultQEMU + " is in package qemu-system-x86 (Debian, Ubuntu), qemu-system-x86-core (Fedora) or qemu-system-x86 (Arch)")

// BootError is a boot that gave no answer, with what the kernel said meanwhile.
type BootError struct {
	Err     error
	Console string // the end of it
	Partial []byte // what the guest had sent as a partial answer, nil if nothing
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

// Boot boots a kernel and waits for the answer of its only process. Nothing is left when it returns or
// this process dies: QEMU is ended, and its files have no names. The error is ErrNoQEMU, a *BootError, or
// one of the kernel's file.
func Boot(ctx context.Context, o Options) (*Answer, error) {
	qemu, err := exec.LookPath(orElse(o.QEMU, defaultQEMU))
	if err != nil {
		if o.QEMU != "" {
			return nil, err
		}
		return nil, ErrNoQEMU
	}
	release, err := checkImage(o.Kernel)
	if err != nil {
		return nil, err
	}
	limit := o.Timeout
	if limit == 0 {
		limit = defaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %v", limit))
	defer cancel()
	m := machine{o: o, release: release, qemu: qemu, accel: o.Accel}
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
	o           Options
	release     string // of the kernel, "" if its image does not tell
	qemu, accel string
}

// firstFD is the descriptor that a process finds the first of exec.Cmd.ExtraFiles at.
const firstFD = 3

// nameless makes n files without names. The caller closes them.
func nameless(n int) (files []*os.File, err error) {
	for range n {
		f, err := os.CreateTemp("", "tcsim-vm-")
		if err == nil {
			files = append(files, f)
			err = os.Remove(f.Name())
		}
		if err != nil {
			return nil, errors.Join(err, closeAll(files))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) error {
	var errs []error
	for _, f := range files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// cpuFor is the processor of software emulation for a release of the kernel.
func cpuFor(release string) string {
	var major, minor int
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n == 2 && (major > 6 || major == 6 && minor >= 19) {
		return newCPU
	}
	return oldCPU
}

func (m *machine) run(ctx context.Context) (*Answer, error) {
	a := &Answer{Accel: m.accel, CPU: orElse(m.o.CPU, cpuFor(m.release))}
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
	files, err := nameless(3)
	if err != nil {
		return nil, err
	}
	defer closeAll(files)
	initrd, console, output := files[0], files[1], files[2]
	if err := writeInitrd(initrd, m.o.Init, m.o.Files); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cmd := exec.CommandContext(ctx, m.qemu, "-accel", accel, "-machine", "q35", "-smp", "1", "-m", fmt.Sprint(memory),
		"-cpu", a.CPU, "-nodefaults", "-display", "none", "-no-reboot", "-serial", fdPath("file:", 1), "-serial", fdPath("file:", 2),
		"-kernel", m.o.Kernel, "-initrd", fdPath("", 0), "-append", strings.TrimSpace(command+" "+m.o.Append))
	cmd.ExtraFiles = files
	endWithUs(cmd)
	runtime.LockOSThread() // QEMU ends with the thread that started it
	defer runtime.UnlockOSThread()
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	go watch(ctx, cancel, console, output)
	err = cmd.Run()
	a.Console = tail(console)
	kind, data, part, bad := unframe(head(output))
	cause := context.Cause(ctx)
	switch {
	case cause != nil:
		err = cause
	case err != nil:
		err = fmt.Errorf("QEMU with %s: %w: %s", m.accel, err, complaints(said.String()))
	default:
		err = bad
	}
	if err != nil {
		return nil, &BootError{err, a.Console, part}
	}
	a.Kind, a.Data = kind, data
	return a, nil
}

// fdPath is the path under which QEMU finds file i.
func fdPath(prefix string, i int) string { return fmt.Sprintf("%s/dev/fd/%d", prefix, firstFD+i) }

// complaints leaves out what QEMU says of CPU features that software emulation lacks, as it does at every
// start.
func complaints(said string) string {
	var out []string
	for _, l := range strings.Split(strings.TrimSpace(said), "\n") {
		if !strings.Contains(l, "TCG doesn't support requested feature") {
			out = append(out, l)
		}
	}
	return strings.Join(out, "\n")
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// What a guest may write, in bytes: far more than one that means well.
const (
	maxConsole = 64 << 20
	maxAnswer  = 256 << 20
	// shownConsole is how much of the console's end is kept.
	shownConsole = 1 << 20
)

// watch ends a machine that writes without end.
func watch(ctx context.Context, stop context.CancelCauseFunc, console, output *os.File) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, f := range []struct {
			of   *os.File
			max  int64
			what string
		}{{console, maxConsole, "console"}, {output, maxAnswer, "answer"}} {
			if info, err := f.of.Stat(); err == nil && info.Size() > f.max {
				stop(fmt.Errorf("the guest wrote more than %d MiB to its %s", f.max>>20, f.what))
			}
		}
	}
}

// head returns what a file begins with, nothing if it cannot be read.
func head(f *os.File) []byte {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, maxAnswer))
	if err != nil {
		return nil
	}
	return b
}

// tail returns the last whole lines of a console, "" if it cannot be read.
func tail(f *os.File) string {
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	from := max(0, info.Size()-shownConsole)
	b, err := io.ReadAll(io.NewSectionReader(f, from, shownConsole))
	if err != nil {
		return ""
	}
	if _, rest, ok := bytes.Cut(b, []byte("\n")); ok && from > 0 {
		b = rest
	}
	return string(b)
}

// writeInitrd writes the initramfs: the program, the files and a console for it.
func writeInitrd(to io.Writer, program []byte, files map[string][]byte) error {
	c := &cpio{w: to}
	for _, dir := range []string{"dev", "proc", "sys"} {
		c.entry(dir, modeDir, 0, 0, nil)
	}
	c.entry("dev/console", modeChar, 5, 1, nil)
	c.entry("init", modeFile, 0, 0, program)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		c.entry(path.Clean(name), modeFile, 0, 0, files[name])
	}
	return c.close()
}
