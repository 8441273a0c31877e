// SPDX-License-Identifier: GPL-2.0-only

package splat_test

import (
	"bytes"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures/flood"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/splat"
)

const seed = "../../fixtures/splats/hierarchy-2023.log"

func text(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(seed)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// one analyses a text with one report.
func one(t testing.TB, s string) *splat.Analysis {
	t.Helper()
	log, err := splat.Read(s)
	if err != nil {
		t.Fatal(err)
	}
	if len(log.Reports) != 1 {
		t.Fatalf("%d reports", len(log.Reports))
	}
	return splat.Analyse(&log.Reports[0])
}

// written is what is printed of an analysis.
func written(t testing.TB, a *splat.Analysis) string {
	t.Helper()
	var b bytes.Buffer
	f := a.Facts()
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestSeed reads the splat of the mail of 11 December 2023: the position was found by brute force before.
func TestSeed(t *testing.T) {
	a := one(t, text(t))
	switch {
	case len(a.Frames) != 32, a.Outer.Func != "bpf_test_run", !a.Inside:
		t.Errorf("%d frames, outside %+v", len(a.Frames), a.Outer)
	case a.Position == nil:
		t.Fatalf("no position: %v", a.Missing)
	case a.Position.No.String() != "1924687427", a.Position.Total.String() != "8589934591", a.Position.Before != 1:
		t.Errorf("position %+v", a.Position)
	case !a.Designs.Has(design.Rework67), !a.Counter.Known, a.Counter.Value != 33:
		t.Errorf("designs %v, counter %+v", a.Designs, a.Counter)
	}
	out := written(t, a)
	for _, want := range []string{
		"00111001010111000011001100011000", "tail call 1,924,687,427 of 8,589,934,591: 22.41 %", "[rbp-4]; now 33", "tail_call_cnt = 32",
		">   49  488b4930",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// TestWatchdog takes the pace from the time that a watchdog has measured.
func TestWatchdog(t *testing.T) {
	a := one(t, "[10623.892900] watchdog: BUG: soft lockup - CPU#7 stuck for 21s! [test_progs:99]\n"+text(t))
	if p := a.Position; p == nil || p.Seconds < 93 || p.Seconds > 94 {
		t.Errorf("position %+v, want 21 s of 93.7 s", a.Position)
	}
	if a.Report.CPU != 7 {
		t.Errorf("CPU %d", a.Report.CPU)
	}
}

// cut removes lines.
func cut(s, pattern string) string {
	return regexp.MustCompile(`(?m)^.*(?:`+pattern+`).*\n`).ReplaceAllString(s, "")
}

// TestPartial takes parts of the report away, and expects what cannot be said any more to be named and nothing wrong.
func TestPartial(t *testing.T) {
	whole := text(t)
	for name, c := range map[string]struct {
		text     string
		missing  string
		position bool
	}{
		"no code":         {cut(whole, "Code: 39"), "no Code: line", false},
		"bad code":        {strings.Replace(whole, "Code: 39", "Code: Bad RIP value. 39", 1), "Bad RIP value", false},
		"no mark":         {strings.Replace(whole, "<48> 8b 49 30", "48 8b 49 30", 1), "marked", false},
		"no rax":          {cut(whole, "RAX: 0000"), "the log does not have that value", false},
		"changed rax":     {strings.Replace(whole, "RAX: 00000021", "RAX: 00000921", 1), "more than the limit", false},
		"cut trace":       {whole[:strings.Index(whole, "bpf_test_run+0x186")-20], "cut before the caller", false},
		"cut in the code": {whole[:strings.Index(whole, "<48> 8b 49")+4], "", false},
		"no user part":    {whole[:strings.Index(whole, "[10624.243550]")], "", true},
		"fewer frames":    {strings.Replace(whole, "classifier_0+0x6f/0x77", "other_0+0x6f/0x77", 1), "in turn", false},
	} {
		log, err := splat.Read(c.text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		a := splat.Analyse(&log.Reports[0])
		if (a.Position != nil) != c.position {
			t.Errorf("%s: position %+v", name, a.Position)
		}
		if !strings.Contains(strings.Join(a.Missing, "\n"), c.missing) {
			t.Errorf("%s: missing %q, want %q", name, a.Missing, c.missing)
		}
	}
}

// traced is the report as it would be if subprog_tail was traced: each call of it goes through a trampoline.
func traced(whole string) string {
	call := regexp.MustCompile(`(?m)^(.*) bpf_prog_(\w+)_classifier_0\+(0x\w+/0x\w+)$`)
	return call.ReplaceAllString(whole, "$1 bpf_trampoline_6442533042+0x6b/0x1000\n$1 bpf_prog_6abcef0aca85f2fd_subprog_tail+0x5/0x59\n$1 ? bpf_prog_${2}_classifier_0+$3")
}

// TestTrampolines finds the same position where every call goes through a trampoline, which leaves guesses of the callers; and
// none where one of them is not there.
func TestTrampolines(t *testing.T) {
	s := traced(text(t))
	a := one(t, s)
	if len(a.Frames) != 32 || len(a.Hooks) != 32 || a.Outer.Func != "bpf_test_run" {
		t.Fatalf("%d frames, %d trampolines, outside %+v", len(a.Frames), len(a.Hooks), a.Outer)
	}
	if a.Position == nil || a.Position.No.String() != "1924687427" {
		t.Errorf("position %+v, missing %q", a.Position, a.Missing)
	}
	out := written(t, a)
	for _, want := range []string{
		"  classifier_0+0x56, through bpf_trampoline_6442533042+0x6b/0x1000  3 times\n", "frames like these: 28",
		"return address: subprog_tail+0x5, after the call of the trampoline", "return address: bpf_trampoline_6442533042+0x6b/0x1000",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if n := strings.Count(out, "frames like these"); n != 1 {
		t.Errorf("folded %d times", n)
	}
	guess := regexp.MustCompile(`(?m)^.*\? bpf_prog_\w+_classifier_0.*\n`).FindString(s)
	a = one(t, strings.Replace(s, guess, "", 1))
	if a.Position != nil || !strings.Contains(strings.Join(a.Missing, "\n"), "who called subprog_tail, which is traced") {
		t.Errorf("without a caller: position %+v, missing %q", a.Position, a.Missing)
	}
}

// TestForeign says what is not read.
func TestForeign(t *testing.T) {
	arm := `[   12.1] rcu: INFO: rcu_sched self-detected stall on CPU
[   12.2] CPU: 1 PID: 77 Comm: test_progs Not tainted 6.6.0 #1
[   12.3] pstate: 80400005 (Nzcv daif +PAN -UAO -TCO -DIT -SSBS BTYPE=--)
[   12.4] pc : bpf_prog_6abcef0aca85f2fd_subprog_tail+0x68/0xa0
[   12.5] lr : bpf_prog_6d15fffd34d84bbf_classifier_0+0x84/0xc0
[   12.6] x29: ffff800082d3b6e0 x28: ffff0000c4a84000 x27: 0000000000000000
[   12.7] Call trace:
[   12.8]  bpf_prog_6abcef0aca85f2fd_subprog_tail+0x68/0xa0
`
	if out := written(t, one(t, arm)); !strings.Contains(out, "a report of arm64") {
		t.Errorf("arm64:\n%s", out)
	}
	plain := `[ 1.0] BUG: kernel NULL pointer dereference, address: 0000000000000010
[ 1.1] CPU: 0 PID: 1 Comm: init Not tainted 6.6.0 #1
[ 1.2] RIP: 0010:ext4_map_blocks+0x10/0x5c0
[ 1.3] Code: 90 90 90 <48> 8b 47 10
[ 1.4] Call Trace:
[ 1.5]  ext4_getblk+0x5d/0x1a0
`
	a := one(t, plain)
	if out := written(t, a); a.Ctx != nil || !strings.Contains(out, "no function of a BPF program") || a.Report.Fault != 0x10 {
		t.Errorf("no BPF:\n%s", out)
	}
	for _, s := range []string{"", "hello", "Dear all,\n\nthis is broken.\n", strings.Repeat(">", 100_000)} {
		if _, err := splat.Read(s); !errors.Is(err, splat.ErrNoReport) {
			t.Errorf("%.20q: %v", s, err)
		}
	}
	if _, err := splat.Read(strings.Repeat("x", splat.MaxSource+1)); err == nil || errors.Is(err, splat.ErrNoReport) {
		t.Errorf("too long: %v", err)
	}
}

// TestHelper reads a report of a processor that was in a helper, or in a thunk: the program is in the trace only.
func TestHelper(t *testing.T) {
	s := `watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [test_progs:4711]
CPU: 3 PID: 4711 Comm: test_progs Tainted: G           OE      5.15.0-91-generic #101-Ubuntu
RIP: 0010:__htab_map_lookup_elem+0x3f/0x80
Code: 41 54 55 48 <8b> 07
RAX: 0000000000000001
Call Trace:
 <TASK>
 ? __htab_map_lookup_elem+0x3f/0x80
 bpf_prog_0123456789abcdef_lookup+0x2a/0x60
 bpf_prog_0123456789abcdee_entry+0x31/0x55
 bpf_dispatcher_xdp+0xa00/0x1000
`
	a := one(t, s)
	if a.Ctx == nil || a.Inside || len(a.Frames) != 2 || a.Frames[0].Off != 0x31 || a.Report.Kernel != "5.15.0-91-generic" {
		t.Fatalf("%+v", a)
	}
	if out := written(t, a); !strings.Contains(out, "which is no BPF program") || !strings.Contains(out, "lookup+0x2a") {
		t.Error(out)
	}
}

// TestSeveral tells the processors of one log apart.
func TestSeveral(t *testing.T) {
	one := text(t)
	log, err := splat.Read("NMI backtrace for cpu 0\nCPU: 0 PID: 5 Comm: a Not tainted 6.1.0 #1\n" + one + "NMI backtrace for cpu 2\n" +
		"CPU: 2 PID: 6 Comm: b Not tainted 6.1.0 #1\n" + one)
	if err != nil || len(log.Reports) != 2 || log.Reports[0].CPU != 0 || log.Reports[1].CPU != 2 {
		t.Fatalf("%v, %d reports", err, len(log.Reports))
	}
	for i := range log.Reports {
		if a := splat.Analyse(&log.Reports[i]); a.Position == nil {
			t.Errorf("report %d: %v", i, a.Missing)
		}
	}
}

// FuzzRead reads anything, and prints what it takes it for.
func FuzzRead(f *testing.F) {
	f.Add(text(f))
	f.Add("RIP: 0010:bpf_prog_0123456789abcdef_x+0x1/0x2\nCode: <48> 8b\nRAX: 0000000000000021 RBP: ffffc900202b78e0\nStack:\n 0000000000000001\n")
	f.Add("Code: <ff>\nRIP: 0010:0xffffffffc0012c60\nCall Trace:\n ? 0xffffffffc0012c60\n [<ffffffffc0012c60>] bpf_prog_0123456789abcdef+0xffffffff/0x0\n")
	f.Add("> <4>[ 1.2][ T1] CPU: 99999 PID: 1 Comm: \x1b[2J Not tainted 6.1 #1\nStack:\nfff\nRSP: 0018:ffffffffffffffff EFLAGS: 00000286\n")
	f.Fuzz(flood.One(func(t *testing.T, s string) {
		log, err := splat.Read(s)
		if err != nil {
			return
		}
		for i := range log.Reports {
			a := splat.Analyse(&log.Reports[i])
			if p := a.Position; p != nil && (p.No.Sign() < 0 || p.No.Cmp(p.Total) > 0) {
				t.Errorf("tail call %v of %v", p.No, p.Total)
			}
			written(t, a)
		}
	}))
}
