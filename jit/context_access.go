// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"fmt"
	"slices"
)

// part is a part of a context, from its first byte to behind its last.
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
	partClassID  = part{skbTCClassID, skbTCClassID + 4}
	partPacket   = part{skbData, skbDataEnd + 4}
	partMeta     = part{skbDataMeta, skbDataMeta + 4}
	partSock     = part{skbFamily, skbLocalPort + 4}
	partTime     = part{skbTstamp, skbTstamp + 8}
	partWireLen  = part{skbWireLen, skbWireLen + 4}
	partHardware = part{skbHWTstamp, skbHWTstamp + 8}
)

// hiddenParts are what programs of a type do not see, writable the fields that they may store to
// besides cb (sk_filter_, cg_skb_, lwt_ and tc_cls_act_is_valid_access in net/core/filter.c).
func hiddenParts(p ProgType) []part {
	switch p {
	case SocketFilter:
		return []part{partClassID, partPacket, partMeta, partSock, partTime, partWireLen, partHardware}
	case CGroupSKB:
		return []part{partClassID, partMeta, partWireLen}
	case SchedCLS, SchedACT:
		return []part{partSock}
	}
	return []part{partClassID, partMeta, partSock, partTime, partWireLen, partHardware}
}

func writable(p ProgType) []int64 {
	switch p {
	case SocketFilter:
		return nil
	case SchedCLS, SchedACT:
		return []int64{skbMark, skbTCIndex, skbPriority, skbTCClassID, skbTstamp, skbQueue}
	case CGroupSKB:
		return []int64{skbMark, skbPriority, skbTstamp}
	}
	return []int64{skbMark, skbPriority}
}

// mayAccess refuses what the verifier refuses of an access to size bytes at off.
func mayAccess(p ProgType, off, size int64, store bool) error {
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
	case inParts(off, part{skbCB, skbCBEnd}):
		return nil
	case store && (size != 4 && !wide || !slices.Contains(writable(p), off)):
		return fmt.Errorf("context field at offset %d cannot be written", off)
	case pointer && size != 4, wide && size != 8, !wide && size == 8 && off != skbSock:
		return fmt.Errorf("context field at offset %d cannot be read as %d bytes", off, size)
	}
	return nil
}
