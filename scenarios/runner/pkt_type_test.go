// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"testing"

	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/object"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// TestPktType has bpf_skb_change_type write where the kernel at hand reads: that of 6.12 without netfilter, bridges and
// tunnels has a shorter struct sk_buff.
func TestPktType(t *testing.T) {
	b, err := object.Load("../../fixtures/objects/mangle.o", object.Options{Entry: "nat"})
	if err != nil {
		t.Fatal(err)
	}
	short := *target(t, "6.12")
	short.Context = kernels.NewContext(kernels.ContextLayout{
		IfIndex: 216, RxqQueueIndex: 8, Data: 192, DataEnd: 80, DataMeta: 72, Dev: 16, End: 180, Hash: 144, Head: 184, Len: 104,
		Mark: 156, PktType: 120, Priority: 136, Protocol: 168, Queue: 116, TCIndex: 126, VLANAll: 148, VLANTCI: 150,
		XDPDataEnd: 8, XDPDataMeta: 16, XDPRxq: 32,
	})
	want := play(t, opened(t, compiled(t, b, target(t, "6.12")), runner.Options{}))
	got := play(t, opened(t, compiled(t, b, &short), runner.Options{}))
	if !got.OK() || !want.OK() || got.Runs[0].Return != want.Runs[0].Return {
		t.Errorf("%+v, with a longer struct sk_buff %+v", got.Runs[0], want.Runs[0])
	}
}
