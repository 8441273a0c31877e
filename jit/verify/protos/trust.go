// SPDX-License-Identifier: GPL-2.0-only

package protos

import "github.com/tcsim/tcsim/jit/kernels"

// Trust is how an address that is loaded from a structure of the kernel is trusted.
type Trust uint8

// The kinds.
const (
	TrustNone   Trust = iota
	TrustFull         // as the address of the structure
	TrustOrNull       // likewise, and it may be null
	TrustRCU          // while RCU protects it
	TrustRCUOrNull
)

// TrustOf returns how the field of a structure is trusted if the structure is (the BTF_TYPE_SAFE_ lists of
// kernel/bpf/verifier.c, of Linux 6.12 and 7.3; the later ones count from 7.0 on).
func TrustOf(structure, field string, v *kernels.Verifier) Trust {
	if t, ok := laterTrust[structure+"."+field]; ok && v.TrustedArgs {
		return t
	}
	return trust[structure+"."+field]
}

// ProtectedByRCU reports whether objects of a structure that maps hold references to live as long as RCU protects them
// (rcu_protected_types).
func ProtectedByRCU(structure string) bool {
	switch structure {
	case "prog_test_ref_kfunc", "cgroup", "bpf_cpumask", "task_struct", "bpf_crypto_ctx":
		return true
	}
	return false
}

// IteratesTrusted reports whether the objects that an iterator hands to a program are trusted.
func IteratesTrusted(iterator string) bool {
	return iterator == "bpf_map" || iterator == "task" || iterator == "cgroup"
}

var laterTrust = map[string]Trust{
	"cgroup_subsys_state.cgroup": TrustRCU, "mm_struct.owner": TrustRCUOrNull, "dentry.d_inode": TrustOrNull,
	"vm_area_struct.vm_mm": TrustOrNull, "vm_area_struct.vm_file": TrustOrNull,
}

var trust = map[string]Trust{
	"task_struct.cpus_ptr": TrustRCU, "task_struct.cgroups": TrustRCU, "task_struct.real_parent": TrustRCU, "task_struct.group_leader": TrustRCU,
	"cgroup.kn": TrustRCU, "css_set.dfl_cgrp": TrustRCU,
	"mm_struct.exe_file": TrustRCUOrNull, "sk_buff.sk": TrustRCUOrNull, "request_sock.sk": TrustRCUOrNull,
	"bpf_iter_meta.seq": TrustFull, "bpf_iter__task.meta": TrustFull, "bpf_iter__task.task": TrustFull, "linux_binprm.file": TrustFull,
	"file.f_inode": TrustFull, "dentry.d_inode": TrustFull,
	"socket.sk": TrustOrNull,
}
