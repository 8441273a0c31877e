// SPDX-License-Identifier: GPL-2.0-only

package image

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseAddr reads an address in hex, with or without 0x.
func ParseAddr(s string) (Addr, error) {
	a, err := strconv.ParseUint(strings.TrimPrefix(s, "0x"), 16, 64)
	if err != nil {
		return 0, fmt.Errorf("expected an address in hex, found %q", s)
	}
	return Addr(a), nil
}
