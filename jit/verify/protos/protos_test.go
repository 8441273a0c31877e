// SPDX-License-Identifier: GPL-2.0-only

package protos_test

import (
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/protos"
)

// TestTables walks the tables: every helper has a name of its own, arguments of known kinds and at least one program type,
// and every word for a type is one.
func TestTables(t *testing.T) {
	names := map[string]int32{}
	for n, h := range protos.Helpers {
		if old, twice := names[h.Name]; twice || h.Name == "" {
			t.Errorf("helper %d (%s) is also %d", n, h.Name, old)
		}
		names[h.Name] = n
		sized := false
		for _, a := range protos.Arguments(h.Args) {
			if !strings.ContainsRune(".cCpkvVumnMWNrwxszaSdDtfTqXobBEiIPg*", rune(a.Kind)) {
				t.Errorf("%s: argument of kind %q", h.Name, a.Kind)
			}
			if sized != a.Is("sz") {
				t.Errorf("%s: memory without a size, or a size without memory", h.Name)
			}
			sized = a.Sized()
		}
		some := false
		for typ := bpf.SocketFilter; typ <= bpf.Netfilter; typ++ {
			some = some || h.For(typ, &kernels.Newest().Kernel.Verifier)
		}
		if !some || sized {
			t.Errorf("%s: nobody may call it, or its last argument has no size", h.Name)
		}
	}
	if len(names) != 211 {
		t.Errorf("%d helpers, want 211", len(names))
	}
}

// TestContexts: fields at their places, with the sizes that is_valid_access of each program type takes.
func TestContexts(t *testing.T) {
	for _, c := range []struct {
		typ    bpf.ProgType
		attach uint32
		a      protos.Access
		ok     bool
		field  protos.Field
	}{
		{bpf.SchedCLS, 0, protos.Access{Off: 76, Size: 4}, true, protos.FieldPacket},
		{bpf.SchedCLS, 0, protos.Access{Off: 76, Size: 4, Signed: true}, false, 0},
		{bpf.SchedCLS, 0, protos.Access{Off: 76, Size: 2}, false, 0},
		{bpf.SchedCLS, 0, protos.Access{Off: 8, Size: 4, Store: true}, true, 0},
		{bpf.SchedCLS, 0, protos.Access{Off: 0, Size: 4, Store: true}, false, 0},
		{bpf.SchedCLS, 0, protos.Access{Off: 88, Size: 4}, false, 0},
		{bpf.SocketFilter, 0, protos.Access{Off: 76, Size: 4}, false, 0},
		{bpf.CGroupSKB, 0, protos.Access{Off: 88, Size: 4}, true, 0},
		{bpf.CGroupSKB, 0, protos.Access{Off: 72, Size: 4}, false, 0},
		{bpf.LWTIn, 0, protos.Access{Off: 72, Size: 4}, false, 0},
		{bpf.FlowDissector, 0, protos.Access{Off: 144, Size: 8}, true, protos.FieldFlowKeys},
		{bpf.FlowDissector, 0, protos.Access{Off: 0, Size: 4}, false, 0},
		{bpf.XDP, 37, protos.Access{Off: 20, Size: 4}, false, 0},
		{bpf.XDP, protos.AttachDevMap, protos.Access{Off: 20, Size: 4}, true, 0},
		{bpf.CGroupSockAddr, protos.AttachBind4, protos.Access{Off: 4, Size: 4, Store: true}, true, 0},
		{bpf.CGroupSockAddr, protos.AttachBind6, protos.Access{Off: 4, Size: 4}, false, 0},
		{bpf.CGroupSockAddr, protos.AttachBind6, protos.Access{Off: 8, Size: 8, Store: true}, true, 0},
		{bpf.CGroupSockAddr, protos.AttachBind6, protos.Access{Off: 64, Size: 4}, false, 0},
		{bpf.SockOps, 3, protos.Access{Off: 184, Size: 8}, true, protos.FieldSocketOrNull},
		{bpf.CGroupSockopt, protos.AttachSetSockOpt, protos.Access{Off: 36, Size: 4}, false, 0},
		{bpf.Kprobe, 0, protos.Access{Off: 112, Size: 8}, true, 0},
		{bpf.Kprobe, 0, protos.Access{Off: 168, Size: 8}, false, 0},
		{bpf.Tracepoint, 0, protos.Access{Off: 0, Size: 8}, false, 0},
		{bpf.Netfilter, 45, protos.Access{Off: 8, Size: 8}, true, protos.FieldObject},
		{bpf.Netfilter, 45, protos.Access{Off: 8, Size: 4}, false, 0},
		{bpf.CGroupDevice, 6, protos.Access{Off: 0, Size: 2}, true, 0},
		{bpf.CGroupDevice, 6, protos.Access{Off: 4, Size: 2}, false, 0},
	} {
		f, err := protos.Context(c.typ, c.attach, c.a)
		if (err == nil) != c.ok || c.ok && f != c.field {
			t.Errorf("%v (attached as %d) %+v: field %d, error %v", c.typ, c.attach, c.a, f, err)
		}
	}
}
