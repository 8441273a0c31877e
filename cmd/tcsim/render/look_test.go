// SPDX-License-Identifier: GPL-2.0-only

package render_test

import (
	"strings"
	"testing"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/stack"
)

// shown is what a terminal is sent.
func shown(t *testing.T, text string) string {
	t.Helper()
	var b strings.Builder
	if n, err := render.Coloured(&b).Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("wrote %d of %d: %v", n, len(text), err)
	}
	return strings.ReplaceAll(b.String(), "\x1b", "ESC")
}

// TestVerdicts colours verdicts, and nothing that a name holds.
func TestVerdicts(t *testing.T) {
	l := render.Look{Colour: true}
	for text, want := range map[string]string{
		"hierarchy  6.12  1  ok\n":             "hierarchy  6.12  1  ESC[32mokESC[0m\n",
		"hierarchy  6.1  -  violates limit\n":  "hierarchy  6.1  -  ESC[31mviolates limitESC[0m\n",
		"    NOT AS EXPECTED: return 1\n":      "    ESC[31mNOT AS EXPECTEDESC[0m: return 1\n",
		"replace a[0]: one -> two  2  passes":  "replace a[0]: one -> two  2  ESC[32mpassesESC[0m",
		"it is ok to say violates limit twice": "it is ok to say violates limit twice",
		"\x1b[31mname\x1b[2J  ok":              `\x1b[31mname\x1b[2J  ESC[32mokESC[0m`,
	} {
		if got := shown(t, l.Verdicts(text)); got != want {
			t.Errorf("%q:\n%q, want\n%q", text, got, want)
		}
		if got := (render.Look{}).Verdicts(text); got != text {
			t.Errorf("without colours: %q", got)
		}
	}
}

// TestCells colours codes of a matrix but not the names of targets.
func TestCells(t *testing.T) {
	got := shown(t, render.Look{Colour: true}.Cells("6.1  .  lim pok! -\nlim  . .\n"))
	if want := "6.1  .  ESC[33mlimESC[0m ESC[31mpok!ESC[0m -\nlim  . .\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestColouredPicture has colours in the picture and escapes in its names.
func TestColouredPicture(t *testing.T) {
	count := uint64(3)
	l := &stack.Layout{
		RSP: 0xffffc90000001000, RBP: 0xffffc90000001008, Caller: "\x1b[31mkernel",
		Frames: []stack.Frame{{Activation: 1, Func: "f\x1b[32m", Top: 0xffffc90000001010, Base: 0xffffc90000001008, End: 3}},
		Slots: []stack.Slot{
			{Addr: 0xffffc90000001010, Size: 8, Label: "rip", Meaning: "return address: \x1b[1mx"},
			{Addr: 0xffffc90000001008, Size: 8, Label: "rbp", Meaning: "saved rbp"},
			{Addr: 0xffffc90000001000, Size: 8, Label: "tcc", Meaning: "tail_call_cnt", Count: &count},
		},
	}
	got := shown(t, render.Look{Colour: true, Box: true}.Picture(l, "\x1b[0mtitle", false))
	for _, want := range []string{`\x1b[31mkernel`, `f\x1b[32m()`, `\x1b[1mx`, `\x1b[0mtitle`, "ESC[33mRBPESC[0m", "ESC[1mtccESC[0m", "ESC[33mRSPESC[0m"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "ESC["); n != 6 {
		t.Errorf("%d sequences, want 6:\n%s", n, got)
	}
	if l.Caller != "\x1b[31mkernel" {
		t.Error("the layout has changed")
	}
}
