// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package locate_test

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// snapshot is an emulated processor at a moment, to be printed as kernels do.
type snapshot struct {
	m    *runner.Machine
	res  emu.Result
	acts []trace.Activation
	head string
}

// symbol is a place as kernels print it.
func (s *snapshot) symbol(a image.Addr) string {
	if f := s.m.Code.Lookup(a); f != nil {
		return fmt.Sprintf("bpf_prog_%016x_%s+%#x/%#x", 0xfeed0000+f.Index, f.Name, uint64(a-f.Addr), len(f.Code))
	}
	return "bpf_test_run+0x186/0x320"
}

// code is the Code: line: 64 bytes, of which 42 before rip (show_opcodes, arch/x86/kernel/dumpstack.c).
func (s *snapshot) code() string {
	var b strings.Builder
	b.WriteString("Code:")
	for i := -42; i < 22; i++ {
		v, err := s.m.Bytes(s.res.RIP+image.Addr(int64(i)), 1)
		switch {
		case err != nil:
			v = []byte{0xcc}
			fallthrough
		case i != 0:
			fmt.Fprintf(&b, " %02x", v[0])
		default:
			fmt.Fprintf(&b, " <%02x>", v[0])
		}
	}
	return b.String()
}

// regs are the registers in the kernel's lines (__show_regs, arch/x86/kernel/process_64.c).
func (s *snapshot) regs() []string {
	r := s.res.Regs
	at := func(names ...x86.Reg) string {
		var out []string
		for _, n := range names {
			name := strings.ToUpper(n.String())
			if n == x86.R8 || n == x86.R9 {
				name = "R0" + name[1:]
			}
			out = append(out, fmt.Sprintf("%s: %016x", name, r[n]))
		}
		return strings.Join(out, " ")
	}
	return []string{
		fmt.Sprintf("RSP: 0018:%016x EFLAGS: 00000286", r[x86.RSP]), at(x86.RAX, x86.RBX, x86.RCX), at(x86.RDX, x86.RSI, x86.RDI),
		at(x86.RBP, x86.R8, x86.R9), at(x86.R10, x86.R11, x86.R12), at(x86.R13, x86.R14, x86.R15),
	}
}

// returns are the return addresses of the active functions, the innermost first.
func (s *snapshot) returns() (out []image.Addr) {
	for i := len(s.acts) - 1; i >= 0; i-- {
		out = append(out, s.acts[i].ReturnTo)
	}
	return out
}

// words are the stack from rsp to the outside caller.
func (s *snapshot) words() []string {
	rsp := image.Addr(s.res.Regs[x86.RSP])
	mem, err := s.m.Bytes(rsp, int(s.acts[0].Top+8-rsp))
	if err != nil {
		return nil
	}
	var out []string
	for i := 0; i+8 <= len(mem); i += 8 {
		if i%32 == 0 {
			out = append(out, "")
		}
		out[len(out)-1] += fmt.Sprintf(" %016x", binary.LittleEndian.Uint64(mem[i:]))
	}
	return out
}

// report prints it as a kernel of today does, or, if old, as one before 4.10.
func (s *snapshot) report(old bool) []string {
	out := []string{s.head, "CPU: 3 PID: 4711 Comm: test_progs Not tainted 6.6.0-rc7-00042-gabcdef #1", "Hardware name: QEMU Standard PC (Q35 + ICH9, 2009)"}
	if old {
		out = append(out, fmt.Sprintf("RIP: 0010:[<%016x>]  [<%016x>] %s", uint64(s.res.RIP), uint64(s.res.RIP), s.symbol(s.res.RIP)))
		out = append(out, s.regs()...)
		out = append(out, "Stack:")
		out = append(out, s.words()...)
		out = append(out, "Call Trace:")
		for _, a := range s.returns() {
			out = append(out, fmt.Sprintf(" [<%016x>] %s", uint64(a), s.symbol(a)), fmt.Sprintf(" [<%016x>] ? kmem_cache_alloc+0x14d/0x2c0", uint64(0xffffffff81234567)))
		}
		return append(out, s.code(), "RIP  [<"+fmt.Sprintf("%016x", uint64(s.res.RIP))+">] "+s.symbol(s.res.RIP))
	}
	out = append(out, "RIP: 0010:"+s.symbol(s.res.RIP), s.code())
	out = append(out, s.regs()...)
	out = append(out, "Call Trace:", " <TASK>", " ? watchdog_timer_fn+0x1b8/0x220")
	for _, a := range s.returns() {
		out = append(out, " "+s.symbol(a))
	}
	return append(out, " __sys_bpf+0xf3a/0x2d80", " entry_SYSCALL_64_after_hwframe+0x6e/0x76", "RIP: 0033:0x7fd76171e69d",
		"Code: 5b 41 5c <48> 3d 01 f0", "RSP: 002b:00007ffe694f8d68 EFLAGS: 00000202 ORIG_RAX: 0000000000000141",
		"RAX: ffffffffffffffda RBX: 0000000000000000 RCX: 00007fd76171e69d", " </TASK>", "---[ end trace 0000000000000000 ]---",
		"RIP: 0010:"+s.symbol(s.res.RIP), s.code())
}

// dressings are what mails, syslog and printk do to the lines of a report.
var dressings = []struct {
	name string
	old  bool
	do   func(lines []string) string
}{
	{"stamped", false, func(l []string) string {
		return each(l, func(i int) string { return fmt.Sprintf("[%5d.%06d] ", 10623+i, 892978) })
	}},
	{"quoted", false, func(l []string) string {
		return each(l, func(i int) string { return fmt.Sprintf("> > [%d.%06d] ", 10+i, i) })
	}},
	{"old", true, func(l []string) string {
		return each(l, func(i int) string { return fmt.Sprintf("[   %d.%06d] ", i, i) })
	}},
	{"syslog", true, func(l []string) string {
		return each(l, func(i int) string { return fmt.Sprintf("Nov  9 12:00:%02d host kernel: [%d.5]", i%60, i) })
	}},
	{"bare", false, func(l []string) string { return each(l, func(int) string { return "" }) }},
	{"caller", false, func(l []string) string {
		return each(l, func(i int) string { return fmt.Sprintf("<4>[ %d.1][ T4711@C3] ", i) })
	}},
	{"journal", false, func(l []string) string {
		return each(l, func(i int) string { return "2026-11-29T22:22:58.635902+00:00 host kernel: " })
	}},
	{"wrapped", false, func(l []string) string {
		return wrap(each(l, func(i int) string { return fmt.Sprintf("[%d.%06d] ", 10+i, i) }), 72)
	}},
	{"wrapped bare", false, func(l []string) string { return wrap(each(l, func(int) string { return "" }), 72) }},
	{"decorated", false, func(l []string) string {
		return each(l, func(i int) string { return fmt.Sprintf("kern  :warn  : [%d.9] ", i) })
	}},
}

func each(lines []string, prefix func(i int) string) string {
	var b strings.Builder
	for i, l := range lines {
		b.WriteString(prefix(i) + l + "\r\n")
	}
	return b.String()
}

// wrap breaks lines at blanks as mail programs do.
func wrap(text string, n int) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		for len(line) > n {
			at := strings.LastIndexByte(line[:n], ' ')
			if at <= 0 {
				break
			}
			b.WriteString(line[:at] + "\n")
			line = line[at+1:]
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}
