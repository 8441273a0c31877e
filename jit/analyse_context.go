// SPDX-License-Identifier: GPL-2.0-only

package jit

// packetField returns what a context field points at, or kindNumber.
func packetField(t ProgType, off int64) valueKind {
	switch {
	case t.SKB() && t != SocketFilter:
		switch {
		case off == skbData:
			return kindPacket
		case off == skbDataEnd:
			return kindPacketEnd
		case off == skbDataMeta && t.LinkLayer():
			return kindPacketMeta
		}
	case t == XDP:
		switch off {
		case xdpData:
			return kindPacket
		case xdpDataEnd:
			return kindPacketEnd
		case xdpDataMeta:
			return kindPacketMeta
		}
	}
	return kindNumber
}

// readTyped is a load outside the stack in a program as users write it.
func (x *explorer) readTyped(base value, in Insn, size int, signed bool) (value, error) {
	if base.kind == kindContext {
		if k := packetField(x.p.Type, base.off+int64(in.Off)); k != kindNumber && size == 4 {
			return pointer(k), nil
		}
	}
	return number(loadedScalar(size, signed)), nil
}
