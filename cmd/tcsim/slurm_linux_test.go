// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// slurm is a Slurm of one node, all of it in a folder.
type slurm struct {
	t   *testing.T
	dir string
	env []string
}

// needsSlurm ends a test where Slurm cannot be set up.
func needsSlurm(t *testing.T) {
	why := ""
	for _, program := range []string{"munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue"} {
		if _, err := exec.LookPath(program); err != nil {
			why = program + " is missing: .ci/setup-vm installs it"
		}
	}
	switch {
	case why == "" && os.Geteuid() != 0:
		t.Skip("a Slurm of its own needs root")
	case why != "" && os.Getenv("CI") != "":
		t.Fatal(why)
	case why != "":
		t.Skip(why)
	}
}

// freePort is a port that nothing listens on now.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// slurmHangs is when the test gives up: parts take seconds.
const slurmHangs = 90 * time.Second

// startSlurm sets up munge, a controller and a node, and takes them down at the end of the test.
func startSlurm(t *testing.T) *slurm {
	needsSlurm(t)
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ = strings.Cut(host, ".")
	dir, err := os.MkdirTemp("", "slurm") // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // it is a folder of temporary files
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err) // munge wants it
	}
	s := &slurm{t: t, dir: dir, env: append(os.Environ(), "SLURM_CONF="+filepath.Join(dir, "slurm.conf"))}
	key := make([]byte, 1024)
	_, _ = rand.Read(key) // never fails
	conf := fmt.Sprintf(`ClusterName=tcsim
SlurmctldHost=%[1]s(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=%[2]s/munge.sock
SlurmctldPort=%[3]d
SlurmdPort=%[4]d
SlurmctldPidFile=%[2]s/slurmctld.pid
SlurmdPidFile=%[2]s/slurmd.pid
StateSaveLocation=%[2]s/state
SlurmdSpoolDir=%[2]s/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SlurmdParameters=config_overrides
MpiDefault=none
MailProg=/bin/true
KillWait=1
NodeName=%[1]s NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=all Nodes=%[1]s Default=YES MaxTime=INFINITE State=UP
`, host, dir, freePort(t), freePort(t))
	for name, text := range map[string]string{"munge.key": string(key), "slurm.conf": conf, "state/none": "", "spool/none": ""} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	s.daemon("munged", "--foreground", "--key-file="+in("munge.key"), "--socket="+in("munge.sock"), "--pid-file="+in("munged.pid"),
		"--log-file="+in("munged.log"), "--seed-file="+in("munged.seed"), "--force")
	s.waitFor("munge", func() bool { _, err := os.Stat(in("munge.sock")); return err == nil })
	s.daemon("slurmctld", "-D")
	s.daemon("slurmd", "-D")
	s.waitFor("the node", func() bool { return strings.Contains(s.try("sinfo", "-h", "-o", "%T"), "idle") })
	return s
}

// daemon starts a program, which ends with the test, or with the process of the test.
func (s *slurm) daemon(name string, args ...string) {
	s.t.Helper()
	said, err := os.Create(filepath.Join(s.dir, name+".said"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer said.Close()
	c := exec.Command(name, args...)
	c.Env, c.Stdout, c.Stderr = s.env, said, said
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if s.t.Failed() {
			text, _ := os.ReadFile(said.Name()) // as far as there is any
			s.t.Logf("%s said\n%s", name, text)
		}
		_ = c.Process.Signal(syscall.SIGTERM) // or it has ended
		late := time.AfterFunc(10*time.Second, func() { _ = c.Process.Kill() })
		defer late.Stop()
		_ = c.Wait() // by the signal
	})
}

// try runs one of Slurm's commands and returns what it prints.
func (s *slurm) try(name string, args ...string) string {
	c := exec.Command(name, args...)
	c.Env, c.Dir = s.env, s.dir
	out, _ := c.Output() // there may be no answer yet
	return string(out)
}

func (s *slurm) waitFor(what string, is func() bool) {
	s.t.Helper()
	for end := time.Now().Add(slurmHangs); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("still not: %s\n%s", what, s.try("scontrol", "show", "job"))
		}
	}
}

// TestSlurm runs docs/cluster/slurm.sh as it is: an array of eight parts, of which one is killed and requeued. Their sum is
// what one machine prints.
func TestSlurm(t *testing.T) {
	if testing.Short() {
		t.Skip("sets up Slurm")
	}
	s := startSlurm(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs("../../docs/cluster/slurm.sh")
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(s.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(bin, "tcsim")); err != nil {
		t.Fatal(err)
	}
	work := []string{"fuzz", "--kind", "mixed", "--n", "4000", "--seed", "3", "--target", "6.12,pop-nop-push", "--shrink", "1"}
	s.env = append(s.env, "WORK="+strings.Join(work, " "), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))

	job := strings.TrimSpace(s.try("sbatch", "--parsable", script))
	if job == "" {
		t.Fatal("sbatch printed no number of a job")
	}
	at := func(format string, args ...any) string { return filepath.Join(s.dir, fmt.Sprintf(format, args...)) }
	const killed = 3
	s.waitFor("part 3 at work", func() bool { _, err := os.Stat(at("parts/%d.tmp", killed)); return err == nil })
	s.try("scontrol", "requeue", fmt.Sprintf("%s_%d", job, killed))
	restarts := func() bool {
		return strings.Contains(s.try("scontrol", "show", "job", fmt.Sprintf("%s_%d", job, killed)), "Restarts=1")
	}
	s.waitFor("part 3 requeued", restarts)
	if _, err := os.Stat(at("parts/%d.json", killed)); err == nil {
		t.Fatal("part 3 was complete before it was killed: the campaign is too short")
	}
	s.waitFor("the end of all parts", func() bool {
		left := s.try("squeue", "-h", "-o", "%r", "-j", job)
		if strings.Contains(left, "BeginTime") { // it waits two minutes, which a node may need that was lost
			s.try("scontrol", "update", fmt.Sprintf("JobId=%s_%d", job, killed), "StartTime=now")
		}
		return strings.TrimSpace(left) == ""
	})
	if !restarts() {
		t.Error("part 3 was not run again")
	}

	var parts []string
	for n := range 8 {
		parts = append(parts, at("parts/%d.json", n+1))
	}
	out := []string{"--out", at("found")}
	code, sum, errs := tcsim(t, "", append(append([]string{"merge"}, out...), parts...)...)
	want, whole, wholeErrs := tcsim(t, "", append(work, out...)...)
	if code != want || sum != whole || want != exitFailed {
		t.Errorf("exit code %d of the parts, %d of the whole, expected %d of both\n%s\n%s\nparts:\n%s\nwhole:\n%s", code, want, exitFailed, errs, wholeErrs, sum, whole)
	}
	code, _, errs = tcsim(t, "", append([]string{"merge"}, append(parts[:2:2], parts[3:]...)...)...)
	if code != exitUsage || !strings.Contains(errs, "part 3/8 is missing: run it with --shard 3/8") {
		t.Errorf("without part 3: exit code %d, %s", code, errs)
	}
}
