// SPDX-License-Identifier: GPL-2.0-only

package vm

import (
	"fmt"
	"io"
)

// cpio writes an initramfs: the "newc" format (Documentation/driver-api/early-userspace/
// buffer-format.rst), which is a header in hexadecimal, the name and the contents, each padded to 4
// bytes.
type cpio struct {
	w   io.Writer
	ino int
	n   int // bytes written
	err error
}

// Modes of entries, as in stat(2).
const (
	modeDir  = 0o040755
	modeFile = 0o100755
	modeChar = 0o020600
)

func (c *cpio) write(b []byte) {
	if c.err == nil {
		var n int
		n, c.err = c.w.Write(b)
		c.n += n
	}
}

func (c *cpio) pad() {
	if r := c.n % 4; r != 0 {
		c.write(make([]byte, 4-r))
	}
}

// entry writes one entry; major and minor are those of a device.
func (c *cpio) entry(name string, mode, major, minor int, data []byte) {
	if name != trailer {
		c.ino++
	}
	c.write(fmt.Appendf(nil, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		c.ino, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0))
	c.write([]byte(name + "\x00"))
	c.pad()
	c.write(data)
	c.pad()
}

const trailer = "TRAILER!!!"

// close ends the archive.
func (c *cpio) close() error {
	c.entry(trailer, 0, 0, 0, nil)
	return c.err
}
