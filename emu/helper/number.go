// SPDX-License-Identifier: GPL-2.0-only

package helper

import (
	"fmt"
	"math/bits"

	"github.com/tcsim/tcsim/emu/guest"
)

// strtol is bpf_strtol (kernel/bpf/helpers.c): text, its length, the base, and where the number goes, which is 0 after a
// failure, as since 6.12. It returns how many bytes the number takes.
func strtol(c *call) (uint64, error) {
	n, consumed, negative, e, err := c.parse()
	if err != nil {
		return 0, err
	}
	if negative {
		n = -n
		if int64(n) > 0 && e == 0 {
			e = guest.ERANGE
		}
	} else if int64(n) < 0 && e == 0 {
		e = guest.ERANGE
	}
	return c.number(n, consumed, e)
}

// strtoul is strtol without negative numbers.
func strtoul(c *call) (uint64, error) {
	n, consumed, negative, e, err := c.parse()
	if err != nil {
		return 0, err
	}
	if negative && e == 0 {
		e = guest.EINVAL
	}
	return c.number(n, consumed, e)
}

func (c *call) number(n uint64, consumed int, e guest.Errno) (uint64, error) {
	if e != 0 {
		return e.Result(), c.e.Mem.WriteWord(c.addr(4), 0)
	}
	return uint64(consumed), c.e.Mem.WriteWord(c.addr(4), n)
}

// parse reads a number as __bpf_strtoull does: blanks, a sign, then up to 63 bytes by the rules of kstrtox.
func (c *call) parse() (n uint64, consumed int, negative bool, e guest.Errno, err error) {
	size, base := c.arg(2), c.arg(3)
	switch {
	case size > 1<<16:
		return 0, 0, false, 0, fmt.Errorf("argument 2: %d bytes", size)
	case size == 0 || base != 0 && base != 8 && base != 10 && base != 16:
		return 0, 0, false, guest.EINVAL, nil
	}
	text, err := c.bytes(1, uint32(size))
	if err != nil {
		return 0, 0, false, 0, err
	}
	at := 0
	for at < len(text) && (text[at] == ' ' || text[at] >= '\t' && text[at] <= '\r' || text[at] == 0xa0) {
		at++
	}
	if negative = at < len(text) && text[at] == '-'; negative {
		at++
	}
	const longest = 63
	digits := append(text[at:min(len(text), at+longest)], 0, 0, 0)
	if at == len(text) {
		return 0, 0, false, guest.EINVAL, nil
	}
	hex := digits[0] == '0' && digits[1]|0x20 == 'x'
	if base == 0 {
		switch {
		case hex && digit(digits[2]) < 16:
			base = 16
		case digits[0] == '0':
			base = 8
		default:
			base = 10
		}
	}
	if base == 16 && hex {
		digits, at = digits[2:], at+2
	}
	from := at
	for ; digit(digits[0]) < base; digits = digits[1:] {
		over, low := bits.Mul64(n, base)
		sum, carry := bits.Add64(low, digit(digits[0]), 0)
		if over+carry != 0 {
			e = guest.ERANGE
		}
		n = sum
		at++
	}
	if at == from && e == 0 {
		e = guest.EINVAL
	}
	return n, at, negative, e, nil
}

// digit is the value of a digit of any base, 255 of what is none.
func digit(b byte) uint64 {
	switch lower := b | 0x20; {
	case b >= '0' && b <= '9':
		return uint64(b - '0')
	case lower >= 'a' && lower <= 'f':
		return uint64(lower-'a') + 10
	}
	return 255
}
