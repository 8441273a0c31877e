// SPDX-License-Identifier: GPL-2.0-only

package verdicts

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios/object"
)

func TestDev(t *testing.T) {
	dir := os.Getenv("TCSIM_SELFTESTS")
	if dir == "" {
		t.Skip()
	}
	target, err := jit.TargetByName(os.Getenv("TCSIM_TARGET"))
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.o"))
	for _, path := range files {
		f, err := object.Open(path, object.ReadOptions{BTF: os.Getenv("TCSIM_BTF")})
		if err != nil {
			fmt.Printf("OPEN\t%s\t%s\n", filepath.Base(path), strings.ReplaceAll(err.Error(), "\n", " | "))
			continue
		}
		rows, err := File(f, nil, target)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range rows {
			want := "-"
			for _, tag := range f.Tags[i] {
				switch {
				case tag == "comment:test_expect_success":
					want = "success"
				case tag == "comment:test_expect_failure":
					want = "failure"
				}
			}
			if slices.Contains(f.Tags[i], "comment:test_auxiliary") {
				want = "aux"
			}
			msg := ""
			for _, tag := range f.Tags[i] {
				if m, ok := strings.CutPrefix(tag, "comment:test_expect_msg="); ok {
					msg += " / " + m
				}
			}
			fmt.Printf("ROW\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%v\t%s\t%s\n", filepath.Base(path), r.Program, r.Section, want, r.Verdict, r.Insns, r.PeakStates, r.Time.Milliseconds(), strings.ReplaceAll(r.Reason, "\n", " | "), msg)
		}
	}
}
