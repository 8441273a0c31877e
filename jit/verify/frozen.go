// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"encoding/binary"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/ranges"
)

// readFrozen is a load from a map that nothing changes: its result is known (bpf_map_direct_read in
// kernel/bpf/verifier.c, since 5.2).
func (x *explorer) readFrozen(base value, in bpf.Insn, signed bool) (value, bool) {
	if base.kind != kindMapValue || base.orNull || !base.num.IsConst() || base.num.Umin != 0 || int(base.mapIdx) >= len(x.p.Maps) {
		return value{}, false
	}
	data, at, size := x.p.Maps[base.mapIdx].Frozen, base.off+int64(in.Off), int64(in.Size())
	if at < 0 || at+size > int64(len(data)) {
		return value{}, false
	}
	var b [8]byte
	copy(b[:], data[at:at+size])
	v := binary.LittleEndian.Uint64(b[:])
	if shift := 64 - 8*uint(size); signed {
		v = uint64(int64(v<<shift) >> shift)
	}
	return number(ranges.ConstScalar(v)), true
}
