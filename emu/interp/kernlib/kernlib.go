// SPDX-License-Identifier: GPL-2.0-only

// Package kernlib has what some kernel functions compute from bytes alone, for the interpreter: numbers in text, checksums of the
// internet (RFC 1071), the way of a packet out of a machine that
// forwards nothing. Package helper has its own.
package kernlib

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
)

// Integer reads a number as bpf_strtol and bpf_strtoul do (__bpf_strtoull, kernel/bpf/helpers.c): the value of its digits, its sign, and
// how many bytes it took, or an error number. The base is 0, 8, 10 or 16.
func Integer(text string, in uint64) (n uint64, negative bool, took int, e syscall.Errno) {
	base := int(min(in, 17))
	if base != 0 && base != 8 && base != 10 && base != 16 {
		return 0, false, 0, syscall.EINVAL
	}
	s := text
	for s != "" && strings.IndexByte(" \t\n\v\f\r\xa0", s[0]) >= 0 { // isspace of lib/ctype.c
		s = s[1:]
	}
	s, negative = strings.CutPrefix(s, "-")
	rest := s[:min(len(s), 63)]
	if prefix := strings.ToLower(rest[:min(len(rest), 2)]); prefix == "0x" && (base == 16 || base == 0 && len(rest) > 2 && strings.ContainsRune("0123456789abcdefABCDEF", rune(rest[2]))) {
		base, rest = 16, rest[2:]
	}
	switch {
	case base != 0:
	case strings.HasPrefix(rest, "0"):
		base = 8
	default:
		base = 10
	}
	end := strings.IndexFunc(rest, func(r rune) bool {
		return !strings.ContainsRune("0123456789abcdef"[:base], r|0x20) || r < '0' // a digit is its own lower case
	})
	if end < 0 {
		end = len(rest)
	}
	took = len(text) - len(s) + (min(len(s), 63) - len(rest)) + end
	n, err := strconv.ParseUint(rest[:end], base, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, negative, 0, syscall.ERANGE
	case err != nil: // no digit
		return 0, negative, 0, syscall.EINVAL
	}
	return n, negative, took, 0
}

// add16 adds in ones' complement.
func add16(a, b uint16) uint16 {
	sum, carry := bits.Add32(uint32(a)<<16, uint32(b)<<16, 0)
	return uint16(sum>>16) + uint16(carry)
}

// halves adds the halves of a word.
func halves(w uint32) uint16 { return add16(uint16(w), uint16(w>>16)) }

// ReplaceSum brings the checksum at an offset of a packet up to date (bpf_l3_csum_replace, bpf_l4_csum_replace in net/core/filter.c):
// from was replaced by to, both of as many bytes as the low bits of the flags say; 0 stands for a difference in to. It returns 0 or an
// error number.
func ReplaceSum(p []byte, off, from, to, flags uint64, l4 bool) syscall.Errno {
	const mangled, enforce = 0x20, 0x40 // BPF_F_MARK_MANGLED_0, BPF_F_MARK_ENFORCE
	switch size := flags & 0xf; {
	case off > 0xffff || off%2 != 0 || off+2 > uint64(len(p)):
		return syscall.EFAULT
	case l4 && flags&(mangled|enforce) == mangled && p[off] == 0 && p[off+1] == 0:
		return 0
	case size != 0 && size != 2 && size != 4, size == 0 && from != 0:
		return syscall.EINVAL
	case size == 2:
		from, to = from&0xffff, to&0xffff
	}
	sum := ^binary.LittleEndian.Uint16(p[off:])
	if flags&0xf != 0 {
		sum = add16(sum, ^halves(uint32(from)))
	}
	sum = ^add16(sum, halves(uint32(to)))
	if l4 && flags&mangled != 0 && sum == 0 {
		sum = 0xffff
	}
	binary.LittleEndian.PutUint16(p[off:], sum)
	return 0
}

// DiffSum adds new to a sum and takes old away (bpf_csum_diff); both have an even number of bytes.
func DiffSum(old, new []byte, seed uint32) uint16 {
	sum := halves(seed)
	for i := 0; i < len(old); i += 2 {
		sum = add16(sum, ^binary.LittleEndian.Uint16(old[i:]))
	}
	for i := 0; i < len(new); i += 2 {
		sum = add16(sum, binary.LittleEndian.Uint16(new[i:]))
	}
	return sum
}

// Route is what bpf_fib_lookup finds for a struct bpf_fib_lookup on a machine with a loopback device, number 1, that forwards
// nothing: BPF_FIB_LKUP_RET_NOT_FWDED or BPF_FIB_LKUP_RET_FWD_DISABLED, or an error number.
func Route(p []byte) (uint64, syscall.Errno) {
	if len(p) < 64 {
		return 0, syscall.EINVAL
	}
	switch p[0] {
	case syscall.AF_INET:
	case syscall.AF_INET6:
		for _, at := range []int{16, 32} {
			a := netip.AddrFrom16([16]byte(p[at:]))
			if a.IsMulticast() || a.IsLinkLocalUnicast() || a.IsLoopback() {
				return 4, 0
			}
		}
	default:
		return 0, syscall.EAFNOSUPPORT
	}
	if binary.LittleEndian.Uint32(p[8:]) != 1 {
		return 0, syscall.ENODEV
	}
	return 5, 0
}

// PacketType is what a frame is to the loopback device, whose address is zero (eth_type_trans, net/ethernet/eth.c): PACKET_HOST,
// PACKET_BROADCAST, PACKET_MULTICAST or PACKET_OTHERHOST, 0 to 3.
func PacketType(frame []byte) byte {
	zero, ones := true, true
	for _, b := range frame[:6] {
		zero, ones = zero && b == 0, ones && b == 0xff
	}
	switch {
	case zero:
		return 0
	case ones:
		return 1
	case frame[0]&1 == 1:
		return 2
	}
	return 3
}

// Prefix returns the first n bits of s, the rest of the last byte being zero.
func Prefix(s string, n int) string {
	b := []byte(s[:(n+7)/8])
	if n%8 != 0 {
		b[len(b)-1] &= 0xff << (8 - n%8)
	}
	return string(b)
}
