// SPDX-License-Identifier: GPL-2.0-only

package recognise_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/recognise"
)

// TestLooseEnds has what is left of tail calls found, and nothing in programs without one.
func TestLooseEnds(t *testing.T) {
	const (
		// endbr64; nop5; xor rax, rax; push rbp; mov rbp, rsp; endbr64; sub rsp, 16; then the counter and rbx
		head    = "f3 0f 1e fa 0f 1f 44 00 00 48 31 c0 55 48 89 e5 f3 0f 1e fa 48 81 ec 10 00 00 00 "
		counter = "48 83 f8 21 77 06 50 48 89 e0 eb 01 50 50 53 "
		plain   = "53 " // of a function without a counter
		call    = "e8 00 10 00 00 "
		tail    = "31 c0 5b c9 c3"
	)
	for _, c := range []struct{ name, code, want string }{
		{"nothing", head + plain + tail, ""},
		{"stack", head + plain + "48 89 45 f0 48 89 ee 48 83 c6 f0 " + tail, ""},
		{"exit by the thunk", head + plain + "31 c0 5b c9 e9 00 10 00 00", ""},
		{"a table's jump", head + plain + "48 8b 49 10 ff e1", ""},
		{"a table's jump by a thunk", head + plain + "48 8b 49 10 e9 00 10 00 00", ""},
		{"counter before a call", head + counter + "48 8b 85 e0 ff ff ff " + call + tail, ""},
		{"jump to a sum", head + plain + "48 83 c1 0b ff e1 " + tail, "it jumps to a sum"},
		{"another register's sum", head + plain + "48 83 c2 0b ff e1 " + tail, ""},
		{"jump away", head + plain + "90 e9 00 10 00 00 " + tail, "it leaves the function"},
		{"jump to the landing", head + plain + "eb f2 " + tail, "it leads into the prologue"},
		{"condition to the landing", head + plain + "74 f2 " + tail, "it leads into the prologue"},
		{"rsp", head + plain + call + "48 83 c4 10 " + tail, "it moves the stack pointer"},
		{"a register popped", head + plain + "5b 31 c0 " + tail, "it takes a register off the stack"},
		{"a scratch register popped", head + plain + "50 58 " + tail, ""},
		{"counter read", head + counter + "48 8b 85 e0 ff ff ff 31 c0 " + tail, "it uses the counter"},
		{"counter written before a call", head + counter + call + "48 89 85 e0 ff ff ff " + call + tail, "it uses the counter"},
		{"half of the counter", head + counter + "8b 45 e4 31 c0 " + tail, "it uses the counter"},
		{"next to the counter", head + counter + "48 8b 45 f0 31 c0 " + tail, ""},
		{"below the frame", head + plain + call + "48 89 45 e0 " + tail, "it reaches below the frame"},
		{"address below the frame", head + plain + "48 89 ee 48 83 c6 e0 " + tail, "it reaches below the frame"},
		{"sum of something else", head + plain + "48 89 d6 48 83 c6 e0 " + tail, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, err := hex.DecodeString(strings.ReplaceAll(c.code, " ", ""))
			must(t, err)
			img, err := recognise.RecogniseImage([]image.FuncImage{{Name: "f", Addr: 0xffffffffc0001000, Code: code}})
			must(t, err)
			found, err := recognise.LooseEnds(img)
			must(t, err)
			switch {
			case c.want == "" && len(found) > 0, c.want != "" && len(found) != 1:
				t.Errorf("found %v", found)
			case c.want != "" && !strings.Contains(found[0].Text, c.want):
				t.Errorf("%s, want %s", found[0].Text, c.want)
			}
		})
	}
	if _, err := recognise.LooseEnds(&image.Image{Funcs: []image.FuncImage{{Code: []byte{0x0f}}}}); err == nil {
		t.Error("code that does not decode is taken")
	}
}
