// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunObject(t *testing.T) {
	const o = "fixtures/objects/"
	foreign := write(t, "foreign.o", "\x7fELF\x02\x01\x01"+strings.Repeat("\x00", 60))
	for _, tc := range []struct {
		args string
		want int
		says string
	}{
		{"run --target 6.12 " + o + "hierarchy.o", exitOK, "ok"},
		{"run --target 6.1 " + o + "hierarchy.o", exitFailed, "violates limit"},
		{"run --target 6.1,6.12 --return 2 --taken 33 " + o + "hierarchy.o", exitFailed, "expected no violation"},
		{"run --target 6.12 --return 2 --taken 33 " + o + "hierarchy.o", exitOK, "ok"},
		{"run --return 1 --target 6.12 " + o + "hierarchy.o", exitFailed, "hierarchy.o: expected return 1, found 2"},
		{"run --entry xdp --packet " + o + "packets.pcap --target 6.12 " + o + "xdp.o", exitOK, "xdp       6.12      8"},
		{"run --entry udp --packet zz " + o + "xdp.o", exitUsage, "neither a packet in hex nor a file"},
		{"run --entry nonesuch " + o + "xdp.o", exitUsage, "nonesuch"},
		{"run --entry xdp hierarchy", exitUsage, "--entry belongs to object files"},
		{"run " + foreign, exitUsage, "foreign.o"},
		{"trace --entry from_container --packet 0200000000010200000000020806 " + o + "dispatcher.o", exitOK, "handle_arp"},
		{"stack --at tailcall:1 --packet " + o + "packets.pcap " + o + "xdp.o", exitOK, "STACK of udp()"},
	} {
		code, out, errs := tcsim(t, "", strings.Fields(tc.args)...)
		if code != tc.want || !strings.Contains(out+errs, tc.says) {
			t.Errorf("%s: exit code %d, want %d and %q\n%s%s", tc.args, code, tc.want, tc.says, out, errs)
		}
	}
}

// TestEndlessInput gives a device where a file is expected: it is an error before memory runs out.
func TestEndlessInput(t *testing.T) {
	const zero = "/dev/zero"
	if _, err := os.Stat(zero); err != nil {
		t.Skip(err)
	}
	const program = "../../fixtures/objects/xdp.o"
	for _, args := range [][]string{
		{"run", zero}, {"graph", zero}, {"capture", "-o", filepath.Join(t.TempDir(), "x"), zero}, {"replay", zero}, {"import", zero},
		{"run", program, "--packet", zero}, {"cycles", "--measured", zero}, {"vm", "--kernel", "x", "--config", zero},
		{"vm", "--kernel", "x", "--guest", zero}, {"vm", "--kernel", zero},
	} {
		if code, out, errs := tcsim(t, "", args...); code != exitUsage || out != "" || errs == "" {
			t.Errorf("%q: code %d, %q, %q", args, code, out, errs)
		}
	}
}

func TestGraph(t *testing.T) {
	const o = "fixtures/objects/"
	for _, tc := range []struct {
		args string
		want int
		says string
	}{
		{"graph " + o + "dispatcher.o", exitOK, "tail call calls[2] → nothing"},
		{"graph --check " + o + "dispatcher.o", exitFailed, "3 tail calls never taken"},
		{"graph --check --json " + o + "dispatcher.o", exitFailed, `"schema": "tcsim.graph/v1"`},
		{"graph --check hierarchy", exitOK, "0 tail calls never taken"},
		{"graph --dot " + o + "xdp.o", exitOK, "digraph xdp"},
		{"graph --entry nonesuch " + o + "xdp.o", exitUsage, "nonesuch"},
		{"graph nonesuch", exitUsage, "nonesuch"},
	} {
		code, out, errs := tcsim(t, "", strings.Fields(tc.args)...)
		if code != tc.want || !strings.Contains(out+errs, tc.says) {
			t.Errorf("%s: exit code %d, want %d and %q\n%s%s", tc.args, code, tc.want, tc.says, out, errs)
		}
	}
}
