// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"math/rand/v2"
	"regexp"
	"testing"

	"github.com/tcsim/tcsim/scenarios/runner"
)

// TestZextGone takes the zero-extension away that follows a 32-bit cmpxchg in captured code: the processor keeps the
// upper half of rax where the comparison holds.
func TestZextGone(t *testing.T) {
	zext := regexp.MustCompile(`(f00fb1(?:[4-7][0-9a-f]{3}|[89ab][0-9a-f]{9}))89c0`) // lock cmpxchg [reg+disp], reg; mov eax, eax
	rp, err := New(runner.Options{MaxInsns: 1 << 18, MaxEvents: 1 << 14})
	if err != nil {
		t.Fatal(err)
	}
	defer rp.Close()
	e := &editing{t: t, r: rand.New(rand.NewPCG(1, 1)), rp: rp}
	n := 0
	for _, file := range []string{"6.1-off", "6.12-off"} {
		all := e.lines(file)
		for _, line := range all[1 : len(all)-1] {
			edited := zext.ReplaceAllString(line, "${1}6690")
			if edited == line || n > 40 {
				continue
			}
			n++
			if verdict, _ := e.verdict(all, edited); verdict == survives {
				t.Errorf("%s: %.80s: %s", file, line, verdict)
			}
		}
	}
	if n < 2 {
		t.Errorf("%d scenarios have such code", n)
	}
}
