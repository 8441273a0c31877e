// SPDX-License-Identifier: GPL-2.0-only

package inside

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tcsim/tcsim/jit/capture/vm"
)

// Is reports whether this process is the only one of a virtual machine.
func Is() bool { return os.Getpid() == 1 }

// Main does the work of that process, sends what it returns, and ends the machine. Call it only if Is says so.
func Main(work func() (kind string, data []byte)) {
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
	err := unjam()
	if err != nil {
		end(vm.Frame(vm.Failed, []byte(err.Error())))
		return
	}
	end(vm.Frame(work()))
}

// mounted is the argument that says that the file systems are there.
const mounted = "mounted"

// end sends the answer and ends the machine.
func end(answer []byte) {
	if err := Send(answer); err != nil {
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

// Send writes to the second serial line as it is, without what a terminal does to lines.
func Send(frame []byte) error {
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
