// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/jit/x86"
)

// twoSequences are 4 dependent adds and 4 dependent multiplications in a loop.
const twoSequences = `{"core": "c", "sequences": [
{"name": "add", "kind": "alu", "code": "4801d84801d84801d84801d849ffcc75efc3",
 "loop": {"start": 0, "end": 17, "copies": 4, "trips": 4000}, "instructions_per_trip": 6, "cycles": {"median": 4, "p10": 4, "p90": 4}},
{"name": "imul", "kind": "muldiv", "code": "480fafc3480fafc3480fafc3480fafc349ffcc75ebc3",
 "loop": {"start": 0, "end": 21, "copies": 4, "trips": 2000}, "instructions_per_trip": 6, "cycles": {"median": 12, "p10": 12, "p90": 12}}]}`

// hostEnv is an env whose own program is the test binary.
func hostEnv(t *testing.T) (e env, stdout, stderr *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Skip(err)
	}
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	return env{stdin: strings.NewReader(""), stdout: stdout, stderr: stderr, self: self}, stdout, stderr
}

// TestCyclesHost measures here, and judges the file that it wrote: the same table again.
func TestCyclesHost(t *testing.T) {
	file, here := write(t, "m.json", twoSequences), filepath.Join(t.TempDir(), "here.json")
	e, out, errs := hostEnv(t)
	code := doMain(context.Background(), []string{"tcsim", "cycles", "--measured", file, "--host", "-o", here}, e)
	if code == exitUntestable {
		t.Skip(errs)
	}
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	code, again, why := tcsim(t, "", "cycles", "--measured", here)
	if code != exitOK || again != out.String() {
		t.Errorf("exit code %d: %s\n%s, want\n%s", code, why, again, out)
	}
}

// TestHostFault checks that code that cannot run costs its process only.
func TestHostFault(t *testing.T) {
	if err := emu.HostUsable(); err != nil {
		t.Skip(err)
	}
	e, _, _ := hostEnv(t)
	s := timing.Sequence{
		Name: "ud2", Code: []byte{0x0f, 0x0b}, Trips: 8, At: timing.MeasuredCode,
		Data:  timing.Span{Addr: timing.MeasuredData, Size: timing.MeasuredSpan},
		Stack: timing.Span{Addr: timing.MeasuredStack, Size: timing.MeasuredSpan},
	}
	s.Regs[x86.RSP] = timing.MeasuredRSP
	reps, err := e.nativePass(context.Background(), &s)
	if err == nil || reps != nil || !strings.Contains(err.Error(), "sequence ud2: worker process ended: ") {
		t.Errorf("repetitions %v, error %v", reps, err)
	}
}

// TestCyclesDocs checks that the error table of the documentation is what the command prints.
func TestCyclesDocs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	code, out, errs := tcsim(t, "", "cycles", "--measured", "fixtures/uarch/measured.json")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	docs, err := os.ReadFile("docs/timing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(out, "\nkind ")
	table, _, _ = strings.Cut(table, "\n\n")
	if len(table) < 500 || !strings.Contains(string(docs), table) {
		t.Errorf("docs/timing.md does not have\n%s", table)
	}
}
