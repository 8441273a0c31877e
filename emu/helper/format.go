// SPDX-License-Identifier: GPL-2.0-only

package helper

import (
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/image"
)

// tracePrintk formats with up to three arguments.
func tracePrintk(c *call) (uint64, error) {
	r, err := c.printk()
	c.e.Printed = append(c.e.Printed, r)
	return r, err
}

func (c *call) printk() (uint64, error) {
	n := c.arg(2)
	if n > 1024 {
		return guest.EINVAL.Result(), nil
	}
	f, err := c.bytes(1, uint32(n))
	if err != nil {
		return 0, err
	}
	format, _, ended := strings.Cut(string(f), "\x00")
	if !ended {
		return guest.EINVAL.Result(), nil
	}
	s, err := c.format(format, []uint64{c.arg(3), c.arg(4), c.arg(5)})
	if errors.Is(err, errFormat) {
		return guest.EINVAL.Result(), nil
	}
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
	format, _, ended := strings.Cut(string(f), "\x00")
	if !ended {
		return guest.EINVAL.Result(), nil
	}
	s, err := c.formatWith(format, 3, size)
	if errors.Is(err, errFormat) {
		return guest.EINVAL.Result(), nil
	}
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
	if errors.Is(err, errFormat) {
		return guest.EINVAL.Result(), nil
	}
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

// errFormat is the cause of formats that the kernel refuses with -EINVAL.
var errFormat = errors.New("the kernel refuses the format")

// format is bpf_bprintf_prepare and bstr_printf (kernel/bpf/helpers.c): conversions d i u x X with l and
// ll, c, s, and p with its extensions, each with flags and a width.
func (c *call) format(f string, args []uint64) (string, error) {
	var b strings.Builder
	next := 0
	for i := 0; i < len(f); {
		if f[i] != '%' {
			if !printable(f[i]) {
				return "", errFormat
			}
			b.WriteByte(f[i])
			i++
			continue
		}
		if strings.HasPrefix(f[i:], "%%") {
			b.WriteByte('%')
			i += 2
			continue
		}
		m := conversion.FindStringSubmatch(f[i:])
		if m == nil || next == len(args) {
			return "", errFormat
		}
		i += len(m[0])
		if open := m[6] != "" || m[7] == "p" || strings.HasSuffix(m[7], "s") && len(m[7]) == 3; open && i < len(f) && wordByte(f[i]) {
			return "", errFormat // it would be another conversion
		}
		b.WriteString(c.convert(m, args[next]))
		next++
	}
	return b.String(), nil
}

// printable reports whether a format may have a byte (isprint and isspace, and no more than ASCII).
func printable(c byte) bool { return c >= ' ' && c < 0x7f || c >= '\t' && c <= '\r' }

// wordByte reports whether a printable byte is neither space nor punctuation.
func wordByte(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// conversion is what may follow %: flags, a width, a size and the verb.
var conversion = regexp.MustCompile(`^%([0+ -]*)([1-9][0-9]*)?(?:(l{0,2})([diuxX])|(c)|(s)|(p[ku]s|p[iI][46]|p[KxsSB]|p))`)

// convert is one conversion, padded to its width. Memory that is not there is an empty string, or an address of zeros.
func (c *call) convert(m []string, x uint64) string {
	flags, width := m[1], 0
	fmt.Sscan(m[2], &width) // the form allows numbers only, no width is 0
	left, zero := strings.Contains(flags, "-"), strings.Contains(flags, "0")
	text := ""
	switch {
	case m[4] != "":
		text = integer(m[3] != "", m[4][0], flags, x)
	case m[5] != "":
		text, zero = string([]byte{byte(x)}), false
	case m[6] != "" || m[7] == "pks" || m[7] == "pus":
		zero = false
		if s, err := c.e.Mem.CString(image.Addr(x), 512); err == nil {
			text = s
		}
	default:
		text = c.pointer(m[7], x)
	}
	switch pad := width - len(text); {
	case pad <= 0:
	case left:
		text += strings.Repeat(" ", pad)
	case zero:
		sign := len(text) - len(strings.TrimLeft(text, "+- "))
		text = text[:sign] + strings.Repeat("0", pad) + text[sign:]
	default:
		text = strings.Repeat(" ", pad) + text
	}
	return text
}

// integer is a number of 4 bytes, or of 8 if long.
func integer(long bool, verb byte, flags string, x uint64) string {
	s := int64(x)
	if !long {
		x, s = uint64(uint32(x)), int64(int32(x))
	}
	switch verb {
	case 'u':
		return strconv.FormatUint(x, 10)
	case 'x':
		return strconv.FormatUint(x, 16)
	case 'X':
		return strings.ToUpper(strconv.FormatUint(x, 16))
	}
	text := strconv.FormatInt(s, 10)
	switch {
	case s < 0:
	case strings.Contains(flags, "+"):
		text = "+" + text
	case strings.Contains(flags, " "):
		text = " " + text
	}
	return text
}

// pointer is %p and its extensions (lib/vsprintf.c, pointer): addresses are shown as they are, without
// the kernel's hashing and its table of symbols.
func (c *call) pointer(verb string, x uint64) string {
	if len(verb) < 3 {
		return fmt.Sprintf("%016x", x)
	}
	size := 4
	if verb[2] == '6' {
		size = 16
	}
	b := make([]byte, size)
	if c.e.Mem.Read(image.Addr(x), b) != nil {
		clear(b)
	}
	switch verb {
	case "pI4":
		return fmt.Sprintf("%d.%d.%d.%d", b[0], b[1], b[2], b[3])
	case "pi4":
		return fmt.Sprintf("%03d.%03d.%03d.%03d", b[0], b[1], b[2], b[3])
	}
	var words []string
	for ; len(b) > 0; b = b[2:] {
		words = append(words, fmt.Sprintf("%02x%02x", b[0], b[1]))
	}
	if verb == "pi6" {
		return strings.Join(words, "")
	}
	return strings.Join(words, ":")
}
