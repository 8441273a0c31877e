// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"github.com/tcsim/tcsim/jit/bpf"
)

// The words of the format that stand for numbers of the kernel.

// progTypeNames are the words for program types.
var progTypeNames = bpf.ProgTypeNames()

// Number returns the kernel's number of the type.
func (t ProgType) Number() bpf.ProgType {
	if n, ok := bpf.ProgTypeByName(string(t)); ok {
		return n
	}
	return bpf.SchedCLS
}

var policyNames = []string{string(AsShipped), string(IfAllowed)}

var mapTypeNames = []string{string(ProgArray), string(Array), string(PerCPUArray), string(Hash), string(Arena)}

// Number returns the kernel's number of the type.
func (t MapType) Number() bpf.MapType {
	switch t {
	case ProgArray:
		return bpf.ProgArray
	case PerCPUArray:
		return bpf.PerCPUArrayMap
	case Hash:
		return bpf.HashMap
	case Arena:
		return bpf.ArenaMap
	}
	return bpf.ArrayMap
}

// invariants are the names that Expect.Violates may hold; "budget" means a run that had to be ended.
var invariants = []string{
	"none", "limit", "balance", "callee-saved", "frame", "stack-budget", "pokes", "semantics",
	"fault", "backtrace", "below-rsp", "helper-clobber", "budget",
}

// errnos are the errors that map updates and deletions can give (kernel/bpf/arraymap.c,
// fd_array_map_update_elem and fd_array_map_delete_elem; kernel/bpf/hashtab.c).
var errnos = []string{"ENOENT", "E2BIG", "EINVAL", "EBUSY", "EEXIST", "ENOMEM"}

// ctxField is a 4-byte field of a context structure as programs see it (include/uapi/linux/bpf.h,
// struct __sk_buff and struct xdp_md). set says whether a run may give it a value.
type ctxField struct {
	name string
	off  int16
	set  bool
}

var skbFields = []ctxField{
	{"len", 0, false}, {"pkt_type", 4, false}, {"mark", 8, true}, {"queue_mapping", 12, false},
	{"protocol", 16, false}, {"priority", 32, true}, {"ingress_ifindex", 36, true},
	{"ifindex", 40, true}, {"cb0", 48, true}, {"cb1", 52, true}, {"cb2", 56, true},
	{"cb3", 60, true}, {"cb4", 64, true}, {"hash", 68, false},
}

// The length of an XDP packet is no field of its own: programs subtract data from data_end.
var xdpFields = []ctxField{
	{"len", -1, false}, {"ingress_ifindex", 12, true}, {"rx_queue_index", 16, true},
}

func (t ProgType) ctxFields() []ctxField {
	switch n := t.Number(); {
	case n == bpf.XDP:
		return xdpFields
	case n.SKB():
		return skbFields
	}
	return nil
}

// ctxField finds a field that programs of this type can read; ok is false if there is none.
func (t ProgType) ctxField(name string) (f ctxField, ok bool) {
	for _, f := range t.ctxFields() {
		if f.name == name {
			return f, true
		}
	}
	return ctxField{}, false
}

// ctxFieldNames lists the fields that can be read, or only those that a run can set.
func (t ProgType) ctxFieldNames(settable bool) []string {
	var out []string
	for _, f := range t.ctxFields() {
		if f.set || !settable {
			out = append(out, f.name)
		}
	}
	return out
}
