// SPDX-License-Identifier: GPL-2.0-only

//go:build !linux

package worker

import "syscall"

// withParent changes nothing: a worker ends with its parent when its input does.
func withParent() *syscall.SysProcAttr { return nil }
