// SPDX-License-Identifier: GPL-2.0-only

// Command guest is the only process of the virtual machines that tcsim vm boots: it captures what
// order asks for from the kernel that it runs on, sends the capture over the second serial line
// and ends the machine. It must be built without cgo; it never runs a program that it loads.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/capture/live"
	"github.com/tcsim/tcsim/jit/capture/vm"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest: this is the init process of the virtual machines of tcsim vm, and of no other")
		os.Exit(2)
	}
	// The kernel hands words of its command line that it does not know to init, such as nowatchdog where it has none.
	if !slices.Contains(os.Args[1:], mounted) {
		// cilium/ebpf looks at /proc before main begins, and remembers what it saw: begin again.
		err := mount()
		if err == nil {
			err = unix.Exec("/init", []string{"/init", mounted}, os.Environ())
		}
		end(vm.Frame(vm.Failed, []byte(err.Error())))
		return
	}
	kind := vm.Result
	data, err := work()
	var missing live.Missing
	switch {
	case errors.As(err, &missing):
		kind, data = vm.Missing, []byte(missing.Error())
	case errors.Is(err, capture.ErrOrder):
		kind, data = vm.Stale, []byte(err.Error())
	case err != nil:
		kind, data = vm.Failed, []byte(err.Error())
	}
	end(vm.Frame(kind, data))
}

// mounted is the argument that says that the file systems are there.
const mounted = "mounted"

// end sends the answer and ends the machine.
func end(answer []byte) {
	if err := send(answer); err != nil {
		fmt.Printf("guest: cannot send the answer: %v\nguest: it began with %q\n", err, answer[:min(len(answer), 300)])
	}
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART); err != nil {
		fmt.Println("guest: cannot end the machine:", err)
	}
}

// mount makes the file systems that the rest reads.
func mount() error {
	for _, m := range []struct{ typ, at string }{{"devtmpfs", "/dev"}, {"proc", "/proc"}, {"sysfs", "/sys"}} {
		if err := unix.Mount(m.typ, m.at, m.typ, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.typ, err)
		}
	}
	return nil
}

// work captures what is asked for.
func work() ([]byte, error) {
	text, err := os.ReadFile("/" + vm.OrderFile)
	if err != nil {
		return nil, err
	}
	scenarios, err := capture.UnpackOrder(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", vm.OrderFile, err)
	}
	var opt live.Options
	if _, err := os.Stat("/" + vm.ConfigFile); err == nil {
		opt.Config = "/" + vm.ConfigFile
	}
	if err := unjam(); err != nil {
		return nil, err
	}
	k, err := live.Open(opt)
	if err != nil {
		return nil, err
	}
	defer k.Close()
	k.Header.Variant = "vm"
	sent := time.Now()
	f, err := k.Capture(context.Background(), scenarios, func(done int) {
		fmt.Printf("guest: %d of %d\n", done, len(scenarios))
		if time.Since(sent) < partEvery || done == len(scenarios) {
			return
		}
		if err := sendPart(k, scenarios[:done]); err != nil {
			fmt.Println("guest: cannot send what there is so far:", err)
		}
		sent = time.Now()
	})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = capture.Write(&out, f)
	return out.Bytes(), err
}

// partEvery is how often what was captured so far is sent.
const partEvery = 20 * time.Second

// sendPart sends what was captured so far.
func sendPart(k *live.Kernel, done []capture.Scenario) error {
	var out bytes.Buffer
	if err := capture.Write(&out, k.File(done)); err != nil {
		return err
	}
	return send(vm.Frame(vm.Partial, out.Bytes()))
}

// unjam turns the JIT on and lets it show its code, which is this machine's own business.
func unjam() error {
	for _, s := range []struct{ path, value string }{
		{"/proc/sys/net/core/bpf_jit_enable", "1"}, {"/proc/sys/net/core/bpf_jit_harden", "0"},
		{"/proc/sys/net/core/bpf_jit_kallsyms", "1"}, {"/proc/sys/kernel/kptr_restrict", "0"},
	} {
		if setByBoot(s.path) {
			continue
		}
		if err := os.WriteFile(s.path, []byte(s.value), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// setByBoot reports whether the kernel command line sets a file of /proc/sys: "sysctl.net.core.bpf_jit_harden=2".
func setByBoot(path string) bool {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return false
	}
	name := strings.ReplaceAll(strings.TrimPrefix(path, "/proc/sys/"), "/", ".")
	for _, w := range strings.Fields(string(line)) {
		key, _, _ := strings.Cut(w, "=")
		if strings.ReplaceAll(strings.TrimPrefix(key, "sysctl."), "/", ".") == name {
			return true
		}
	}
	return false
}

// send writes to the second serial line as it is, without what a terminal does to lines.
func send(frame []byte) error {
	f, err := os.OpenFile("/dev/ttyS1", os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return err
	}
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ICANON | unix.ECHO | unix.ISIG
	t.Cflag = t.Cflag&^(unix.CBAUD|unix.CSIZE) | unix.B115200 | unix.CS8
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t); err != nil {
		return err
	}
	if _, err := f.Write(frame); err != nil {
		return err
	}
	if err := unix.IoctlSetInt(int(f.Fd()), unix.TCSBRK, 1); err != nil { // wait until it is out
		return err
	}
	return f.Close()
}
