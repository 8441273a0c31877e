// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/source/ktree"
)

// bisected is a history of kernel trees.
type bisected struct {
	t    *testing.T
	dir  string
	env  []string
	revs map[string]string // commits by subject
}

func (b *bisected) git(args ...string) string {
	b.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", b.dir}, args...)...)
	cmd.Env = b.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit records what is in the folder.
func (b *bisected) commit(subject string) {
	b.t.Helper()
	b.git("add", "-A")
	b.git("commit", "-q", "-m", subject)
	b.revs[subject] = b.git("rev-parse", "HEAD")
}

// edit replaces something in the JIT's file and commits it under the name of what it puts there.
func (b *bisected) edit(subject, old, new string) {
	b.t.Helper()
	name := filepath.Join(b.dir, ktree.JITFile)
	text, err := os.ReadFile(name)
	if err != nil {
		b.t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		b.t.Fatalf("%s: there is no %q", subject, old)
	}
	if err := os.WriteFile(name, []byte(strings.ReplaceAll(string(text), old, new)), 0o600); err != nil {
		b.t.Fatal(err)
	}
	b.commit(subject)
}

// release lays a kernel's tree over the folder.
func (b *bisected) release(version string) {
	b.t.Helper()
	from := kernelSource(b.t, version)
	for _, top := range []string{"Makefile", "arch", "include", "kernel"} {
		if err := os.RemoveAll(filepath.Join(b.dir, top)); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := os.CopyFS(b.dir, os.DirFS(from)); err != nil {
		b.t.Fatal(err)
	}
	b.commit(version)
}

// newBisected makes a history of nine revisions, with this program as tcsim in its PATH.
func newBisected(t *testing.T) *bisected {
	top := t.TempDir()
	b := &bisected{t: t, dir: filepath.Join(top, "linux"), revs: map[string]string{}}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"bin", "linux"} {
		if err := os.Mkdir(filepath.Join(top, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(self, filepath.Join(top, "bin", "tcsim")); err != nil {
		t.Fatal(err)
	}
	b.env = append(os.Environ(), "PATH="+filepath.Join(top, "bin")+":"+os.Getenv("PATH"),
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.org", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.org")
	b.git("init", "-q", "-b", "main")
	b.release("6.1")
	b.edit("comment 1", "static bool is_imm8(int value)\n{", "static bool is_imm8(int value)\n{ /* 1 */")
	b.release("6.12")
	b.edit("comment 2", "static bool is_imm8(int value)\n{", "static bool is_imm8(int value)\n{ /* 2 */")
	b.edit("comment 3", "{ /* 2 */", "{ /* 3 */")
	b.edit("broken", "static void pop_r12(u8 **pprog)", "static void pop_r12(u8 **pprog, frob)")
	b.edit("compiles", "static void pop_r12(u8 **pprog, frob)", "static void pop_r12(u8 **pprog)")
	b.edit("no count", "EMIT4(0x48, 0x83, 0x00, 0x01);", "EMIT4(0x48, 0x83, 0x00, 0x00);")
	b.edit("comment 4", "{ /* 3 */", "{ /* 4 */")
	return b
}

// run follows a recipe: two commands, in which words are replaced. It returns the subject of the revision
// that is found, and the log.
func (b *bisected) run(recipe []string, words ...string) (subject, log string) {
	b.t.Helper()
	defer b.git("bisect", "reset")
	line := strings.NewReplacer(words...).Replace(strings.Join(recipe, "\n"))
	cmd := exec.Command("sh", "-ec", line)
	cmd.Dir, cmd.Env = b.dir, b.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.t.Fatalf("%s: %v: %s", line, err, out)
	}
	log = b.git("bisect", "log")
	m := regexp.MustCompile(`(?m)^# first \w+ commit: \[(\w+)\]`).FindStringSubmatch(log)
	if m == nil {
		b.t.Fatalf("nothing found: %s\n%s", log, out)
	}
	for s, rev := range b.revs {
		if rev == m[1] {
			return s, log
		}
	}
	b.t.Fatalf("no such revision: %s", log)
	return "", ""
}

// TestBisect follows the recipes of docs/source-jit.md over a small history.
func TestBisect(t *testing.T) {
	if testing.Short() {
		t.Skip("only in full runs")
	}
	atTop(t)
	doc, err := os.ReadFile("docs/source-jit.md")
	if err != nil {
		t.Fatal(err)
	}
	recipe := regexp.MustCompile(`(?m)^    (git bisect .*)$`).FindAllStringSubmatch(string(doc), -1)
	if len(recipe) != 5 {
		t.Fatalf("%d lines with git bisect, expected two recipes of two and another second line", len(recipe))
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, mine, _ := strings.Cut(string(readme), "```yaml\n")
	mine, _, _ = strings.Cut(mine, "```")
	mine = strings.Replace(mine, "steps: [call: sub, return: 1]", "steps: [call: sub, call: sub, return: 1]", 1)
	b := newBisected(t)
	if err := os.WriteFile(filepath.Join(b.dir, "..", "mine.yaml"), []byte(mine), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{recipe[1][1], recipe[4][1]} {
		found, log := b.run([]string{recipe[0][1], line}, "BAD", "main", "GOOD", b.revs["6.12"])
		if found != "no count" || !strings.Contains(log, "git bisect skip "+b.revs["broken"]) {
			t.Errorf("found %q, expected no count after a skip of what does not compile:\n%s", found, log)
		}
	}
	found, log := b.run([]string{recipe[2][1], recipe[3][1]}, "MENDED", b.revs["comment 2"], "BROKEN", b.revs["6.1"])
	if found != "6.12" {
		t.Errorf("mended in %q, expected 6.12:\n%s", found, log)
	}
}
