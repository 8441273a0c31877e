// SPDX-License-Identifier: GPL-2.0-only

package splat

import (
	"regexp"
	"strconv"

	"github.com/tcsim/tcsim/jit/image"
)

// head is what the first line of a report says.
type head struct {
	cpu     int // -1 if it does not say
	stuck   float64
	addr    image.Addr
	hasAddr bool
	after   bool // it may stand after the rest of the report
}

// headers are the lines that say what happened (kernel/watchdog.c, kernel/rcu/tree_stall.h, kernel/panic.c,
// arch/x86/mm/fault.c, arch/x86/kernel/traps.c and dumpstack.c, lib/nmi_backtrace.c, of 4.9 to 7.2). Groups: CPU,
// seconds, address.
var headers = []struct {
	re              func() *regexp.Regexp
	cpu, secs, addr int
	after           bool
}{
	{re: pattern(`BUG: soft lockup - CPU#(\d{1,6}) stuck for (\d{1,9})s`), cpu: 1, secs: 2},
	{re: pattern(`Watchdog detected hard LOCKUP on cpu (\d{1,6})`), cpu: 1},
	{re: pattern(`INFO: \S+ (?:self-)?detected (?:expedited )?stalls? on CPU`)},
	{re: pattern(`\(t=\d+ jiffies `)},
	{re: nmiRE, cpu: 1},
	{re: pattern(`BUG: unable to handle (?:kernel )?(?:page fault for address: |paging request at )([0-9a-f]{8,16})`), addr: 1},
	{re: pattern(`BUG: (?:unable to handle )?kernel NULL pointer dereference(?:, address: | at )([0-9a-f]{8,16})`), addr: 1},
	{re: pattern(`stack guard page was hit at ([0-9a-f]{8,16})`), addr: 1},
	{re: pattern(`kernel stack overflow`)},
	{re: pattern(`^kernel BUG at `)},
	{re: pattern(`^WARNING: `)},
	{re: pattern(`general protection fault`)},
	{re: pattern(`^(?:Oops|invalid opcode|divide error|int3|double fault|traps: PANIC)\b`)},
	{re: pattern(`^(?:PANIC: )?double fault`)},
	{re: pattern(`^Kernel panic - not syncing: `), after: true},
}

// header reads a line that says what happened; ok is false if it does not.
func header(t string) (h head, ok bool) {
	for _, x := range headers {
		m := x.re().FindStringSubmatch(t)
		if m == nil {
			continue
		}
		h = head{cpu: -1, after: x.after}
		if x.cpu > 0 {
			h.cpu, _ = strconv.Atoi(m[x.cpu])
		}
		if x.secs > 0 {
			h.stuck, _ = strconv.ParseFloat(m[x.secs], 64)
		}
		if x.addr > 0 {
			h.addr, h.hasAddr = addr(m[x.addr]), true
		}
		return h, true
	}
	return head{}, false
}

// architectures are those whose reports are recognised and not read, by what only theirs have.
var architectures = []struct {
	name string
	re   func() *regexp.Regexp
}{
	{"arm64", pattern(`^pc : |^pstate: |^x29: [0-9a-f]{16}`)},
	{"s390", pattern(`^Krnl (?:PSW|GPRS|Code)`)},
	{"powerpc", pattern(`^NIP: +[0-9a-f]{16}|^NIP \[`)},
	{"riscv", pattern(`^epc : [0-9a-f]{16}`)},
	{"32-bit x86", pattern(`^EIP: `)},
}

// foreign notes the architecture of a line that x86-64 does not have.
func (r *reader) foreign(l *line, t string) {
	for _, a := range architectures {
		if a.re().MatchString(t) {
			if rep := r.report(l); rep.Foreign == "" {
				rep.Foreign = a.name
			}
			return
		}
	}
}
