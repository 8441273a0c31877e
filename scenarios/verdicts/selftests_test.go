// SPDX-License-Identifier: GPL-2.0-only

package verdicts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

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
	kernel, err := os.ReadFile(filepath.Join(dir, "kernel"))
	if err != nil {
		t.Fatal(err)
	}
	target, err := jit.TargetByName(strings.TrimSpace(string(kernel)))
	if err != nil {
		t.Fatal(err)
	}
	today, known := documented[target.Name]
	if !known {
		t.Fatalf("docs/object-files.md has no figures of %s", target.Name)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.o"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no object files in %s: %v", dir, err)
	}
	var c selftests
	for _, path := range files {
		if strings.HasPrefix(filepath.Base(path), "verifier_mtu") {
			continue // to be loaded without CAP_PERFMON, which decides whether unwritten stack may be read
		}
		f, err := object.Open(path, object.ReadOptions{BTF: filepath.Join(dir, "vmlinux")})
		if err == nil {
			if types := typesFor(f.Tags); types != "" {
				f, err = object.Open(path, object.ReadOptions{BTF: filepath.Join(dir, types)})
			}
		}
		if err != nil {
			c.leaveOut(path)
			if testing.Verbose() {
				t.Logf("%s: %v", filepath.Base(path), err)
			}
			continue
		}
		for i, tags := range f.Tags { // flags that the tests' loader passes
			for _, text := range tags {
				if word, _ := tag(text); word == "test_prog_flags=BPF_F_SLEEPABLE" {
					f.Programs[i].Sleepable = true
				}
			}
		}
		rows, err := verdicts.File(t.Context(), f, nil, target, func(int) {})
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
	if c.tooStrict > today.tooStrict || c.tooLax > today.tooLax || c.unmodelled > today.unmodelled || c.agree < today.agree {
		t.Errorf("worse than docs/object-files.md says: %+v", today)
	}
}

// documented are the figures of docs/object-files.md.
var documented = map[string]selftests{
	"6.12": {agree: 1719, tooStrict: 0, tooLax: 4, unmodelled: 4},
	"7.3":  {agree: 2653, tooStrict: 2, tooLax: 7, unmodelled: 43},
}

// selftests counts verdicts.
type selftests struct{ agree, tooStrict, tooLax, unmodelled, unread int }

// leaveOut counts the programs of a file that is not read.
func (c *selftests) leaveOut(path string) {
	c.unread++
	spec, err := btf.LoadSpec(path)
	if err != nil {
		return
	}
	for t, err := range spec.All() {
		if f, ok := t.(*btf.Func); ok && err == nil {
			if success, failure := expected(f.Tags); success != failure {
				c.unmodelled++
			}
		}
	}
}

// tag returns what a tag says and whether it is one of the tests: 7.3 numbers them.
func tag(text string) (string, bool) {
	word, ok := strings.CutPrefix(text, "comment:")
	if number, rest, found := strings.Cut(word, ":"); found && number != "" && strings.Trim(number, "0123456789") == "" {
		word = rest
	}
	return word, ok
}

// expected says whether a program is to load and whether it is not to; neither or both where nothing is expected.
func expected(tags []string) (success, failure bool) {
	for _, text := range tags {
		switch word, _ := tag(text); word {
		case "test_expect_success":
			success = true
		case "test_expect_failure":
			failure = true
		case "test_auxiliary", "load_mode=no_jited": // the latter is for the interpreter
			return false, false
		}
	}
	return success, failure
}

func (c *selftests) judge(t *testing.T, file string, r *verdicts.Row, tags []string) {
	success, failure := expected(tags)
	switch {
	case success == failure:
	case r.Verdict == verdicts.NotModeled:
		c.unmodelled++
		if testing.Verbose() {
			t.Logf("%s %s: not modelled: %s", file, r.Program, r.Reason)
		}
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

// typesFor is the file whose types CO-RE relocations are to be resolved with, "" for the kernel's.
func typesFor(tags [][]string) string {
	for _, of := range tags {
		for _, text := range of {
			word, _ := tag(text)
			if name, ok := strings.CutPrefix(word, "test_btf_path="); ok {
				return strings.TrimSuffix(name, ".bpf.o") + ".o"
			}
		}
	}
	return ""
}

// message is the last part of the verifier's log that a selftest expects.
func message(tags []string) string {
	out := ""
	for _, text := range tags {
		word, _ := tag(text)
		if m, ok := strings.CutPrefix(word, "test_expect_msg="); ok {
			_, out, _ = strings.Cut(m, "=")
		}
	}
	return out
}
