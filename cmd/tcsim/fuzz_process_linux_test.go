// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fuzzing is a campaign in a process of its own.
type fuzzing struct {
	t        *testing.T
	cmd      *exec.Cmd
	out, err bytes.Buffer
}

// startFuzz begins a campaign and waits for its two workers.
func startFuzz(t *testing.T, args ...string) *fuzzing {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f := &fuzzing{t: t, cmd: exec.Command(self, append([]string{"fuzz"}, args...)...)}
	f.cmd.Stdout, f.cmd.Stderr = &f.out, &f.err
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.cmd.Process.Kill() }) // of no use if it has ended
	f.waitFor("two workers", func() bool { return len(f.workers()) == 2 })
	return f
}

// workers are the process numbers of its workers.
func (f *fuzzing) workers() []int {
	var pids []int
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", f.cmd.Process.Pid)) // the pattern is right
	for _, file := range tasks {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		for _, word := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(word)
			if err != nil {
				f.t.Fatal(err)
			}
			if isWorker(pid) {
				pids = append(pids, pid)
			}
		}
	}
	slices.Sort(pids)
	return pids
}

// isWorker reports whether a process is a worker, and not a zombie, which is only a number.
func isWorker(pid int) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && bytes.Contains(line, []byte("\x00"+workerVerb+"\x00"))
}

// hangs is when a test gives up: no load makes anything here take so long.
const hangs = 5 * time.Minute

func (f *fuzzing) waitFor(what string, is func() bool) {
	f.t.Helper()
	for end := time.Now().Add(hangs); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatalf("still not: %s\n%s", what, &f.err)
		}
	}
}

// read is how many bytes the campaign has read, the answers of its workers among them.
func (f *fuzzing) read() (n int) {
	f.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", f.cmd.Process.Pid))
	if err == nil {
		_, err = fmt.Sscanf(string(text), "rchar: %d", &n)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

// ended waits for the campaign and returns its exit code; no worker may be left.
func (f *fuzzing) ended(workers []int) int {
	f.t.Helper()
	_ = f.cmd.Wait() // the exit code says more
	f.waitFor("the workers have ended", func() bool { return !slices.ContainsFunc(workers, isWorker) })
	return f.cmd.ProcessState.ExitCode()
}

// TestFuzzWorkersEnd has workers killed, crashed and stopped from outside: each is named with its graph,
// and the campaign comes to what it comes to undisturbed.
func TestFuzzWorkersEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	signals := []syscall.Signal{syscall.SIGKILL, syscall.SIGSEGV, syscall.SIGABRT, syscall.SIGSTOP}
	hows := []string{"signal: killed", "(SIGSEGV|segmentation fault)", "(SIGABRT|aborted)", "no answer within 20s"}
	args := []string{"--n", "1500", "--seed", "11", "--shrink", "0", "--target", "6.12,7.2,pop-nop-push"}
	code, want, _ := tcsim(t, "", append([]string{"fuzz"}, args...)...)
	if code != exitFailed {
		t.Fatalf("exit code %d: %s", code, want)
	}
	f := startFuzz(t, append(args, "--timeout", "20s")...)
	var all []int
	for _, s := range signals {
		var pids []int
		f.waitFor("a worker that nothing was done to", func() bool {
			pids = slices.DeleteFunc(f.workers(), func(pid int) bool { return slices.Contains(all, pid) })
			return len(pids) > 0
		})
		// A graph that two workers were lost with counts as a crash: let it be played before the next is lost.
		begin := f.read()
		f.waitFor("answers", func() bool { return f.read() > begin+20_000 })
		all = append(all, pids[0])
		if err := syscall.Kill(pids[0], s); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.ended(append(all, f.workers()...)); got != exitFailed || f.out.String() != want {
		t.Errorf("exit code %d:\n%s\nwant:\n%s", got, &f.out, want)
	}
	for _, how := range hows {
		if !regexp.MustCompile(`at graph \d+ of seed 11, .*` + how).MatchString(f.err.String()) {
			t.Errorf("nothing is said of a worker: %s:\n%s", how, &f.err)
		}
	}
}

// TestFuzzParentKilled leaves no worker behind when the campaign's process is killed, not even one that
// cannot notice.
func TestFuzzParentKilled(t *testing.T) {
	f := startFuzz(t, "--n", "10000000")
	workers := f.workers()
	if err := syscall.Kill(workers[0], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(workers[0], syscall.SIGCONT) }) // if it is still there
	if err := f.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	f.ended(workers)
}

// TestFuzzSignal has an interrupt, which a terminal sends to the workers as well, end a campaign that would
// take days, with what it has found and without making that small.
func TestFuzzSignal(t *testing.T) {
	dir := t.TempDir()
	f := startFuzz(t, "--n", "100000000", "--target", "pop-nop-push", "--out", dir)
	workers := f.workers()
	const enough = 100_000 // bytes of answers: hundreds of graphs, every tenth of which fails
	begin := f.read()
	f.waitFor("answers", func() bool { return f.read() > begin+enough })
	for _, pid := range append(workers, f.cmd.Process.Pid) {
		if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
	code := f.ended(workers)
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	out := f.out.String()
	if code != exitInterrupted || err != nil || len(files) == 0 || !strings.HasPrefix(out, "interrupted: ") || !strings.Contains(out, "pop-nop-push: ") || strings.Contains(out, "made small") {
		t.Errorf("exit code %d, files %q, %v:\n%s\n%s", code, files, err, &f.out, &f.err)
	}
}
