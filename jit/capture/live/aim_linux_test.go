// SPDX-License-Identifier: GPL-2.0-only

package live

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcsim/tcsim/jit/bpf"
)

// TestAim has what kernels of several ages tell of programs that run.
func TestAim(t *testing.T) {
	w := &world{
		progs: map[uint32]*running{
			10: {typ: bpf.XDP, btf: 50, funcs: []uint32{5, 6}}, 11: {typ: bpf.XDP, btf: 50, funcs: []uint32{7, 6}},
			20: {typ: bpf.Tracing, typeID: 6}, 21: {typ: bpf.Tracing}, 22: {typ: bpf.Tracing}, 23: {typ: bpf.Tracing},
			24: {typ: bpf.Tracing, object: 1, typeID: 300}, 25: {typ: bpf.Tracing, object: 1, typeID: 301}, 26: {typ: bpf.Tracing, object: 1, typeID: 302},
			30: {typ: bpf.Extension, object: 50, typeID: 5}, 31: {typ: bpf.Extension, object: 50, typeID: 6}, 32: {typ: bpf.Extension},
			40: {typ: bpf.LSM, object: 1, typeID: 303}, 41: {typ: bpf.CGroupSockAddr}, 42: {typ: bpf.CGroupDevice}, 43: {typ: bpf.StructOps, typeID: 9},
			44: {typ: bpf.SkLookup}, 3: {typ: bpf.XDP, btf: 51, funcs: []uint32{300}},
		},
		links: []link{
			{linkTracing, 20, [4]uint32{24, 10, 6}},  // from 6.0 on: the program's own info has the type alone
			{linkTracing, 21, [4]uint32{25, 11, 7}},  // before: only program 11 has such a function, and there are no types 11
			{linkTracing, 22, [4]uint32{26, 1, 300}}, // only the kernel has such a type
			{linkTracing, 23, [4]uint32{24, 3, 300}}, // both
			{linkTracing, 24, [4]uint32{26, 1, 300}}, {linkTracing, 32, [4]uint32{0, 10, 5}}, {linkTracing, 40, [4]uint32{27, 1, 303}},
			{linkCgroup, 41, [4]uint32{7, 0, 10}}, {linkCgroup, 42, [4]uint32{7, 0, 6}}, {linkNetns, 44, [4]uint32{7, 36}},
			{linkTracing, 20, [4]uint32{25, 11, 7}}, // a second one does not count
		},
		name: func(object, typeID uint32) (string, bool) {
			n, ok := map[uint32]string{300: "bpf_fentry_test1", 301: "btf_trace_sched_switch", 302: "bpf_iter_task", 303: "bpf_lsm_file_open"}[typeID]
			return n, ok && (object == 1 || object == 3)
		},
	}
	for id, want := range map[uint32]aim{
		10: {}, 20: {24, 10, 6, ""}, 21: {25, 11, 7, ""}, 22: {26, 0, 0, "bpf_fentry_test1"}, 23: {attachType: 24},
		24: {26, 0, 0, "bpf_fentry_test1"}, 25: {23, 0, 0, "sched_switch"}, 26: {28, 0, 0, "task"},
		30: {0, 10, 5, ""}, 31: {}, 32: {0, 10, 5, ""}, 40: {27, 0, 0, "file_open"}, 41: {attachType: 10}, 42: {}, 43: {}, 44: {attachType: 36},
	} {
		if got := w.aim(id); got != want {
			t.Errorf("program %d: %+v, expected %+v", id, got, want)
		}
	}
	for id, want := range map[uint32]string{20: "fentry", 21: "fexit", 25: "", 30: "freplace"} {
		a := w.aim(id)
		if got := a.kind(w.progs[id].typ); got != want {
			t.Errorf("program %d is attached as %q, expected %q", id, got, want)
		}
	}
}

// TestLedTo finds where functions lead to what is attached to them.
func TestLedTo(t *testing.T) {
	for _, c := range []struct {
		code string
		off  int
		to   uint64
	}{
		{"\x0f\x1f\x44\x00\x00\x55", -1, 0}, {"\xe8\x10\x00\x00\x00\x55", 0, 0x1015}, {"\xe9\xfb\xff\xff\xff\x55", 0, 0x1000},
		{"\xf3\x0f\x1e\xfa\x0f\x1f\x44\x00\x00", -1, 0}, {"\xf3\x0f\x1e\xfa\xe8\x10\x00\x00\x00", 4, 0x1019},
		{"\x66\x0f\x1f\x00\xe8\x10\x00\x00\x00", 4, 0x1019}, {"\x0f\x1f\x40\xd6\xe9\x10\x00\x00\x00", 4, 0x1019},
		{"\x55\x48\x89\xe5\xe8\x10\x00\x00\x00", -1, 0}, {"\xe8\x10", -1, 0}, {"\xf3\x0f\x1e\xfa\xe8", -1, 0}, {"", -1, 0},
	} {
		off, to, ok := ledTo(0x1000, []byte(c.code))
		if ok != (c.off >= 0) || ok && (off != c.off || uint64(to) != c.to) {
			t.Errorf("% x: %d, %#x, %t; expected %d, %#x", c.code, off, uint64(to), ok, c.off, c.to)
		}
	}
}

// TestLogOfLongWalk: a program that is refused after a million instructions costs no line for each of them, and the
// times that the verifier prints are not part of the reason.
func TestLogOfLongWalk(t *testing.T) {
	if logLevel(unix.EACCES) != 1 || logLevel(&refusal{unix.E2BIG, ""}) != 4 {
		t.Errorf("levels %d and %d", logLevel(unix.EACCES), logLevel(unix.E2BIG))
	}
	text := lastLines("BPF program is too large. Processed 1000001 insn\nverification time 4711 usec\nstack depth 0\nprocessed 1000001 insns (limit 1000000)\n", 6)
	if text != "BPF program is too large. Processed 1000001 insn" || !errors.Is(&refusal{unix.E2BIG, text}, unix.E2BIG) || strings.Contains(text, "usec") {
		t.Errorf("%q", text)
	}
}
