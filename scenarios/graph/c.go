// SPDX-License-Identifier: GPL-2.0-only

package graph

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/scenarios"
)

// C writes the programs of a graph as BPF C in the manner of the kernel's selftests
// (tools/testing/selftests/bpf/progs). What a compiler makes of it need not be what a scenario
// compiles to: that a value is kept in a callee-saved register can be asked for, not demanded.
// about is a comment at its top, nothing if empty.
func (g *Graph) C(about string) string {
	w := &cWriter{writer: newWriter(g)}
	w.line("// SPDX-License-Identifier: GPL-2.0-only")
	w.comment(about)
	w.line("#include <linux/bpf.h>")
	w.line("#include <bpf/bpf_helpers.h>")
	if g.Limit != 0 {
		w.line("\n/* Results are for MAX_TAIL_CALL_CNT %d. */", g.Limit)
	}
	for i, a := range g.Arrays {
		w.mapDefinition(arrayName(i), "BPF_MAP_TYPE_PROG_ARRAY", len(a.Slots))
	}
	if w.table {
		w.mapDefinition(tableMap, "BPF_MAP_TYPE_ARRAY", tableEntries)
	}
	if len(g.Selectors)+len(w.hits) > 0 || w.atoms {
		w.line("")
	}
	for i, v := range g.Selectors {
		w.line("volatile __u32 %s = %d;", selectorName(i), v)
	}
	if w.atoms {
		w.line("__u64 %s[2];", atomsMap)
	}
	if n := len(w.hits); n > 0 {
		w.line("volatile __u32 %s[%d];", hitsMap, n)
	}
	for i := range g.Programs {
		for j := len(g.Programs[i].Funcs) - 1; j >= 0; j-- { // a function calls only those after it
			w.function(i, j)
		}
	}
	w.line("")
	w.line(`char __license[] SEC("license") = "GPL";`)
	return w.b.String()
}

type cWriter struct {
	*writer
	b strings.Builder
}

func (w *cWriter) line(format string, args ...any) { fmt.Fprintf(&w.b, format+"\n", args...) }

func (w *cWriter) mapDefinition(name, kind string, entries int) {
	w.line("\nstruct {")
	w.line("\t__uint(type, %s);", kind)
	w.line("\t__uint(max_entries, %d);", entries)
	w.line("\t__uint(key_size, sizeof(__u32));")
	w.line("\t__uint(value_size, sizeof(__u32));")
	w.line("} %s SEC(\".maps\");", name)
}

func (w *cWriter) function(i, j int) {
	f := &w.g.Programs[i].Funcs[j]
	n := w.number[[2]int{i, j}]
	w.line("")
	if j == 0 {
		w.line("SEC(\"tc\")\nint %s(struct __sk_buff *skb)\n{", funcName(i, j))
	} else {
		arg := ""
		if f.takesArg() {
			arg = ", volatile __u64 *arg"
		}
		w.line("static __noinline int %s(struct __sk_buff *skb%s)\n{", funcName(i, j), arg)
	}
	hands := w.g.Programs[i].hands(j)
	switch {
	case hands:
		w.line("\tvolatile char buf[%d] __attribute__((aligned(8))) = {};", f.Stack)
	case f.Stack > 0:
		w.line("\tvolatile char buf[%d] = {};", f.Stack)
	}
	var kept []int // bytes of buf that hold a value
	if f.Stack > 0 {
		kept = append(kept, 0)
	}
	if f.Stack >= 16 {
		kept = append(kept, f.Stack-8)
	}
	if hands {
		kept = slices.DeleteFunc(kept, func(off int) bool { return off == f.Stack-argWord }) // callees count there
	}
	for r := range 4 {
		if f.Saved&(1<<r) != 0 {
			w.line("\t__u64 saved%d = %d;", 6+r, 16*n+6+r)
		}
	}
	if f.Result {
		w.line("\tint ret;")
	}
	if f.Result || f.Saved != 0 || f.Stack > 0 {
		w.line("")
	}
	for _, off := range kept {
		w.line("\tbuf[%d] = %d;", off, n+1)
	}
	w.opaque(f)
	for k, op := range f.Ops {
		last := f.Result && k == len(f.Ops)-1
		w.op(i, j, op, last)
	}
	w.checks(f, n, kept)
	if f.Result {
		w.line("\treturn ret;\n}")
	} else {
		w.line("\treturn %d;\n}", n+1)
	}
}

// opaque hides from the compiler what the saved values are.
func (w *cWriter) opaque(f *Func) {
	for r := range 4 {
		if f.Saved&(1<<r) != 0 {
			w.line("\tasm volatile(\"\" : \"+r\"(saved%d));", 6+r)
		}
	}
}

func (w *cWriter) checks(f *Func, n int, kept []int) {
	w.opaque(f)
	var bad []string
	for _, off := range kept {
		bad = append(bad, fmt.Sprintf("buf[%d] != %d", off, n+1))
	}
	for r := range 4 {
		if f.Saved&(1<<r) != 0 {
			bad = append(bad, fmt.Sprintf("saved%d != %d", 6+r, 16*n+6+r))
		}
	}
	if len(bad) > 0 {
		w.line("\tif (%s)\n\t\treturn %#x;", strings.Join(bad, " || "), scenarios.CheckFailed)
	}
}

func (w *cWriter) op(i, j int, op Op, result bool) {
	in := "\t"
	if op.Mark != 0 {
		w.line("\tif (skb->mark == %d) {", op.Mark)
		in = "\t\t"
		defer w.line("\t}")
	}
	switch op.Kind {
	case OpCount:
		w.line("%s%s[%d]++;", in, hitsMap, w.hits[[2]int{i, j}])
	case OpTailCall:
		switch op.Key.Kind {
		case KeyConst:
			w.line("%sbpf_tail_call_static(skb, &%s, %d);", in, arrayName(op.Array), op.Key.Value)
		case KeySelector:
			w.line("%sbpf_tail_call(skb, &%s, %s);", in, arrayName(op.Array), selectorName(int(op.Key.Value)))
		case KeyMark:
			w.line("%sbpf_tail_call(skb, &%s, skb->mark);", in, arrayName(op.Array))
		}
	case OpCall:
		if result {
			in += "ret = "
		}
		with := ""
		if w.g.Programs[i].Funcs[op.Func].takesArg() {
			with = fmt.Sprintf(", (volatile __u64 *)&buf[%d]", w.g.Programs[i].Funcs[j].Stack-argWord)
		}
		w.line("%s%s(skb%s);", in, funcName(i, op.Func), with)
	case OpArg:
		w.line("%s(*arg)++;", in)
	case OpAtomic:
		w.atomic(in, op)
	case OpLookup:
		w.line("%s{\n%s\t__u32 key = %d, *value = bpf_map_lookup_elem(&%s, &key);\n", in, in, op.Value, tableMap)
		w.line("%s\tif (value)\n%s\t\t(*value)++;\n%s}", in, in, in)
	case OpSelect:
		w.line("%s%s = %d;", in, selectorName(op.To), op.Value)
	case OpClobber:
		w.line("%s{\n%s\tvolatile char scratch[%d] = {};\n%s\t(void)scratch[0];\n%s\tbpf_ktime_get_ns();\n%s}", in, in, op.Value, in, in, in)
	case OpHelper:
		w.line("%sbpf_%s();", in, helperNames[op.Value].name)
	}
}

// CTest writes the user-space side of C for prog_tests: the first contents of the prog arrays, then
// the history of a scenario of the graph with the return values that it expects. name is that of the
// file with the programs.
func (g *Graph) CTest(sc *scenarios.Scenario, name string) string {
	w := &cWriter{writer: newWriter(g)}
	w.line("// SPDX-License-Identifier: GPL-2.0-only")
	w.comment(sc.About)
	w.line("#include <test_progs.h>")
	w.line("#include \"%s.skel.h\"\n", name)
	if g.fills() { // selftests are compiled with -Wall -Werror
		w.line("static void put(struct bpf_map *map, __u32 key, struct bpf_program *prog)\n{")
		w.line("\tint fd = bpf_program__fd(prog);\n")
		w.line("\tASSERT_OK(bpf_map_update_elem(bpf_map__fd(map), &key, &fd, BPF_ANY), \"update\");\n}\n")
	}
	if g.does(EventDelete) {
		w.line("static void del(struct bpf_map *map, __u32 key, int err)\n{")
		w.line("\tASSERT_EQ(bpf_map_delete_elem(bpf_map__fd(map), &key), err, \"delete\");\n}\n")
	}
	w.line("static void run(struct bpf_program *prog, __u32 mark, __u32 retval)\n{")
	w.line("\tstruct __sk_buff skb = { .mark = mark };")
	w.line("\tchar packet[64] = {};")
	w.line("\tLIBBPF_OPTS(bpf_test_run_opts, topts, .data_in = packet, .data_size_in = sizeof(packet),")
	w.line("\t\t    .ctx_in = &skb, .ctx_size_in = sizeof(skb), .repeat = 1);\n")
	w.line("\tASSERT_OK(bpf_prog_test_run_opts(bpf_program__fd(prog), &topts), \"run\");")
	w.line("\tASSERT_EQ(topts.retval, retval, \"retval\");\n}\n")
	w.line("void test_%s(void)\n{", name)
	w.line("\tstruct %s *skel = %s__open_and_load();\n", name, name)
	w.line("\tif (!ASSERT_OK_PTR(skel, \"open_and_load\"))\n\t\treturn;")
	for i, a := range g.Arrays {
		for k, p := range a.Slots {
			if p >= 0 {
				w.line("\tput(skel->maps.%s, %d, skel->progs.%s);", arrayName(i), k, programName(p))
			}
		}
	}
	for i, e := range g.Events {
		w.event(e, &sc.Runs[i])
	}
	w.line("\t%s__destroy(skel);\n}", name)
	return w.b.String()
}

// does reports whether the history has an event of a kind.
func (g *Graph) does(k EventKind) bool {
	return slices.ContainsFunc(g.Events, func(e Event) bool { return e.Kind == k })
}

// fills reports whether a program is put into a prog array.
func (g *Graph) fills() bool {
	full := func(a Array) bool { return slices.ContainsFunc(a.Slots, func(p int) bool { return p >= 0 }) }
	return g.does(EventInsert) || slices.ContainsFunc(g.Arrays, full)
}

// comment writes text as a comment of several lines, nothing if it is empty.
func (w *cWriter) comment(text string) {
	if text == "" {
		return
	}
	w.line("/*")
	for _, l := range fold(text, 76) {
		w.line(" * %s", l)
	}
	w.line(" */")
}

func (w *cWriter) event(e Event, ev *scenarios.Event) {
	switch e.Kind {
	case EventRun:
		if ev.Expect == nil || ev.Expect.Return == nil {
			w.line("\t/* what comes next has no known result */")
			return
		}
		w.line("\trun(skel->progs.%s, %d, %d);", programName(e.Program), e.Mark, uint32(ev.Expect.Return.V))
	case EventInsert:
		w.line("\tput(skel->maps.%s, %d, skel->progs.%s);", arrayName(e.Array), e.Key, programName(e.Program))
	case EventDelete:
		err := "0"
		if ev.Errno != "" {
			err = "-" + ev.Errno
		}
		w.line("\tdel(skel->maps.%s, %d, %s);", arrayName(e.Array), e.Key, err)
	case EventSelect:
		section := "bss"
		if w.g.Selectors[e.Key] != 0 {
			section = "data"
		}
		w.line("\tskel->%s->%s = %d;", section, selectorName(e.Key), e.Value)
	}
}
