// SPDX-License-Identifier: GPL-2.0-only

// Package compiler runs the system's C compiler within bounds, and keeps what it made.
package compiler

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// ErrNoCompiler says that there is no C compiler.
var ErrNoCompiler = errors.New("no C compiler: install one that is called cc (package gcc or clang)")

// CompileError is what the C compiler says of the user's file, or what became of the compiler.
type CompileError struct{ Text string }

// Error returns the compiler's messages.
func (e *CompileError) Error() string { return e.Text }

// Limits of the compiler. Its files are bounded by the shell's ulimit, in blocks of 512 or 1,024 bytes.
const (
	maxMessages   = 64 << 10
	maxObjectSize = 64 << 20
	maxBlocks     = "131072"
)

// compileTime bounds one run of the compiler. Tests shorten it.
var compileTime = time.Minute

// runCompiler compiles unit.c, which write puts into a folder. The folder and everything that the compiler starts are
// gone afterwards. shown is what errors call the file.
func Run(ctx context.Context, shown string, write func(dir string) error, args []string) ([]byte, error) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		return nil, ErrNoCompiler
	}
	dir, err := os.MkdirTemp("", "tcsim-source-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := write(dir); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, compileTime)
	defer cancel()
	out := filepath.Join(dir, "unit.o")
	line := slices.Concat([]string{"-c", "ulimit -f " + maxBlocks + " && exec \"$@\"", "sh", cc, "-c"}, args,
		[]string{"-iquote", dir, "-I", dir, "-o", out, filepath.Join(dir, "unit.c")})
	cmd := exec.CommandContext(ctx, "/bin/sh", line...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	msg := &limited{max: maxMessages}
	cmd.Stdout, cmd.Stderr = msg, msg
	if err := cmd.Run(); err != nil {
		if cmd.Process != nil {
			_ = cmd.Cancel() // what it has started and not waited for
		}
		return nil, failed(ctx, shown, err, strings.TrimSpace(strings.ReplaceAll(msg.String(), dir+"/", "")))
	}
	info, err := os.Stat(out)
	switch {
	case err != nil:
		return nil, &CompileError{fmt.Sprintf("compile %s: %s makes no object", shown, cc)}
	case info.Size() > maxObjectSize:
		return nil, &CompileError{fmt.Sprintf("compile %s: the object has %d bytes, at most %d are read", shown, info.Size(), maxObjectSize)}
	}
	return os.ReadFile(out)
}

// failed says why there is no object: text is what the compiler printed.
func failed(ctx context.Context, shown string, err error, text string) error {
	var exit *exec.ExitError
	signal := syscall.Signal(0)
	if errors.As(err, &exit) {
		if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() {
			signal = s.Signal()
		}
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &CompileError{fmt.Sprintf("compile %s: the C compiler was ended after %v", shown, compileTime)}
	case ctx.Err() != nil:
		return ctx.Err()
	case signal == syscall.SIGXFSZ:
		return &CompileError{fmt.Sprintf("compile %s: the C compiler was ended: it writes a file without end", shown)}
	case text == "":
		return &CompileError{fmt.Sprintf("compile %s: the C compiler fails: %v", shown, err)}
	}
	return &CompileError{text}
}

// limited keeps the beginning of what is written to it. It is not a buffer: that would read the rest by itself.
type limited struct {
	text bytes.Buffer
	max  int
}

func (l *limited) String() string { return l.text.String() }

func (l *limited) Write(b []byte) (int, error) {
	if room := l.max - l.text.Len(); room > 0 {
		l.text.Write(b[:min(len(b), room)])
	}
	return len(b), nil
}
