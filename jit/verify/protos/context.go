// SPDX-License-Identifier: GPL-2.0-only

package protos

import "github.com/tcsim/tcsim/jit/bpf"

// PlainContext reports whether the context of programs of a type is memory as they see it (no convert_ctx_access).
func PlainContext(t bpf.ProgType) bool {
	switch t {
	case bpf.Kprobe, bpf.Tracepoint, bpf.RawTracepoint, bpf.RawTracepointWritable, bpf.Tracing, bpf.LSM, bpf.StructOps,
		bpf.Netfilter, bpf.LircMode2, bpf.CGroupDevice, bpf.Extension:
		return true
	}
	return false
}

// Traced reports whether helpers of programs of a type are handed objects where others are handed the context.
func Traced(t bpf.ProgType) bool {
	return t == bpf.Tracing || t == bpf.LSM || t == bpf.Syscall || t == bpf.Extension || t == bpf.StructOps
}

// PlainName is the name of a structure without the ending that programs give their copies (bpf_core_is_flavor_sep).
func PlainName(name string) string {
	for i := 1; i+3 < len(name); i++ {
		if name[i:i+3] == "___" {
			return name[:i]
		}
	}
	return name
}
