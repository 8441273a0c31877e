// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/scenarios/edits"
)

// TestImportedThunk moves the jumps of tail calls to the kernel's thunks: where symbols say
// that the thunk is elsewhere, what the jumps lead to is not taken to be it.
func TestImportedThunk(t *testing.T) {
	e := newEditing(t, 3, edits.Kinds())
	all := e.lines("7.2-retp-ret")
	tails := 0
	for _, line := range all[1 : len(all)-1] {
		c := e.bare(all, line)
		if c == nil || c.skip() != "" || sites(c) == 0 || len(c.Scenario.Trampolines) > 0 {
			continue
		}
		if im, err := e.imported(c); err != nil || e.importVerdict(im, err) != survives {
			continue
		}
		img, err := c.decoded.program(c.testRun().Prog, capture.Empty)
		if err != nil {
			t.Fatal(err)
		}
		f := &c.Scenario.Progs[c.testRun().Prog].Funcs[0]
		code := f.Code(capture.Populated)
		var at []int
		for i := range img.Funcs[0].TailCalls {
			if s := &img.Funcs[0].TailCalls[i]; !s.Direct && s.Jump >= 0 && code[s.Jump] == 0xe9 {
				at = append(at, int(s.Jump))
				tails++
			}
		}
		for _, off := range at {
			disp := code[off+1 : off+5]
			was := binary.LittleEndian.Uint32(disp)
			binary.LittleEndian.PutUint32(disp, was+0x1003)
			im, err := e.imported(c)
			binary.LittleEndian.PutUint32(disp, was)
			if err == nil || !strings.Contains(err.Error(), "unknown addresses") {
				t.Errorf("%s: jump at %#x: %v, %v", c.Scenario.Name, off, im != nil, err)
			}
		}
		if tails > 8 {
			break
		}
	}
	if tails == 0 {
		t.Error("no tail call was edited")
	}
}

// TestImportedAgree has one of two programs read the slots of prog arrays elsewhere than the other one.
func TestImportedAgree(t *testing.T) {
	e := newEditing(t, 3, edits.Kinds())
	all := e.lines("7.3-off")
	for _, line := range all[1 : len(all)-1] {
		if !strings.Contains(line, `"hier/via-main/var/n1"`) {
			continue
		}
		const ptrs, other = "488b8cd628010000", "488b8cd638010000" // mov rcx, [rsi+rdx*8+0x128]
		at := strings.LastIndex(line, ptrs)
		if at < 0 {
			t.Fatal("no such tail call")
		}
		c := e.bare(all, line[:at]+other+line[at+len(ptrs):])
		if c == nil {
			t.Fatal("it does not decode")
		}
		im, err := e.imported(c)
		if err != nil {
			t.Fatal(err)
		}
		if len(im.Flaws) == 0 || !strings.Contains(im.Flaws[0], "one of them is wrong") {
			t.Errorf("flaws: %q", im.Flaws)
		}
		return
	}
	t.Error("no such scenario")
}
