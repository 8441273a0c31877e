// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/timing/measured"
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
	if testing.Short() {
		t.Skip("takes long")
	}
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

// TestCyclesScenarios measures scenarios here, and judges the file that it wrote by another core. What
// a busy machine could not measure is named, and is in neither table.
func TestCyclesScenarios(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	here := filepath.Join(t.TempDir(), "here.json")
	e, out, errs := hostEnv(t)
	args := []string{"tcsim", "cycles", "--host", "--scenarios", "chain33", "tramp_bpf2bpf_fentry", "--target", "6.12", "-o", here}
	code := doMain(context.Background(), args, e)
	if code == exitUntestable {
		t.Skip(errs)
	}
	if code != exitOK || strings.Contains(out.String(), "held out") {
		t.Errorf("exit code %d: %s\n%s", code, errs, out)
	}
	if !strings.Contains(errs.String(), "left out: run 1 of scenario tramp_bpf2bpf_fentry on 6.12: it calls __bpf_prog_enter") {
		t.Errorf("nothing is said of what is left out: %s", errs)
	}
	code, again, why := tcsim(t, "", "cycles", "--measured", here, "--core", "zen5")
	if code != exitOK {
		t.Errorf("exit code %d: %s", code, why)
	}
	for _, name := range []string{"chain33@6.12", "tramp_bpf2bpf_fentry#2@6.12"} {
		unmeasured := strings.Contains(errs.String(), "not measured: sequence "+name+": ")
		for _, table := range []string{out.String(), again} {
			if listed := strings.Contains(table, "\n"+name+" "); listed == unmeasured {
				t.Errorf("%s: listed %t, said to be unmeasured %t: %s\n%s", name, listed, unmeasured, errs, table)
			}
		}
	}
}

// TestScenarioUsage: what does not go together is refused.
func TestScenarioUsage(t *testing.T) {
	for _, args := range [][]string{
		{"--scenarios"}, {"--host", "--scenarios", "--measured", "x.json"}, {"--host", "--scenarios", "--learn", "-o", "x.yaml"},
		{"--host", "--measured", "x.json", "chain33"}, {"--host", "--measured", "x.json", "--target", "6.12"},
	} {
		if code, _, errs := tcsim(t, "", append([]string{"cycles"}, args...)...); code != exitUsage || !strings.Contains(errs, "--scenarios") {
			t.Errorf("%v: exit code %d: %s", args, code, errs)
		}
	}
}

// TestHostFault checks that code that cannot run costs its process only.
func TestHostFault(t *testing.T) {
	if err := emu.HostUsable(); err != nil {
		t.Skip(err)
	}
	e, _, _ := hostEnv(t)
	s := measured.Sequence{
		Name: "ud2", Code: []byte{0x0f, 0x0b}, Trips: 8, At: measured.CodeBase,
		Data:  measured.Span{Addr: measured.DataBase, Size: measured.AreaSize},
		Stack: measured.Span{Addr: measured.StackBase, Size: measured.AreaSize},
	}
	s.Regs[x86.RSP] = measured.EntryRSP
	reps, err := e.measurer().Pass(context.Background(), &s, 200)
	if err == nil || reps != nil || !strings.Contains(err.Error(), "sequence ud2: worker process ended: ") {
		t.Errorf("repetitions %v, error %v", reps, err)
	}
}

// TestCyclesDocs checks that the error tables of the documentation are what the command prints.
func TestCyclesDocs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	atTop(t)
	docs, err := os.ReadFile("docs/timing.md")
	if err != nil {
		t.Fatal(err)
	}
	for core, file := range map[string]string{"glc": "fixtures/uarch/measured.json", "zen5": "fixtures/uarch/zen5/measured.json"} {
		code, out, errs := tcsim(t, "", "cycles", "--core", core, "--measured", file, "--max-mape", "5")
		if code != exitOK {
			t.Fatalf("%s: exit code %d: %s", core, code, errs)
		}
		_, table, _ := strings.Cut(out, "\nkind ")
		table, _, _ = strings.Cut(table, "\n\n")
		if len(table) < 500 || !strings.Contains(string(docs), table) {
			t.Errorf("docs/timing.md does not have for %s\n%s", core, table)
		}
	}
}

// TestTailCallCliff: on Zen 5 the direct tail calls of 6.12 are cheap in a ring of few programs and
// dear in one of many, because wrong renaming is learned for few loads.
func TestTailCallCliff(t *testing.T) {
	atTop(t)
	raw, err := os.ReadFile("fixtures/uarch/zen5/measured.json")
	if err != nil {
		t.Fatal(err)
	}
	perCall := func(programs int) float64 {
		file := write(t, "ring.json", ringOf(t, raw, programs))
		code, out, errs := tcsim(t, "", "cycles", "--core", "zen5", "--measured", file, "--json")
		var r struct{ Results []struct{ Predicted float64 } }
		if err := json.Unmarshal([]byte(out), &r); code != exitOK || err != nil {
			t.Fatalf("exit code %d, %v: %s", code, err, errs)
		}
		return r.Results[0].Predicted / 33
	}
	few, some, many := perCall(6), perCall(10), perCall(34)
	t.Logf("cycles a tail call in a ring of 6, 10 and 34 programs: %.1f, %.1f, %.1f", few, some, many)
	if few > 4 || some < 16 || some > many || many < 24 || many > 31 {
		t.Errorf("cycles a tail call: %.1f with 6 programs, %.1f with 10, %.1f with 34; measured 3 up to 6, 18 at 8, 28 at 32", few, some, many)
	}
}

// ringOf makes of tc33_v2024_direct, a chain of 34 programs of 0x60 bytes from 0x40 on, a ring of some
// of them: the jump at 0x4a of the last goes back to 0x0c in the first.
func ringOf(t *testing.T, file []byte, programs int) string {
	t.Helper()
	const first, size, jump, entry = 0x40, 0x60, 0x4a, 0x0c
	var m map[string]any
	if err := json.Unmarshal(file, &m); err != nil {
		t.Fatal(err)
	}
	for _, x := range m["sequences"].([]any) {
		s := x.(map[string]any)
		if s["name"] != "tc33_v2024_direct" {
			continue
		}
		code, err := hex.DecodeString(s["code"].(string))
		at := first + size*(programs-1) + jump
		if err != nil || programs < 34 && code[at] != 0xe9 {
			t.Fatalf("no jump at %#x: %v", at, err)
		}
		if programs < 34 {
			binary.LittleEndian.PutUint32(code[at+1:], uint32(int32(first+entry-(at+5))))
		}
		s["code"] = hex.EncodeToString(code)
		m["sequences"] = []any{s}
		out, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	t.Fatal("no tc33_v2024_direct")
	return ""
}
