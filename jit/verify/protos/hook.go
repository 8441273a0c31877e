// SPDX-License-Identifier: GPL-2.0-only

package protos

import (
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
)

// HookRange is what an LSM hook with a result may return: an error or 0, or a truth value
// (bpf_lsm_get_retval_range and bool_lsm_hooks, kernel/bpf/bpf_lsm.c).
func HookRange(hook string) Range {
	if slices.Contains(truthHooks, hook) {
		return Range{0, 1}
	}
	return Range{-4095, 0}
}

var truthHooks = []string{"xfrm_state_pol_flow_match", "audit_rule_known", "inode_xattr_skipcap"}

// HookDisabled reports whether no program is attached to an LSM hook (bpf_lsm_disabled_hooks).
func HookDisabled(hook string) bool { return slices.Contains(disabledHooks, hook) }

var disabledHooks = []string{
	"vm_enough_memory", "inode_need_killpriv", "inode_getsecurity", "inode_listsecurity", "inode_copy_up_xattr", "getselfattr",
	"getprocattr", "setprocattr", "key_getsecurity", "audit_rule_match", "ismaclabel",
}

// GivesPath reports whether programs that are attached to a function of the kernel may ask for the path of a file
// (btf_allowlist_d_path, kernel/trace/bpf_trace.c).
func GivesPath(function string) bool { return slices.Contains(pathFunctions, function) }

var pathFunctions = []string{
	"security_file_permission", "security_inode_getattr", "security_file_open", "security_path_truncate", "vfs_truncate",
	"vfs_fallocate", "dentry_open", "vfs_getattr", "filp_close",
}

// HookUntrusted reports whether the arguments of an LSM hook are objects that are being made or freed
// (untrusted_lsm_hooks).
func HookUntrusted(hook string) bool { return slices.Contains(untrustedHooks, hook) }

var untrustedHooks = []string{
	"bpf_map_free", "bpf_prog_free", "file_alloc_security", "file_free_security", "sk_alloc_security", "sk_free_security", "task_free",
}

// Anywhere reports whether a program may run in any context (is_tracing_prog_type, and tracing programs that may not sleep).
func Anywhere(p *bpf.Program) bool {
	switch p.Type {
	case bpf.Kprobe, bpf.Tracepoint, bpf.PerfEvent, bpf.RawTracepoint, bpf.RawTracepointWritable:
		return true
	}
	return p.Type == bpf.Tracing && p.AttachType != AttachIter && !p.Sleepable
}

// HookRangeOf is what the function that an LSM program is attached to may return, nil if that is not known
// (bpf_lsm_get_retval_range, since 6.12).
func HookRangeOf(p *bpf.Program, v *kernels.Verifier) *Range {
	if p.Type != bpf.LSM || p.Hook == nil || p.Hook.Void || !v.HookResults {
		return nil
	}
	r := HookRange(p.AttachTo)
	return &r
}
