// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/scenarios/edits"
)

// TestFoundEdits are edits that were called ok before: what they change shows only for one value of a register that comes
// from memory or a helper.
func TestFoundEdits(t *testing.T) {
	for _, tc := range []struct {
		file, scenario string
		prog, off      int
		was, now       string
	}{
		{"7.3-off", "isa/map/arr/lookup-var", 0, 0x5e, "740d", "6690"},              // the null check of a lookup
		{"7.3-off", "tail/main/const/stack0", 0, 0x5a, "0f1f440000", "0f1f447e00"},  // a nop of five bytes, but another one
		{"6.12-off", "rand/5eed-049", 2, 0x174, "488b85d8ffffff", "488b85dcffffff"}, // the counter's pointer, from next to it
		{"6.12-off", "isa/jmp32/jne/imm/r0", 0, 0x4e, "83f807", "83f880"},           // a comparison with another number
		{"7.3-off", "isa/jmp32/jne/imm/r0", 0, 0x4e, "83f807", "83f880"},            // the same
	} {
		lines := captureLines(t, tc.file)
		for _, line := range lines[1 : len(lines)-1] {
			if !strings.Contains(line, `"`+tc.scenario+`"`) {
				continue
			}
			src, err := alone(t, lines, line)
			if err != nil {
				t.Fatal(err)
			}
			sc, err := src.Scenario(0)
			if err != nil {
				t.Fatal(err)
			}
			if sc.Name != tc.scenario {
				continue
			}
			repl, err := hex.DecodeString(tc.now)
			if err != nil {
				t.Fatal(err)
			}
			e := edit{Edit: edits.Edit{Kind: "byte", Lo: tc.off, Hi: tc.off + len(repl), Repl: repl}, prog: tc.prog, state: capture.Empty}
			if was := hex.EncodeToString(sc.Progs[tc.prog].Funcs[0].Code(capture.Empty)[e.Lo:e.Hi]); was != tc.was {
				t.Fatalf("%s: %s at +%#x", tc.scenario, was, tc.off)
			}
			text, ok := e.apply(t, line, sc)
			if !ok {
				t.Fatal("not made")
			}
			if src, err = alone(t, lines, text); err != nil {
				t.Fatal(err)
			}
			target, err := TargetOf(src)
			if err != nil {
				t.Fatal(err)
			}
			c, err := Capture(src, target, 0)
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Known().flaws) == 0 {
				t.Errorf("%s %s +%#x: nothing is wrong with %s", tc.file, tc.scenario, tc.off, tc.now)
			}
		}
	}
}
