// SPDX-License-Identifier: GPL-2.0-only

package replay_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios/replay"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// hostile is code that stands in place of a function's body.
var hostile = map[string]string{
	"jump to nowhere":             "e900000070",
	"jump to address 0":           "31c0ffe0",
	"jump to a wild address":      "48b8efbeaddeefbeaddeffe0",
	"jump into the stack":         "ffe4",
	"call of nowhere":             "e800000070",
	"return to nowhere":           "6a00c3",
	"endless loop":                "ebfe",
	"endless recursion":           "e8fbffffff",
	"pushes for ever":             "50ebfd",
	"stack pointer lost":          "4831e450c3",
	"stack pointer into the map":  "48bc000000000000ffff50c3",
	"writes its own code":         "c605f9ffffff90c3",
	"writes the caller's frame":   "48c7450800000000c3",
	"string store over the stack": "4889e748c7c1ffffffff31c0f3aa",
	"halt":                        "f4",
	"system call":                 "0f05",
	"interrupt":                   "cd80",
	"breakpoint":                  "cc",
	"undefined":                   "0f0b",
	"output to a port":            "e70031c0",
	"output to every port":        "ba00010000efebfd",
	"input from a port":           "ec31c0ebfe",
	"string to a port":            "4889fe6febfd",
	"string from a port":          "6cebfd",
	"page table register":         "0f22d8",
	"model register":              "0f30",
	"interrupts off":              "faebfe",
	"return from interrupt":       "48cf",
	"swaps gs":                    "0f01f8ebfe",
	"time stamp":                  "0f31ebfe",
	"processor id":                "0fa2ebfe",
	"wide vector":                 "c5fdefc0ebfe",
	"division by zero":            "31c931c0f7f1",
	"debug register":              "0f23c0ebfe",
	"debug breakpoints":           "48c7c0010000000f23f8ebfe",
	"debug breakpoints, read":     "0f21f8ebfe",
	"far return":                  "48cb",
}

// rest is hostile code with nops up to the end of the function, so that all of it decodes.
func rest(t *testing.T, f *image.FuncImage, code string) []byte {
	b := unhex(t, code)
	return append(b, bytes.Repeat([]byte{0x90}, len(f.Code)-int(f.Frame.Body)-len(b))...)
}

// TestHostile replays code that no compiler made: each ends within the budgets with a verdict, none
// ends the process or counts as right, and the machine is as good as new for the next scenario.
func TestHostile(t *testing.T) {
	for _, file := range []string{"6.1-off", "6.12-off"} {
		rp, err := replay.New(runner.Options{MaxInsns: 1 << 18, MaxEvents: 1 << 14})
		must(t, err)
		defer rp.Close()
		l := captureText(t, file, "tail/main/const/callee1111/stack8")
		run := func(l lines) (*replay.Replay, error) {
			src := l.read(t)
			target, err := replay.TargetOf(src)
			must(t, err)
			c, err := replay.Capture(src, target, 0)
			must(t, err)
			return rp.Run(context.Background(), c)
		}
		src := l.read(t)
		target, err := replay.TargetOf(src)
		must(t, err)
		c, err := replay.Capture(src, target, 0)
		must(t, err)
		f := &c.Known().Images[0].Funcs[0]
		for name, code := range hostile {
			r, err := run(l.with(f.Code, int(f.Frame.Body), rest(t, f, code)...))
			switch {
			case err != nil:
				t.Errorf("%s: %s: a failure of ours: %v", file, name, err)
			case len(r.Wrong) == 0 || r.Violation == nil && r.Killed == "" && !strings.Contains(r.Wrong[0], "does not decode"):
				t.Errorf("%s: %s: not ended by a verdict: returned %d, %q", file, name, r.Return, r.Wrong)
			default:
				t.Logf("%s: %.130s", name, r.Wrong[len(r.Wrong)-1])
			}
			if r != nil && r.Retired > runner.DefaultMaxInsns {
				t.Errorf("%s: %s executed %d instructions", file, name, r.Retired)
			}
			if r, err := run(l); err != nil || len(r.Wrong) != 0 {
				t.Fatalf("%s: after %s the unchanged code is wrong: %q, %v", file, name, r.Wrong, err)
			}
		}
	}
}

// unhex reads bytes in hex.
func unhex(t *testing.T, s string) []byte {
	t.Helper()
	var out []byte
	for i := 0; i+1 < len(s); i += 2 {
		d := strings.IndexByte("0123456789abcdef", s[i])<<4 | strings.IndexByte("0123456789abcdef", s[i+1])
		out = append(out, byte(d))
	}
	return out
}
