// SPDX-License-Identifier: GPL-2.0-only

package interrupt

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// waits names the pipe that nobody writes to, in a process that is made to wait for it.
const waits = "TCSIM_TEST_WAITS"

func TestMain(m *testing.M) {
	if pipe := os.Getenv(waits); pipe != "" {
		if os.Getenv(waits+"_SHORT") != "" {
			patience = time.Millisecond
		}
		ctx, _ := Context(os.Stderr)
		if os.Getenv(waits+"_LIMIT") != "" {
			ctx, _ = Within(ctx, time.Millisecond, os.Stderr)
		}
		go func() {
			<-ctx.Done()
			fmt.Println("ended")
		}()
		fmt.Println("ready")
		_, err := os.Open(pipe)
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestStuck: a process that waits for a pipe ends by two signals that are apart, by one after a time, and by a limit.
func TestStuck(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env     []string
		signals []syscall.Signal
	}{
		"twice": {nil, []syscall.Signal{syscall.SIGINT, syscall.SIGTERM}},
		"time":  {[]string{waits + "_SHORT=1"}, []syscall.Signal{syscall.SIGTERM}},
		"limit": {[]string{waits + "_SHORT=1", waits + "_LIMIT=1"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(append(os.Environ(), waits+"="+pipe), c.env...)
			var said strings.Builder
			cmd.Stderr = &said
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			kill := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
			defer kill.Stop()
			lines := bufio.NewScanner(out)
			for i, sig := range c.signals {
				if !lines.Scan() { // ready, ended
					break
				}
				if i > 0 {
					time.Sleep(again)
				}
				if err := cmd.Process.Signal(sig); err != nil {
					t.Error(err)
				}
			}
			for lines.Scan() {
			}
			var exit *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != Code || !strings.Contains(said.String(), "interrupted while it waited") {
				t.Errorf("%v, %s", err, said.String())
			}
		})
	}
}
