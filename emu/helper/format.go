// SPDX-License-Identifier: GPL-2.0-only

package helper

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/image"
)

// tracePrintk formats with up to three arguments: %d %i %u %x %p %c %s with the usual sizes.
func tracePrintk(c *call) (uint64, error) {
	n := c.arg(2)
	if n > 1024 {
		return guest.EINVAL.Result(), nil
	}
	f, err := c.bytes(1, uint32(n))
	if err != nil {
		return 0, err
	}
	format, _, _ := strings.Cut(string(f), "\x00")
	s, err := c.format(format, []uint64{c.arg(3), c.arg(4), c.arg(5)})
	if err != nil {
		return 0, err
	}
	c.e.Printk = append(c.e.Printk, s)
	return uint64(len(s)), nil
}

// traceVprintk is trace_printk with its arguments in memory.
func traceVprintk(c *call) (uint64, error) {
	n, size := c.arg(2), c.arg(4)
	if n > 1024 || size%8 != 0 || size > 12*8 {
		return guest.EINVAL.Result(), nil
	}
	f, err := c.bytes(1, uint32(n))
	if err != nil {
		return 0, err
	}
	format, _, _ := strings.Cut(string(f), "\x00")
	s, err := c.formatWith(format, 3, size)
	if err != nil {
		return 0, err
	}
	c.e.Printk = append(c.e.Printk, s)
	return uint64(len(s)), nil
}

// snprintf is bpf_snprintf: buffer, its size, format, arguments, their size in bytes.
func snprintf(c *call) (uint64, error) {
	room, size := c.arg(2), c.arg(5)
	if size%8 != 0 || size > 12*8 || room > 1<<20 {
		return guest.EINVAL.Result(), nil
	}
	format, err := c.e.Mem.CString(c.addr(3), 512)
	if err != nil {
		return 0, fmt.Errorf("argument 3: %w", err)
	}
	s, err := c.formatWith(format, 4, size)
	if err != nil {
		return 0, err
	}
	if room > 0 {
		out := append([]byte(s)[:min(len(s), int(room)-1)], 0)
		if err := c.e.Mem.Write(c.addr(1), out); err != nil {
			return 0, fmt.Errorf("argument 1: %w", err)
		}
	}
	return uint64(len(s)) + 1, nil
}

// formatWith formats size bytes of arguments in memory that argument arg points to.
func (c *call) formatWith(format string, arg int, size uint64) (string, error) {
	args := make([]uint64, size/8)
	if size > 0 {
		b, err := c.bytes(arg, uint32(size))
		if err != nil {
			return "", err
		}
		for i := range args {
			args[i] = binary.LittleEndian.Uint64(b[8*i:])
		}
	}
	return c.format(format, args)
}

func (c *call) format(f string, args []uint64) (string, error) {
	var b strings.Builder
	next := 0
	for i := 0; i < len(f); i++ {
		if f[i] != '%' || i+1 == len(f) {
			b.WriteByte(f[i])
			continue
		}
		i++
		long := 0
		for i < len(f)-1 && f[i] == 'l' {
			long++
			i++
		}
		if f[i] == '%' {
			b.WriteByte('%')
			continue
		}
		if next == len(args) {
			return "", fmt.Errorf("format %q has more than %d arguments", f, len(args))
		}
		if err := c.verb(&b, f[i], long > 0, args[next]); err != nil {
			return "", fmt.Errorf("format %q: %w", f, err)
		}
		next++
	}
	return b.String(), nil
}

func (c *call) verb(b *strings.Builder, v byte, long bool, x uint64) error {
	s := int64(x)
	if !long && v != 'p' && v != 's' {
		x, s = uint64(uint32(x)), int64(int32(x))
	}
	switch v {
	case 'd', 'i':
		fmt.Fprintf(b, "%d", s)
	case 'u':
		fmt.Fprintf(b, "%d", x)
	case 'x':
		fmt.Fprintf(b, "%x", x)
	case 'p':
		fmt.Fprintf(b, "%016x", x)
	case 'c':
		b.WriteByte(byte(x))
	case 's':
		str, err := c.e.Mem.CString(image.Addr(x), 512)
		if err != nil {
			return err
		}
		b.WriteString(str)
	default:
		return fmt.Errorf("verb %%%c is not modelled", v)
	}
	return nil
}
