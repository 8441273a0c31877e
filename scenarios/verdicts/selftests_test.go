// SPDX-License-Identifier: GPL-2.0-only

package verdicts_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios/object"
	"github.com/tcsim/tcsim/scenarios/verdicts"
)

// TestSelftests compares verdicts with what the kernel's own tests expect of their programs (__success and __failure
// of tools/testing/selftests/bpf/progs/bpf_misc.h). It needs the folder that .ci/setup-selftests makes; the sources are
// the kernel's and no part of this project.
func TestSelftests(t *testing.T) {
	dir := os.Getenv("TCSIM_SELFTESTS")
	if dir == "" {
		t.Skip("no objects of the kernel's selftests: .ci/setup-selftests DIR makes them, TCSIM_SELFTESTS=DIR names them")
	}
	target, err := jit.TargetByName("6.12")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.o"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no object files in %s: %v", dir, err)
	}
	var c selftests
	for _, path := range files {
		f, err := object.Open(path, object.ReadOptions{BTF: filepath.Join(dir, "vmlinux")})
		if err != nil {
			c.unread++
			continue
		}
		rows, err := verdicts.File(f, nil, target)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for i := range rows {
			c.judge(t, filepath.Base(path), &rows[i], f.Tags[i])
		}
	}
	judged := c.agree + c.tooStrict + c.tooLax
	t.Logf("%d files, %d not read; of programs with an expectation %d agree, %d are refused and should not be, %d the other way round, %d are not modelled",
		len(files), c.unread, c.agree, c.tooStrict, c.tooLax, c.unmodelled)
	if judged == 0 {
		t.Fatal("no program says what is expected of it")
	}
	// What docs/object-files.md says is true today.
	if c.tooStrict > 9 || c.tooLax > 24 || c.agree < 1593 {
		t.Error("worse than docs/object-files.md says")
	}
}

// selftests counts verdicts.
type selftests struct{ agree, tooStrict, tooLax, unmodelled, unread int }

func (c *selftests) judge(t *testing.T, file string, r *verdicts.Row, tags []string) {
	success, failure := slices.Contains(tags, "comment:test_expect_success"), slices.Contains(tags, "comment:test_expect_failure")
	switch {
	case success == failure || slices.Contains(tags, "comment:test_auxiliary"):
	case r.Verdict == verdicts.NotModeled:
		c.unmodelled++
	case success == (r.Verdict == verdicts.Accepted):
		c.agree++
	case success:
		c.tooStrict++
		t.Logf("%s %s: refused: %s", file, r.Program, r.Reason)
	default:
		c.tooLax++
		if testing.Verbose() {
			t.Logf("%s %s: accepted, expected: %s", file, r.Program, message(tags))
		}
	}
}

// message is the last part of the verifier's log that a selftest expects.
func message(tags []string) string {
	out := ""
	for _, tag := range tags {
		if m, ok := strings.CutPrefix(tag, "comment:test_expect_msg="); ok {
			_, out, _ = strings.Cut(m, "=")
		}
	}
	return out
}
