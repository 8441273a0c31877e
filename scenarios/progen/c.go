// SPDX-License-Identifier: GPL-2.0-only

package progen

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
)

// cMapTypes are the maps that a selftest can make, by type.
var cMapTypes = map[bpf.MapType]string{
	bpf.ArrayMap: "BPF_MAP_TYPE_ARRAY", bpf.HashMap: "BPF_MAP_TYPE_HASH", bpf.PerCPUArrayMap: "BPF_MAP_TYPE_PERCPU_ARRAY",
	bpf.ProgArray: "BPF_MAP_TYPE_PROG_ARRAY",
}

// cTypes are the program types that the kernel can run for a test.
var cTypes = map[bpf.ProgType]string{
	bpf.SchedCLS: "BPF_PROG_TYPE_SCHED_CLS", bpf.XDP: "BPF_PROG_TYPE_XDP", bpf.SocketFilter: "BPF_PROG_TYPE_SOCKET_FILTER",
}

// Selftest is a test for tools/testing/selftests/bpf/prog_tests that loads exactly these instructions; ok is false if
// the kernel cannot run the program for a test, or its calls of kernel functions need numbers that its BTF has.
func (p *Program) Selftest(name, about string, returns uint32) (text string, ok bool) {
	kind := cTypes[p.BPF.Type]
	if kind == "" || len(p.BPF.Kfuncs) > 0 {
		return "", false
	}
	var maps, fds strings.Builder
	for _, m := range p.BPF.MapsUsed() {
		def := &Maps[m]
		if cMapTypes[def.Type] == "" {
			return "", false
		}
		fmt.Fprintf(&maps, "\tint fd_%s = bpf_map_create(%s, %q, %d, %d, %d, NULL);\n", def.Name, cMapTypes[def.Type], def.Name, def.KeySize, def.ValueSize, def.MaxEntries)
		fmt.Fprintf(&fds, "\tclose(fd_%s);\n", def.Name)
		if m == MapIn {
			fmt.Fprintf(&maps, "\t__u64 values[%d] = {%s};\n\t__u32 zero = 0;\n", inSize/8, p.words())
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "// SPDX-License-Identifier: GPL-2.0-only\n/* %s */\n#include <test_progs.h>\n\nvoid test_%s(void)\n{\n", about, name)
	b.WriteString(maps.String())
	b.WriteString("\tstruct bpf_insn insns[] = {\n")
	for i, in := range p.BPF.Insns {
		fmt.Fprintf(&b, "\t\t{ .code = %#02x, .dst_reg = %d, .src_reg = %d, .off = %d, .imm = %s },\n", in.Op, in.Dst, in.Src, in.Off, cImm(p.BPF.Insns, i))
	}
	fmt.Fprintf(&b, "\t};\n\tunsigned char packet[] = {%s};\n", cBytes(Packet))
	b.WriteString("\tLIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet, .data_size_in = sizeof(packet));\n\tint prog;\n\n")
	if strings.Contains(maps.String(), "values[") {
		b.WriteString("\tASSERT_OK(bpf_map_update_elem(fd_in, &zero, values, BPF_ANY), \"inputs\");\n")
	}
	fmt.Fprintf(&b, "\tprog = bpf_prog_load(%s, \"prog\", \"GPL\", insns, ARRAY_SIZE(insns), NULL);\n", kind)
	b.WriteString("\tif (ASSERT_GE(prog, 0, \"load\")) {\n\t\tASSERT_OK(bpf_prog_test_run_opts(prog, &run), \"run\");\n")
	fmt.Fprintf(&b, "\t\tASSERT_EQ(run.retval, %#x, \"retval\");\n\t\tclose(prog);\n\t}\n%s}\n", returns, fds.String())
	return b.String(), true
}

// words are the inputs.
func (p *Program) words() string {
	var out []string
	for at := 0; at < inSize; at += 8 {
		out = append(out, fmt.Sprintf("%#xULL", binary.LittleEndian.Uint64(p.In[at:])))
	}
	return strings.Join(out, ", ")
}

// cImm is the immediate of an instruction; that of a map is its file descriptor.
func cImm(insns []bpf.Insn, i int) string {
	if in := insns[i]; in.IsLdImm64() && (in.Src == bpf.PseudoMap || in.Src == bpf.PseudoMapValue) {
		return "fd_" + Maps[in.Imm].Name
	}
	return fmt.Sprint(insns[i].Imm)
}

func cBytes(b []byte) string {
	var out []string
	for _, x := range b {
		out = append(out, fmt.Sprint(x))
	}
	return strings.Join(out, ", ")
}

// Row is the program as a row of lib/test_bpf.c; ok is false if it needs more than instructions.
func (p *Program) Row(name string, returns uint32) (text string, ok bool) {
	if p.context || len(p.BPF.Funcs) > 1 {
		return "", false
	}
	var b strings.Builder
	fmt.Fprintf(&b, "{\n\t%q,\n\t.u.insns_int = {\n", name)
	insns := p.BPF.Insns
	for i := bpf.InsnIndex(0); int(i) < len(insns); i += insns[i].Width() {
		in := insns[i]
		word, input := p.inputs[int(i)]
		switch {
		case input:
			fmt.Fprintf(&b, "\t\tBPF_LD_IMM64(R%d, %#xULL),\n", in.Dst, binary.LittleEndian.Uint64(p.In[8*word:]))
		case in.IsLdImm64() && in.Src == bpf.PseudoMapValue && in.Imm == MapIn && p.direct:
			// what the inputs are loaded from
		case in.IsLdImm64() && in.Src == 0:
			fmt.Fprintf(&b, "\t\tBPF_LD_IMM64(R%d, %#xULL),\n", in.Dst, uint64(uint32(in.Imm))|uint64(uint32(insns[i+1].Imm))<<32)
		case in.IsLdImm64(), in.Op == bpf.OpCall, in.Class() == bpf.ClassLD, in.Op == bpf.OpMayGoto:
			return "", false
		default:
			fmt.Fprintf(&b, "\t\tBPF_RAW_INSN(%#02x, %d, %d, %d, %d),\n", in.Op, in.Dst, in.Src, in.Off, in.Imm)
		}
	}
	fmt.Fprintf(&b, "\t},\n\tINTERNAL,\n\t{ },\n\t{ { 0, %#x } },\n\t.stack_depth = %d,\n},\n", returns, p.depth())
	return b.String(), true
}

// depth is how much stack the program may use.
func (p *Program) depth() int {
	d := 0
	for _, in := range p.BPF.Insns {
		if c := in.Class(); (c == bpf.ClassST || c == bpf.ClassSTX) && in.Dst == bpf.RegFP || c == bpf.ClassLDX && in.Src == bpf.RegFP {
			d = max(d, -int(in.Off))
		}
		if in.Op == bpf.ClassALU64|bpf.ALUAdd && in.Imm < 0 {
			d = max(d, min(512, int(-in.Imm))) // of a copy of r10
		}
	}
	return (d + 7) &^ 7
}
