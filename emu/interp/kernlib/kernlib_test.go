// SPDX-License-Identifier: GPL-2.0-only

package kernlib_test

import (
	"encoding/binary"
	"syscall"
	"testing"

	"github.com/tcsim/tcsim/emu/interp/kernlib"
	_ "github.com/tcsim/tcsim/fixtures/golden" // for go test ./... -update
)

// A checksum that is brought up to date is that of the changed bytes.
func TestSums(t *testing.T) {
	p := []byte{0x45, 0, 0, 0x54, 1, 2, 0x40, 0, 0x40, 1, 0, 0, 10, 1, 2, 3, 10, 1, 2, 4}
	sum := func() uint16 { return ^kernlib.DiffSum(nil, p, 0) }
	binary.LittleEndian.PutUint16(p[10:], sum())
	if s := sum(); s != 0 {
		t.Fatalf("the sum with the checksum is %#x", s)
	}
	for _, size := range []uint64{2, 4} {
		old := append(append([]byte(nil), p[12:16]...), make([]byte, 4)...)
		from := binary.LittleEndian.Uint64(old) & (1<<(8*size) - 1)
		to := from ^ 0x55aa1234&(1<<(8*size)-1)
		for i := range size {
			p[12+i] = byte(to >> (8 * i))
		}
		if e := kernlib.ReplaceSum(p, 10, from, to, size, false); e != 0 || sum() != 0 {
			t.Errorf("%d bytes: error %d, sum %#x", size, e, sum())
		}
	}
}

func TestInteger(t *testing.T) {
	for _, c := range []struct {
		text     string
		base     uint64
		n        uint64
		negative bool
		took     int
		e        syscall.Errno
	}{
		{" 12x", 0, 12, false, 3, 0}, {"-0x1F", 0, 31, true, 5, 0}, {"017", 0, 15, false, 3, 0}, {"19", 8, 1, false, 1, 0},
		{"x", 10, 0, false, 0, syscall.EINVAL}, {"1", 7, 0, false, 0, syscall.EINVAL}, {"18446744073709551616", 10, 0, false, 0, syscall.ERANGE},
	} {
		n, negative, took, e := kernlib.Integer(c.text, c.base)
		if n != c.n || negative != c.negative || took != c.took || e != c.e {
			t.Errorf("%q, base %d: %d, %v, %d, %v", c.text, c.base, n, negative, took, e)
		}
	}
}
