// SPDX-License-Identifier: GPL-2.0-only

package kernels

import (
	"fmt"
	"strconv"
	"strings"
)

// Version is a mainline release: Version{6, 12} is Linux 6.12. The zero value stands for none.
type Version struct{ Major, Minor int }

// String returns the number as people write it, such as "6.12".
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// Before reports whether v was released before w.
func (v Version) Before(w Version) bool {
	return v.Major < w.Major || v.Major == w.Major && v.Minor < w.Minor
}

// last are the minor numbers that a major one ended with.
var last = map[int]int{4: 20, 5: 19, 6: 19}

// next is the release after v.
func (v Version) next() Version {
	if end, ok := last[v.Major]; ok && v.Minor == end {
		return Version{v.Major + 1, 0}
	}
	return Version{v.Major, v.Minor + 1}
}

// prev is the release before v.
func (v Version) prev() Version {
	if v.Minor == 0 {
		return Version{v.Major - 1, last[v.Major-1]}
	}
	return Version{v.Major, v.Minor - 1}
}

// known reports whether there was such a release, as far as the registry knows.
func (v Version) known() bool {
	if end, ok := last[v.Major]; ok && v.Minor > end {
		return false
	}
	return !v.Before(oldest) && !newest().Version.Before(v)
}

// ParseVersion reads the number at the beginning of a text such as "6.12", "6.12-retpoline" or what
// uname -r prints: "6.12.107+deb13-cloud-amd64" is 6.12 with patch 107. patch is -1 if the text has none;
// rest is what follows.
func ParseVersion(text string) (v Version, patch int, rest string, ok bool) {
	patch = -1
	major, rest, ok := number(text)
	if !ok || !strings.HasPrefix(rest, ".") {
		return v, patch, text, false
	}
	minor, rest, ok := number(rest[1:])
	if !ok {
		return v, patch, text, false
	}
	v = Version{major, minor}
	if strings.HasPrefix(rest, ".") {
		if n, after, ok := number(rest[1:]); ok {
			return v, n, after, true
		}
	}
	return v, patch, rest, true
}

// number reads the digits at the beginning of a text.
func number(text string) (n int, rest string, ok bool) {
	end := 0
	for end < len(text) && end < 9 && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(text[:end])
	return n, text[end:], err == nil
}
