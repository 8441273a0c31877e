// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"fmt"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"slices"
)

// part is a part of a context, from its first byte to just after its last.
type part struct{ from, to int64 }

func inParts(off int64, spans ...part) bool {
	for _, s := range spans {
		if off >= s.from && off < s.to {
			return true
		}
	}
	return false
}

// Parts of struct __sk_buff that not every program sees.
var (
	partClassID  = part{kernels.SKBTCClassID, kernels.SKBTCClassID + 4}
	partPacket   = part{kernels.SKBData, kernels.SKBDataEnd + 4}
	partMeta     = part{kernels.SKBDataMeta, kernels.SKBDataMeta + 4}
	partSock     = part{kernels.SKBFamily, kernels.SKBLocalPort + 4}
	partTime     = part{kernels.SKBTstamp, kernels.SKBTstamp + 8}
	partWireLen  = part{kernels.SKBWireLen, kernels.SKBWireLen + 4}
	partHardware = part{kernels.SKBHWTstamp, kernels.SKBHWTstamp + 8}
)

// hiddenParts are what programs of a type do not see, writable the fields that they may store to
// besides cb (sk_filter_, cg_skb_, lwt_ and tc_cls_act_is_valid_access in net/core/filter.c).
func hiddenParts(p bpf.ProgType) []part {
	switch p {
	case bpf.SocketFilter:
		return []part{partClassID, partPacket, partMeta, partSock, partTime, partWireLen, partHardware}
	case bpf.CGroupSKB:
		return []part{partClassID, partMeta, partWireLen}
	case bpf.SchedCLS, bpf.SchedACT:
		return []part{partSock}
	}
	return []part{partClassID, partMeta, partSock, partTime, partWireLen, partHardware}
}

func writable(p bpf.ProgType) []int64 {
	switch p {
	case bpf.SocketFilter:
		return nil
	case bpf.SchedCLS, bpf.SchedACT:
		return []int64{kernels.SKBMark, kernels.SKBTCIndex, kernels.SKBPriority, kernels.SKBTCClassID, kernels.SKBTstamp, kernels.SKBQueue}
	case bpf.CGroupSKB:
		return []int64{kernels.SKBMark, kernels.SKBPriority, kernels.SKBTstamp}
	}
	return []int64{kernels.SKBMark, kernels.SKBPriority}
}

// mayAccess refuses what the verifier refuses of an access to size bytes at off.
func mayAccess(p bpf.ProgType, off, size int64, store bool) error {
	if off%size != 0 {
		return fmt.Errorf("an access of %d bytes at offset %d of the context", size, off)
	}
	if !p.SKB() {
		if store {
			return fmt.Errorf("context field at offset %d cannot be written", off)
		}
		return nil
	}
	pointer := inParts(off, partPacket, partMeta)
	wide := inParts(off, partTime, partHardware)
	switch {
	case inParts(off, hiddenParts(p)...):
		return fmt.Errorf("programs of this type have no context field at offset %d", off)
	case inParts(off, part{kernels.SKBCB, kernels.SKBCBEnd}):
		return nil
	case store && (size != 4 && !wide || !slices.Contains(writable(p), off)):
		return fmt.Errorf("context field at offset %d cannot be written", off)
	case pointer && size != 4, wide && size != 8, !wide && size == 8 && off != kernels.SKBSock:
		return fmt.Errorf("context field at offset %d cannot be read as %d bytes", off, size)
	}
	return nil
}
