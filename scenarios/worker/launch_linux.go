// SPDX-License-Identifier: GPL-2.0-only

package worker

import "syscall"

// withParent has the kernel end a worker together with its parent, also one that is stopped.
func withParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
