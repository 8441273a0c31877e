// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/campaign"
)

// TestInterrupted ends each command that may take long after almost no time: the exit code is that of an
// interrupt, and JSON says so, if there is any.
func TestInterrupted(t *testing.T) {
	for _, line := range []string{
		"run hierarchy chain33 --target all",
		"matrix",
		"matrix --kernels",
		"cycles --measured fixtures/uarch/measured.json",
		"cycles --measured fixtures/uarch/measured.json --sweep memory.rename_verify",
		"replay fixtures/kernels/6.12-off.jsonl.gz fixtures/kernels/6.1-off.jsonl.gz",
		"conform fixtures/kernels/6.12-off.jsonl.gz",
		"count --capture fixtures/kernels/6.12-off.jsonl.gz",
		"worst --target 6.12",
		"explore tailcall_1 --target 6.12,6.1 --update all",
		"fuzz --n 100000",
		"check-kernel 6.1",
	} {
		if testing.Short() && line != "matrix" {
			continue
		}
		t.Run(line, func(t *testing.T) {
			for _, form := range []string{"", " --json"} {
				args := append([]string{"--time-limit", "1ms"}, strings.Fields(line+form)...)
				if strings.HasPrefix(line, "fuzz") {
					args = append(args, "--out", filepath.Join(t.TempDir(), "found"))
				}
				code, out, errs := tcsim(t, "", args...)
				if code != exitInterrupted || !strings.Contains(errs, "interrupted") {
					t.Errorf("tcsim %v: exit code %d, %s", args, code, errs)
				}
				if form != "" {
					interruptedObject(t, args, out)
				}
			}
		})
	}
	if code, _, errs := tcsim(t, "", "--time-limit", "-1s", "matrix"); code != exitUsage || !strings.Contains(errs, "--time-limit") {
		t.Errorf("exit code %d, %s", code, errs)
	}
}

// interruptedObject fails if what a command printed is not one object that says that the command was interrupted.
func interruptedObject(t *testing.T, args []string, out string) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(out), &object); err != nil || object["interrupted"] != true {
		t.Errorf("tcsim %v: %v: %.300s", args, err, out)
	}
	return object
}

// TestInterruptedBefore ends commands before they do anything: there is an object all the same.
func TestInterruptedBefore(t *testing.T) {
	atTop(t)
	parts := fuzzParts(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, line := range []string{
		"run hierarchy", "matrix", "replay fixtures/kernels/6.12-off.jsonl.gz", "conform fixtures/kernels/6.12-off.jsonl.gz",
		"verify fixtures/objects/loops.o", "check-kernel 6.1", "doctor", "compare 6.1 6.12 chain33", "explore tailcall_1 --update all",
		"worst --target 6.12", "count hierarchy", "trace hierarchy", "stack hierarchy", "fuzz --out " + t.TempDir(), "vm --kernel go.mod hierarchy",
		"merge " + parts, "merge " + wholeParts(t),
	} {
		args := append(strings.Fields(line), "--json")
		var out, errs bytes.Buffer
		code := doMain(ctx, append([]string{"tcsim"}, args...), env{stdin: strings.NewReader(""), stdout: &out, stderr: &errs})
		if code != exitInterrupted || !strings.Contains(errs.String(), "interrupted") {
			t.Errorf("tcsim %v: exit code %d, %s", args, code, errs.String())
		}
		interruptedObject(t, args, out.String())
	}
}

// fuzzParts makes the two parts of a small campaign, and wholeParts those of a comparison with a capture.
func fuzzParts(t *testing.T) string {
	return madeParts(t, "fuzz", "--n", "4", "--target", "6.12", "--out", t.TempDir())
}

func wholeParts(t *testing.T) string {
	return madeParts(t, "explore", "poke_one_site", "--target", "6.12", "--update", "insert")
}

func madeParts(t *testing.T, args ...string) string {
	t.Helper()
	var names []string
	for _, n := range []string{"1/2", "2/2"} {
		code, out, errs := tcsim(t, "", append(args, "--shard", n)...)
		if code != exitOK {
			t.Fatalf("part %s: exit code %d, %s", n, code, errs)
		}
		names = append(names, write(t, "part-"+n[:1], out))
	}
	return strings.Join(names, " ")
}

// TestInterruptedMiddle ends commands after some of their steps: what was finished is printed, as text and in JSON.
func TestInterruptedMiddle(t *testing.T) {
	atTop(t)
	for _, c := range []struct {
		line  string
		after int
		list  string // of JSON
		text  string
		rows  int
	}{
		{"verify fixtures/objects/loops.o --target 6.12", 2, "results", "callbacks", 2},
		{"verify hierarchy --target 6.1,6.12", 1, "results", "", 0},
		{"check-kernel 6.1 6.12", 2, "kernels", "wide-index", 1},
		{"check-kernel 6.1 6.12", len(campaign.Bugs) + 1, "kernels", "wide-index", 2},
		{"doctor", 3, "checks", "engine version", 3},
		{"compare 6.1 6.12 chain33 hierarchy tailcall_1", 2, "differences", "chain33", 0},
	} {
		for _, form := range []string{"", "--json"} {
			ctx, cancel := context.WithCancel(context.Background())
			out := &cancelling{after: c.after, cancel: cancel}
			args := strings.Fields(c.line + " " + form)
			var errs bytes.Buffer
			code := doMain(ctx, append([]string{"tcsim"}, args...), env{stdin: strings.NewReader(""), stdout: &out.Buffer, stderr: &errs, progressed: out.count})
			if code != exitInterrupted || !strings.Contains(errs.String(), "interrupted") || form == "" && !strings.Contains(out.String(), c.text) {
				t.Errorf("tcsim %v: exit code %d, %s%s", args, code, errs.String(), out.String())
			}
			if form == "" {
				continue
			}
			rows, _ := interruptedObject(t, args, out.String())[c.list].([]any)
			if c.rows > 0 && len(rows) != c.rows || c.rows == 0 && len(rows) == 0 {
				t.Errorf("tcsim %v: %d rows: %s", args, len(rows), out.String())
			}
		}
	}
}

// TestInterruptedBad: what a command found wrong with its input before it was interrupted is said.
func TestInterruptedBad(t *testing.T) {
	atTop(t)
	bad := write(t, "bad.jsonl.gz", "no capture")
	ctx, cancel := context.WithCancel(context.Background())
	out := &cancelling{after: 3, cancel: cancel}
	var errs bytes.Buffer
	code := doMain(ctx, []string{"tcsim", "replay", bad, "fixtures/kernels/6.12-off.jsonl.gz", "--json"},
		env{stdin: strings.NewReader(""), stdout: &out.Buffer, stderr: &errs, progressed: out.count})
	interruptedObject(t, nil, out.String())
	if code != exitInterrupted || !strings.Contains(errs.String(), "bad.jsonl.gz") || !strings.Contains(errs.String(), "interrupted") {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
}

// TestBadCapture: a capture that cannot be read is a row of the object, also if there is no other one.
func TestBadCapture(t *testing.T) {
	atTop(t)
	bad := write(t, "bad.jsonl.gz", "no capture")
	for _, verb := range []string{"replay", "conform"} {
		for _, good := range []string{"", "fixtures/kernels/5.10-off.jsonl.gz"} {
			if testing.Short() && good != "" {
				continue
			}
			args := append(strings.Fields(verb+" "+bad+" "+good), "--json")
			code, out, errs := tcsim(t, "", args...)
			var object struct {
				Captures []struct {
					File string
					Bad  []string
				}
			}
			err := json.Unmarshal([]byte(out), &object)
			n := len(object.Captures)
			if err != nil || code != exitUsage || n != len(args)-2 || object.Captures[n-1].File != bad || len(object.Captures[n-1].Bad) != 1 || !strings.Contains(errs, "bad.jsonl.gz") {
				t.Errorf("tcsim %v: exit code %d, %v: %s%s", args, code, err, errs, out)
			}
		}
	}
}

// TestInterruptedKeeps has what was finished printed: the rows of scenarios that were played before.
func TestInterruptedKeeps(t *testing.T) {
	atTop(t)
	ctx, cancel := context.WithCancel(context.Background())
	out := &cancelling{after: 1, cancel: cancel}
	code := doMain(ctx, []string{"tcsim", "replay", "fixtures/kernels/6.12-off.jsonl.gz", "fixtures/kernels/6.1-off.jsonl.gz"},
		env{stdin: strings.NewReader(""), stdout: &out.Buffer, stderr: &bytes.Buffer{}, progressed: out.count})
	if code != exitInterrupted || !strings.Contains(out.String(), "6.12-off.jsonl.gz") || !strings.Contains(out.String(), "as the kernel: ") {
		t.Errorf("exit code %d: %s", code, out.String())
	}
}

// TestInterruptedHistory has the scenarios printed whose releases were all played.
func TestInterruptedHistory(t *testing.T) {
	atTop(t)
	ctx, cancel := context.WithCancel(context.Background())
	out := &cancelling{after: len(kernels.Releases()) + 1, cancel: cancel}
	code := doMain(ctx, []string{"tcsim", "matrix", "--kernels", "--json", "--scenario", "chain33,hierarchy"},
		env{stdin: strings.NewReader(""), stdout: &out.Buffer, stderr: &bytes.Buffer{}, progressed: out.count})
	var h render.History
	if err := json.Unmarshal(out.Bytes(), &h); err != nil || code != exitInterrupted || !h.Interrupted || len(h.Scenarios) != 1 || h.Scenarios[0].Scenario != "chain33" {
		t.Errorf("exit code %d, %v: %s", code, err, out.String())
	}
}

// cancelling ends a context after so many steps of a command.
type cancelling struct {
	bytes.Buffer
	after  int
	cancel func()
}

func (c *cancelling) count(done, _ int) {
	if done >= c.after {
		c.cancel()
	}
}

// TestUnwritable has output that cannot be written end with the documented code, before the work where it is a
// file.
func TestUnwritable(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	atTop(t)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	for _, line := range []string{"run hierarchy --json", "doctor --json", "graph hierarchy", "matrix --scenario hierarchy --target 6.12 --tap"} {
		var errs bytes.Buffer
		code := doMain(context.Background(), append([]string{"tcsim"}, strings.Fields(line)...), env{stdin: strings.NewReader(""), stdout: full, stderr: &errs})
		if code != exitUsage || !strings.Contains(errs.String(), "standard output: ") || !strings.Contains(errs.String(), "no space left") {
			t.Errorf("tcsim %s: exit code %d, %s", line, code, errs.String())
		}
	}
	file := write(t, "file", "")
	link := file + ".link"
	if err := os.Symlink(file+".nothing", link); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"fuzz --n 1000000 --out " + file + "/found",
		"fuzz --n 1000000 --corpus " + link,
		"vm --kernel /dev/null -o " + file + "/x",
		"capture --all -o " + file + "/x",
	} {
		code, _, errs := tcsim(t, "", strings.Fields(line)...)
		if code != exitUsage || !strings.Contains(errs, file) {
			t.Errorf("tcsim %s: exit code %d, %s", line, code, errs)
		}
	}
}
