// SPDX-License-Identifier: GPL-2.0-only

package emu_test

import (
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
)

// TestPrintkFormats: formats are taken and refused as bpf_bprintf_prepare of kernel/bpf/helpers.c does it.
func TestPrintkFormats(t *testing.T) {
	const bad, nowhere = "refused", 0x1234
	m, _ := helperMachine(t, 6)
	text := put(t, m, 512, []byte("text\x00"))
	ip := put(t, m, 544, []byte{10, 0, 0, 7})
	for _, c := range []struct {
		format string
		arg    uint64
		want   string
	}{
		{"%d%%\x00", 7, "7%"},
		{"%p\x00", 0x12, "0000000000000012"},
		{"%p, then\x00", 0x12, "0000000000000012, then"},
		{"%px1\x00", 0x12, "00000000000000121"},
		{"%pd\x00", 0x12, bad}, {"%p4\x00", 0x12, bad}, {"%pI5\x00", ip, bad}, {"%pka\x00", text, bad},
		{"%s.\x00", text, "text."}, {"%sx\x00", text, bad}, {"%pks \x00", text, "text "}, {"%pus1\x00", text, bad},
		{"%pI41\x00", ip, "10.0.0.71"},
		{"%pI4\x00", nowhere, "0.0.0.0"}, {"[%s]\x00", nowhere, "[]"},
		{"%d\x01\x00", 7, bad}, {"\xe9\x00", 7, bad}, {"a\tb\n\x00", 7, "a\tb\n"},
		{"no end", 7, bad},
		{"%d %d %d %d\x00", 7, bad},
	} {
		at := put(t, m, 0, []byte(c.format))
		res := run(t, m, emu.Run{Args: []uint64{at, uint64(len(c.format)), c.arg}})
		switch {
		case c.want == bad && res.Return() == guest.EINVAL.Result() && len(res.Printk) == 0:
		case len(res.Printk) == 1 && res.Printk[0] == c.want && res.Return() == uint64(len(c.want)):
		default:
			t.Errorf("%q: %d, %q, want %q", c.format, int64(res.Return()), res.Printk, c.want)
		}
	}
}
