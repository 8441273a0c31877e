// SPDX-License-Identifier: GPL-2.0-only

package interp_test

import "encoding/binary"

func slot(io []byte, n int) uint64       { return binary.LittleEndian.Uint64(io[8*n:]) }
func putSlot(io []byte, n int, v uint64) { binary.LittleEndian.PutUint64(io[8*n:], v) }
