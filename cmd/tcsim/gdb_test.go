// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcsim/tcsim/fixtures/golden"
)

// debugger returns the path of gdb or lldb, which a build server must have.
func debugger(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skipf("%v: make setup-vm installs it on Debian", err)
	}
	return path
}

// served serves a command line of tcsim gdb, without --listen, for one client, and returns the port.
func served(t testing.TB, args ...string) string {
	t.Helper()
	said, stderr := io.Pipe()
	done := make(chan int, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		code := doMain(ctx, append(append([]string{"tcsim", "gdb"}, args...), "--listen", "localhost:0"),
			env{stdin: strings.NewReader(""), stdout: io.Discard, stderr: stderr})
		_ = stderr.Close()
		done <- code
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-done; code != exitOK {
			t.Errorf("tcsim gdb %s: exit code %d", strings.Join(args, " "), code)
		}
	})
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if at := strings.LastIndex(lines.Text(), ":"); strings.HasPrefix(lines.Text(), "listening at ") {
			go func() { _, _ = io.Copy(io.Discard, said) }()
			return lines.Text()[at+1:]
		}
		t.Log(lines.Text())
	}
	t.Fatal("tcsim gdb does not listen")
	return ""
}

// overPipe is how a session begins; what follows is the command line that is served instead.
const overPipe = "target remote | tcsim gdb "

// gdbSession runs commands in gdb, in a folder of its own, and returns what a user would see. The command target remote | tcsim gdb
// connects to tcsim in this process; a shell command can only be tcsim gdb.
func gdbSession(t testing.TB, commands []string) string {
	t.Helper()
	gdb := debugger(t, "gdb")
	folder := t.TempDir()
	script := "set pagination off\nset confirm off\nset width 0\nset style enabled off\nset debuginfod enabled off\n"
	for _, c := range commands {
		shown := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(c)
		script += fmt.Sprintf("echo (gdb) %s\\n\n", shown)
		switch {
		case strings.HasPrefix(c, overPipe):
			args, _ := strings.CutSuffix(strings.TrimPrefix(c, overPipe), " --stdio")
			c = "target remote localhost:" + served(t, strings.Fields(args)...)
		case strings.HasPrefix(c, "shell tcsim gdb "):
			args := strings.Fields(strings.TrimPrefix(c, "shell "))
			file := &args[len(args)-1] // of --elf
			*file = filepath.Join(folder, *file)
			var errs bytes.Buffer
			if code := doMain(context.Background(), args, env{stdin: strings.NewReader(""), stdout: io.Discard, stderr: &errs}); code != exitOK {
				t.Fatalf("%s: exit code %d: %s", c, code, &errs)
			}
			continue
		}
		script += c + "\n"
	}
	cmd := exec.Command(gdb, "-nx", "-batch", "-x", write(t, "script.gdb", script))
	cmd.Dir = folder
	kill := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("gdb: %v", err)
	}
	return asShown(string(out))
}

// asShown takes out of a session what differs between versions of gdb.
func asShown(out string) string {
	out = strings.ReplaceAll(out, "Reached end of recorded history; stopping.\nBackward execution from here not possible.", "No more reverse-execution history.")
	out = strings.ReplaceAll(out, "Reached end of recorded history; stopping.\nFollowing forward execution will be added to history.", "No more reverse-execution history.")
	return regexp.MustCompile(`(?m)^\[Inferior 1 \(Remote target\) detached\]\n`).ReplaceAllString(out, "")
}

// TestDebuggingPage runs the sessions that docs/debugging.md shows in gdb and expects what it shows.
func TestDebuggingPage(t *testing.T) {
	debugger(t, "gdb")
	atTop(t)
	const page = "docs/debugging.md"
	src, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	var commands []string
	inside, sessions := false, 0
	for _, line := range strings.Split(string(src), "\n") {
		switch c, ok := strings.CutPrefix(line, "(gdb) "); {
		case line == "```gdb":
			inside, commands = true, nil
			sessions++
		case inside && line == "```":
			out = append(out, strings.TrimRight(gdbSession(t, commands), "\n"))
			inside = false
		case inside && ok:
			commands = append(commands, c)
			continue
		case inside:
			continue
		}
		out = append(out, line)
	}
	if sessions < 3 {
		t.Errorf("%s has %d sessions", page, sessions)
	}
	golden.Check(t, page, strings.Join(out, "\n"))
}

// TestGDB runs sessions of testdata/gdb: one command a line, the output in a file next to it.
func TestGDB(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	debugger(t, "gdb")
	atTop(t)
	scripts, err := filepath.Glob("cmd/tcsim/testdata/gdb/*.gdb")
	if err != nil || len(scripts) < 3 {
		t.Fatalf("%d scripts, %v", len(scripts), err)
	}
	for _, script := range scripts {
		t.Run(filepath.Base(script), func(t *testing.T) {
			text, err := os.ReadFile(script)
			if err != nil {
				t.Fatal(err)
			}
			var commands []string
			for _, line := range strings.Split(string(text), "\n") {
				if line != "" && !strings.HasPrefix(line, "#") {
					commands = append(commands, line)
				}
			}
			golden.Check(t, strings.TrimSuffix(script, ".gdb")+".out", gdbSession(t, commands))
		})
	}
}

// TestGDBInterrupt presses Ctrl-C in gdb while a run goes on that would not end for long.
func TestGDBInterrupt(t *testing.T) {
	gdb := debugger(t, "gdb")
	port := served(t, "hierarchy", "--target", "6.1")
	script := "set pagination off\nset confirm off\ntarget remote localhost:" + port +
		"\ncontinue\necho now\\n\ncontinue\ninfo registers retired\ninfo registers rip\nstepi\necho done\\n\n"
	cmd := exec.Command(gdb, "-nx", "-batch", "-x", write(t, "script.gdb", script))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		out.WriteString(lines.Text() + "\n")
		if lines.Text() == "now" {
			time.AfterFunc(300*time.Millisecond, func() { _ = cmd.Process.Signal(os.Interrupt) })
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("gdb: %v\n%s", err, &out)
	}
	for _, want := range []string{"Program received signal SIGABRT, Aborted.", "Program received signal SIGINT, Interrupt.", "retired ", "done\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

// TestGDBPackets looks at what gdb asks for while it steps: beside the step itself a line of the stack, so that the code has not to be
// read to know how to unwind. Each packet costs more than the step.
func TestGDBPackets(t *testing.T) {
	gdb := debugger(t, "gdb")
	file := filepath.Join(t.TempDir(), "code.elf")
	if code := doMain(t.Context(), []string{"tcsim", "gdb", "hierarchy", "--elf", file}, env{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard}); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	const steps = 50
	script := fmt.Sprintf("set pagination off\nset confirm off\nfile %s\ntarget remote localhost:%s\nstepi 5\nset debug remote 1\nstepi %d\nset debug remote 0\n"+
		"info registers retired\n", file, served(t, "hierarchy"), steps)
	cmd := exec.Command(gdb, "-nx", "-batch", "-x", write(t, "script.gdb", script))
	kill := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	raw, err := cmd.CombinedOutput()
	out := string(raw)
	if err != nil {
		t.Errorf("gdb: %v", err)
	}
	// What the last stop shows takes a few more.
	if n := len(regexp.MustCompile(`Sending packet: \$[a-zA-Z]`).FindAllString(out, -1)); n < steps || n > 2*steps+12 || !regexp.MustCompile(`retired +0x37 `).MatchString(out) {
		t.Errorf("%d packets for %d steps\n%s", n, steps, out)
	}
}

// BenchmarkGDBSteps has gdb step 10,000 times: µs of processor time of gdb and of tcsim for each step. What both take to begin is
// measured by a session without steps, and left out.
func BenchmarkGDBSteps(b *testing.B) {
	const rounds, steps = 10, 1000
	spent := func() time.Duration {
		var all time.Duration
		for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
			var r syscall.Rusage
			if err := syscall.Getrusage(who, &r); err != nil {
				b.Fatal(err)
			}
			all += time.Duration(r.Utime.Nano() + r.Stime.Nano())
		}
		return all
	}
	session := func(commands ...string) time.Duration {
		from := spent()
		out := gdbSession(b, append([]string{"shell tcsim gdb hierarchy --target 6.12 --elf code.elf", "file code.elf", "target remote | tcsim gdb hierarchy --target 6.12 --stdio"}, commands...))
		if n := len(commands); n > 1 && !strings.Contains(out, fmt.Sprintf("retired        %#x", steps)) {
			b.Fatalf("not at instruction %d:\n%s", steps, out)
		}
		return spent() - from
	}
	var round []string
	for range rounds {
		round = append(round, "monitor event 1", "continue", fmt.Sprintf("stepi %d", steps), "info registers retired")
	}
	for b.Loop() {
		n := session(round...) - session("info registers rip")
		b.ReportMetric(float64(n.Microseconds())/(rounds*steps), "µs/step")
	}
}

// TestLLDB goes through the hierarchy with lldb: breakpoint by name, step, registers, watchpoint, monitor.
func TestLLDB(t *testing.T) {
	lldb := debugger(t, "lldb")
	file := filepath.Join(t.TempDir(), "code.elf")
	if code := doMain(t.Context(), []string{"tcsim", "gdb", "hierarchy", "--elf", file}, env{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard}); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	commands := []string{
		"gdb-remote " + served(t, "hierarchy"), "breakpoint set -n sub", "continue", "register read rip tail_call_cnt bpf_pc retired",
		"breakpoint delete -f", "breakpoint set -a 0xffffffffc0000023", "continue", "register read tail_call_cnt tail_call_cnt_at cycles", "bt",
		"breakpoint delete -f", "thread step-inst", "register read rip", "watchpoint set expression -s 4 -- 0xffffc90000203fc0", "continue",
		"process plugin packet monitor tcc", "watchpoint delete -f", "process plugin packet monitor event 10", "continue", // where a batch ends, for lldb takes the signal for a crash
	}
	args := []string{"--no-lldbinit", "--batch"}
	for _, c := range commands {
		args = append(args, "-o", c)
	}
	cmd := exec.Command(lldb, append(args, file)...)
	kill := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	raw, err := cmd.CombinedOutput()
	out := string(raw)
	if err != nil {
		t.Errorf("lldb: %v", err)
	}
	for _, want := range []string{
		"stop reason = breakpoint 1.1", "sub at code.elf.lst:", "rip = 0xffffffffc00000c", "tail_call_cnt = error: unavailable",
		"frame #0: 0xffffffffc0000023 code.elf`entry at code.elf.lst:16", "tail_call_cnt = 0x0000000000000001", "tail_call_cnt_at = 0xffffc90000203fc0",
		"frame #1: 0xffffffffc0000046 code.elf`entry", "frame #2: 0xffffffff81a4b002 code.elf`kernel", "rip = 0xffffffffc0000026",
		"old value: 1\nnew value: 2", "entry #3: 2 at 0xffffc90000203fc0, through the pointer at", "continue goes to event 10: entry[6] -> sub",
		"tcsim: event 10", "frame #0: 0xffffffffc0000041 code.elf`entry at code.elf.lst:22",
	} {
		if at := strings.Index(out, want); at < 0 {
			t.Errorf("no %q (any more)", want)
		} else {
			out = out[at:]
		}
	}
	if t.Failed() {
		t.Logf("%s", raw)
	}
}
