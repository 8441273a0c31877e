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
				if form == "" || out == "" {
					continue
				}
				var object struct{ Interrupted bool }
				if err := json.Unmarshal([]byte(out), &object); err != nil || !object.Interrupted {
					t.Errorf("tcsim %v: %v: %.300s", args, err, out)
				}
			}
		})
	}
	if code, _, errs := tcsim(t, "", "--time-limit", "-1s", "matrix"); code != exitUsage || !strings.Contains(errs, "--time-limit") {
		t.Errorf("exit code %d, %s", code, errs)
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
