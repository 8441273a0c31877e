// SPDX-License-Identifier: GPL-2.0-only

package vm

import (
	"os"
	"os/exec"
	"syscall"
)

// Requests of /dev/kvm (include/uapi/linux/kvm.h).
const (
	kvmGetAPIVersion = 0xae00
	kvmCreateVM      = 0xae01
	kvmAPIVersion    = 12
)

// kvmWorks reports whether a virtual machine can be made with KVM: the device may be there and
// refuse.
func kvmWorks() bool {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	if v, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), kvmGetAPIVersion, 0); errno != 0 || v != kvmAPIVersion {
		return false
	}
	fd, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), kvmCreateVM, 0)
	if errno != 0 {
		return false
	}
	return syscall.Close(int(fd)) == nil
}

// endWithUs has the kernel kill the process when this one dies, however it dies.
func endWithUs(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
