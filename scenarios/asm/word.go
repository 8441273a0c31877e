// SPDX-License-Identifier: GPL-2.0-only

package asm

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// ParseInt reads an integer as scenario files write them: decimal or 0x hex, without leading zeros
// (which YAML 1.1 takes for octal), underscores or a plus sign. The value fits in 64 bits, signed
// or unsigned; above 1<<63-1 it wraps.
func ParseInt(s string) (int64, error) {
	digits := strings.TrimPrefix(s, "-")
	switch {
	case digits == "" || digits[0] < '0' || digits[0] > '9' || strings.Contains(s, "_"):
		return 0, fmt.Errorf("expected an integer, found %q", s)
	case strings.HasPrefix(digits, "0x"):
		digits = digits[2:]
		u, err := strconv.ParseUint(digits, 16, 64)
		return signed(s, u, err)
	case len(digits) > 1 && digits[0] == '0':
		return 0, fmt.Errorf("expected an integer without leading zeros, found %q", s)
	}
	u, err := strconv.ParseUint(digits, 10, 64)
	return signed(s, u, err)
}

func signed(s string, u uint64, err error) (int64, error) {
	neg := s[0] == '-'
	if err != nil || neg && u > 1<<63 {
		return 0, fmt.Errorf("expected an integer of at most 64 bits, found %q", s)
	}
	if neg {
		return -int64(u), nil
	}
	return int64(u), nil
}

var NameForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// ParseRegister reads "r0" to "r10".
func ParseRegister(s string) (uint8, bool) {
	rest, ok := strings.CutPrefix(s, "r")
	if !ok || rest == "" || len(rest) > 1 && rest[0] == '0' {
		return 0, false
	}
	n, err := strconv.ParseUint(rest, 10, 8)
	if err != nil || n > 10 {
		return 0, false
	}
	return uint8(n), true
}

// OneOf renders alternatives for a message.
func OneOf(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return "one of " + strings.Join(names, ", ")
}
