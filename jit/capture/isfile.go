// SPDX-License-Identifier: GPL-2.0-only

package capture

import "os"

// IsFile reports whether a path is that of a file compressed as captures are.
func IsFile(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [2]byte
	n, _ := f.Read(magic[:]) // a shorter file is no capture
	return n == 2 && magic == [2]byte{0x1f, 0x8b}
}
