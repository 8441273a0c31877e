// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
)

// TestDoctorSources expects each fact of a source with its origin, and refuses other targets.
func TestDoctorSources(t *testing.T) {
	if code, _, errs := tcsim(t, "", "doctor", "6.12"); code != exitUsage || !strings.Contains(errs, "6.12 is not one") {
		t.Errorf("doctor 6.12: exit code %d, %s", code, errs)
	}
	tree := kernelSource(t, "6.12")
	code, out, errs := tcsim(t, "", "doctor", "--json", "src:"+tree)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	var got render.DoctorSources
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Sources) != 1 || got.Sources[0].Design != "hier-6.12" {
		t.Fatalf("sources %+v", got.Sources)
	}
	from := map[string]string{}
	for _, f := range got.Sources[0].Facts {
		if f.From == "" {
			t.Errorf("%s=%s comes from nowhere", f.Name, f.Value)
		}
		from[f.Name+"="+f.Value] = f.From
	}
	for fact, origin := range map[string]string{
		"TCSIM_MAX_TAIL_CALL_CNT=33": tree + "/include/linux/bpf.h",
		"TCSIM_HAVE_DESC_UPDATE=1":   "the C file",
		"CONFIG_X86_KERNEL_IBT=1":    "target 6.12",
	} {
		if where, line, lined := strings.Cut(from[fact], ".h:"); lined && line != "" {
			from[fact] = where + ".h"
		}
		if from[fact] != origin {
			t.Errorf("%s is from %q, expected %q", fact, from[fact], origin)
		}
	}
}
