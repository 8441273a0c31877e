// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/ranges"
)

// packetField returns what a context field points at, or kindNumber.
func packetField(t bpf.ProgType, off int64) valueKind {
	switch {
	case t.SKB() && t != bpf.SocketFilter:
		switch {
		case off == kernels.SKBData:
			return kindPacket
		case off == kernels.SKBDataEnd:
			return kindPacketEnd
		case off == kernels.SKBDataMeta && t.LinkLayer():
			return kindPacketMeta
		}
	case t == bpf.XDP:
		switch off {
		case kernels.XDPData:
			return kindPacket
		case kernels.XDPDataEnd:
			return kindPacketEnd
		case kernels.XDPDataMeta:
			return kindPacketMeta
		}
	}
	return kindNumber
}

// readTyped is a load outside the stack in a program as users write it.
func (x *explorer) readTyped(base value, in bpf.Insn, size int, signed bool) (value, error) {
	if base.kind == kindContext {
		if k := packetField(x.p.Type, base.off+int64(in.Off)); k != kindNumber && size == 4 {
			return pointer(k), nil
		}
	}
	return number(ranges.LoadedScalar(size, signed)), nil
}
