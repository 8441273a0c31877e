// SPDX-License-Identifier: GPL-2.0-only

package source

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/source/ktree"
)

// ReadFacts finds the facts for the C file text of a tree that target t is to be compiled for.
func ReadFacts(tree ktree.Tree, text []byte, v ktree.Version, t *jit.Target) (*Facts, error) {
	return readFacts(tree, text, v, t, &told{})
}

func readFacts(tree ktree.Tree, text []byte, v ktree.Version, t *jit.Target, is *told) (*Facts, error) {
	f := &Facts{Version: v}
	f.fromHeaders(tree, t)
	f.fromFile(string(text))
	f.fromTarget(t, is)
	f.fromConfig(text, t, is)
	if !regexp.MustCompile(`\bbpf_int_jit_compile\(`).Match(text) {
		return nil, fmt.Errorf("%s is no BPF JIT of x86-64: it has no function bpf_int_jit_compile", tree.Shown(ktree.JITFile))
	}
	if !regexp.MustCompile(`\b(?:do_jit\(|X86_[A-Z])`).Match(text) {
		return nil, fmt.Errorf("%s is no BPF JIT of x86-64: it is the file of another architecture", tree.Shown(ktree.JITFile))
	}
	return f, nil
}

// headerFact is a number that stands in a header of the tree: the last match counts. without is taken from
// the registry where the header does not tell.
type headerFact struct {
	name, file, pattern string
	value               func(m []string) string // nil: what the first group matches
	without             func(v ktree.Version, t *jit.Target) string
}

var headerFacts = []headerFact{
	{
		"TCSIM_MAX_TAIL_CALL_CNT", "include/linux/bpf.h", `(?m)^#define\s+MAX_TAIL_CALL_CNT\s+(\d+)`, nil,
		func(v ktree.Version, _ *jit.Target) string { return pick(v.Before(5, 17), "32", "33") },
	},
	{
		"MAX_BPF_STACK", "include/linux/filter.h", `(?m)^#define\s+MAX_BPF_STACK\s+(\d+)`, nil,
		func(ktree.Version, *jit.Target) string { return "512" },
	},
	{
		"TCSIM_MAX_TRAMP_LINKS", "include/linux/bpf.h", `\bBPF_MAX_TRAMP_(?:LINKS|PROGS)\s*=?\s*(\d+)`, nil,
		func(v ktree.Version, _ *jit.Target) string { return pick(v.Before(5, 14), "40", "38") },
	},
	{
		"TCSIM_NOP_MAX", "arch/x86/include/asm/nops.h", `(?m)^#define\s+ASM_NOP_MAX\s+(\d+)`, nil,
		func(v ktree.Version, _ *jit.Target) string { return pick(v.Before(6, 5), "8", "11") },
	},
	{
		"TCSIM_REG_AX", "include/linux/filter.h", `(?m)^#define\s+BPF_REG_AX\s+\(?MAX_BPF_REG(\s*\+\s*(\d+))?\)?`,
		func(m []string) string {
			n, _ := strconv.Atoi(m[2])
			return strconv.Itoa(11 + n)
		},
		func(_ ktree.Version, t *jit.Target) string { return strconv.Itoa(int(t.Emit.AX)) },
	},
	{
		"TCSIM_ENDBR_POISON", "arch/x86/include/asm/ibt.h", `(?s)gen_endbr_poison\(void\)\s*\{.*?return\s+(0x[0-9a-f]+);`, nil,
		func(v ktree.Version, _ *jit.Target) string { return pick(v.Before(6, 18), "0x001f0f66", "0xd6401f0f") },
	},
}

func pick(c bool, a, b string) string {
	if c {
		return a
	}
	return b
}

func (f *Facts) fromHeaders(tree ktree.Tree, t *jit.Target) {
	texts := map[string][]byte{}
	for _, h := range headerFacts {
		text, read := texts[h.file]
		if !read {
			text, _ = tree.ReadFile(h.file)
			texts[h.file] = text
		}
		value, from := h.find(text)
		if value == "" {
			value, from = h.without(f.Version, t), "what tcsim knows of "+f.Version.String()
		} else {
			from = tree.Shown(h.file) + ":" + from
			f.unusual = f.unusual || value != h.without(f.Version, t)
		}
		f.add(h.name, value, from)
	}
}

// find returns the number and its line, "" if the text does not tell.
func (h *headerFact) find(text []byte) (value, line string) {
	all := regexp.MustCompile(h.pattern).FindAllSubmatchIndex(text, -1)
	if all == nil {
		return "", ""
	}
	at := all[len(all)-1]
	m := make([]string, len(at)/2)
	for i := range m {
		if at[2*i] >= 0 {
			m[i] = string(text[at[2*i]:at[2*i+1]])
		}
	}
	line = strconv.Itoa(1 + bytes.Count(text[:at[1]], []byte("\n")))
	if h.value != nil {
		return h.value(m), line
	}
	return m[1], line
}

// fileFact is which of several forms the C file has.
type fileFact struct {
	name  string
	value func(text string) string
}

func has(pattern string) func(string) string {
	re := regexp.MustCompile(pattern)
	return func(text string) string { return pick(re.MatchString(text), "1", "0") }
}

var fileFacts = []fileFact{
	{"TCSIM_HAVE_ENV", has(`bpf_int_jit_compile\(struct bpf_verifier_env`)},
	{"TCSIM_HAVE_LINES", has(`\bbpf_prog_fill_jited_linfo\(`)},
	{"TCSIM_HAVE_POKES", has(`\bbpf_tail_call_direct_fixup\(struct bpf_prog`)},
	{"TCSIM_HAVE_BYPASS", has(`\btailcall_bypass\b`)},
	{"TCSIM_SHARED_POKES", has(`\bpoke->aux\b`)},
	{"TCSIM_HAVE_DESC_UPDATE", has(`\bbpf_arch_poke_desc_update\(struct`)},
	{"TCSIM_ACCOUNT_ARGS", func(text string) string {
		three := regexp.MustCompile(`x86_call_depth_emit_accounting\([^,()]+,[^,()]+,`)
		return pick(three.MatchString(text), "3", "2")
	}},
	{"TCSIM_HAVE_TRAMP", func(text string) string {
		m := trampList.FindStringSubmatch(text)
		switch {
		case m == nil && trampArrays.MatchString(text):
			return trampOfArrays
		case m == nil:
			return "0"
		}
		return strconv.Itoa(1 + slices.Index([]string{"progs", "links", "nodes"}, m[1]))
	}},
	{"TCSIM_TRAMP_IMAGE", has(`\barch_prepare_bpf_trampoline\(struct bpf_tramp_image \*`)}, // until 5.11 it has no such argument
	{"TCSIM_TRAMP_LIST", func(text string) string {
		if m := trampList.FindStringSubmatch(text); m != nil {
			return "struct bpf_tramp_" + m[1]
		}
		return "struct bpf_tramp_progs"
	}},
}

// trampOfArrays are trampolines whose programs come as arrays with their numbers (5.5 and 5.6).
const trampOfArrays = "4"

var (
	trampList   = regexp.MustCompile(`\barch_prepare_bpf_trampoline\([^)]*struct bpf_tramp_(progs|links|nodes) \*`)
	trampArrays = regexp.MustCompile(`\barch_prepare_bpf_trampoline\([^)]*struct bpf_prog \*\*\w+,\s*int \w+`)
)

func (f *Facts) fromFile(text string) {
	for _, k := range fileFacts {
		f.add(k.name, k.value(text), "the C file")
	}
}

// fromTarget adds what kernel structures and the target decide.
func (f *Facts) fromTarget(t *jit.Target, is *told) {
	add := func(name, value string) {
		from := is.from[name]
		if from == "" {
			from = "target " + t.Name
		}
		f.add(name, value, from)
	}
	add("TCSIM_MAX_ENTRIES", fmt.Sprintf("%#x", t.Offsets.MapMaxEntries))
	add("TCSIM_PTRS", fmt.Sprintf("%#x", t.Offsets.ArrayPtrs))
	add("TCSIM_BPF_FUNC", fmt.Sprintf("%#x", t.Offsets.ProgBPFFunc))
	add("TCSIM_OWN_REACH", pick(t.Verifier.OwnReach, "1", "0"))
	add("TCSIM_INLINE_RETPOLINE", pick(t.Emit.Branch == kernels.BranchRetpoline, "1", "0"))
	f.add("TCSIM_TEXT_FROM", fmt.Sprintf("%#xull", uint64(textFrom)), "tcsim")
	f.add("TCSIM_TEXT_TO", fmt.Sprintf("%#xull", uint64(textTo)), "tcsim")
	f.add("TCSIM_MAX_FUNCS", strconv.Itoa(maxFuncs), "tcsim")
}

// usualOptions are on in every kernel that is captured.
var usualOptions = []string{
	"X86_64", "64BIT", "SMP", "BPF_JIT", "BPF_SYSCALL", "HAVE_EBPF_JIT", "UNWINDER_ORC",
	"CALL_PADDING", "RETHUNK", "MITIGATION_RETHUNK", "CALL_DEPTH_TRACKING", "MITIGATION_CALL_DEPTH_TRACKING",
}

var configName = regexp.MustCompile(`\bCONFIG_(\w+)`)

// fromConfig adds the configuration: what the target decides, and the rest as .config has it or as every kernel that is
// captured.
func (f *Facts) fromConfig(text []byte, t *jit.Target, is *told) {
	done := map[string]bool{}
	for _, o := range []struct {
		on    bool
		names []string
	}{
		{t.Emit.ENDBR, optionsIBT},
		{t.Emit.SLS, optionsSLS},
		// Before 6.0 it tells nothing of what comes after a plain indirect jump.
		{t.Emit.JumpSLS || f.Version.Before(6, 0), optionsRetpoline},
		{t.Emit.CFI != kernels.CFINone, append([]string{"FINEIBT"}, optionsCFI...)},
	} {
		for _, n := range o.names {
			done[n] = true
			fact := ktree.Fact{Name: "CONFIG_" + n, Value: pick(o.on, "1", "n"), From: "target " + t.Name}
			if is.config != nil {
				if c := is.config.fact(n); c.Value == fact.Value || n == optionsRetpoline[0] || n == optionsRetpoline[1] {
					fact = c
				}
			}
			f.List = append(f.List, fact)
		}
	}
	if is.config == nil {
		for _, n := range usualOptions {
			f.add("CONFIG_"+n, "1", everyKernel)
		}
		f.add("CONFIG_FUNCTION_PADDING_CFI", "11", everyKernel)
		return
	}
	names := append(slices.Clone(usualOptions), "FUNCTION_PADDING_CFI")
	for _, m := range configName.FindAllSubmatch(text, -1) {
		names = append(names, string(m[1]))
	}
	for _, n := range names {
		if !done[n] {
			done[n] = true
			f.List = append(f.List, is.config.fact(n))
		}
	}
}
