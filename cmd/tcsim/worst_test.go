// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWorst prints the deepest stack of a target as a table with a drawing, as JSON and as a scenario,
// which does what the table says.
func TestWorst(t *testing.T) {
	code, text, errs := tcsim(t, "", "worst", "--target", "6.12")
	if code != exitOK || !strings.Contains(text, "23728") || !strings.Contains(text, "tail_call_cnt_ptr") {
		t.Errorf("code %d\n%.2000s%s", code, text, errs)
	}
	// What the frames of one round look like is drawn once.
	if n := strings.Count(text, "\n"); n > 150 || !strings.Contains(text, "frames like those drawn") {
		t.Errorf("%d lines are drawn", n)
	}
	code, text, errs = tcsim(t, "", "worst", "--target", "6.12", "--limit", "5", "--json")
	var out struct {
		Schema string `json:"schema"`
		Worst  []struct {
			Deepest int `json:"deepest"`
			Taken   int `json:"taken"`
		} `json:"worst"`
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil || code != exitOK {
		t.Fatalf("code %d: %v\n%s%s", code, err, text, errs)
	}
	if out.Schema != "tcsim.worst/v1" || len(out.Worst) != 1 || out.Worst[0].Taken != 5 || out.Worst[0].Deepest != 23728-28*688 {
		t.Errorf("%s", text)
	}
	_, text, _ = tcsim(t, "", "worst", "--target", "6.12", "--scenario")
	file := filepath.Join(t.TempDir(), "deep.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, text, errs := tcsim(t, "", "run", file, "--target", "6.12"); code != exitFailed || !strings.Contains(text, "stack-budget") {
		t.Errorf("run: code %d\n%s%s", code, text, errs)
	}
	if code, _, _ := tcsim(t, "", "worst", "--scenario"); code != exitUsage {
		t.Errorf("a scenario of two targets: code %d", code)
	}
}
