// SPDX-License-Identifier: GPL-2.0-only

package source

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/kernels"
)

// Fact is something that the C file takes from elsewhere: a macro with its value, and where that was read.
type Fact struct {
	Name, Value string
	From        string
}

// Version is the version of a kernel; Patch is -1 if it is unknown.
type Version struct{ Major, Minor, Patch int }

// String returns "6.12.107", or "6.12" without a patch level.
func (v Version) String() string {
	if v.Patch < 0 {
		return fmt.Sprintf("%d.%d", v.Major, v.Minor)
	}
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}

// Before reports whether v is older than major.minor.
func (v Version) Before(major, minor int) bool {
	return v.Major < major || v.Major == major && v.Minor < minor
}

// ParseVersion reads "6.12" or "6.12.107".
func ParseVersion(s string) (Version, error) {
	v := Version{Patch: -1}
	parts := strings.Split(s, ".")
	into := []*int{&v.Major, &v.Minor, &v.Patch}
	if len(parts) < 2 || len(parts) > len(into) {
		return v, fmt.Errorf("kernel version %q: expected one such as 6.12 or 6.12.107", s)
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return v, fmt.Errorf("kernel version %q: expected one such as 6.12 or 6.12.107", s)
		}
		*into[i] = int(n)
	}
	return v, nil
}

// ErrNoVersion says that nothing tells of which kernel a C file is.
var ErrNoVersion = errors.New("the kernel version is unknown")

// TreeVersion reads the version from the Makefile of a tree.
func TreeVersion(t Tree) (Version, error) {
	text, err := t.ReadFile("Makefile")
	if err != nil {
		return Version{}, fmt.Errorf("%w: Makefile: %v", ErrNoVersion, err) // not %w: the JIT's file is there
	}
	var v Version
	for name, to := range map[string]*int{"VERSION": &v.Major, "PATCHLEVEL": &v.Minor, "SUBLEVEL": &v.Patch} {
		m := regexp.MustCompile(`(?m)^` + name + `\s*=\s*(\d+)\s*$`).FindSubmatch(text)
		if m == nil {
			return Version{}, fmt.Errorf("%w: %s has no %s", ErrNoVersion, t.Shown("Makefile"), name)
		}
		*to, _ = strconv.Atoi(string(m[1]))
	}
	return v, nil
}

// Facts are everything that the C file takes from elsewhere.
type Facts struct {
	Version Version
	List    []Fact
}

// Get returns the value of a fact, "" if there is none of the name.
func (f *Facts) Get(name string) string {
	for i := range f.List {
		if f.List[i].Name == name {
			return f.List[i].Value
		}
	}
	return ""
}

func (f *Facts) add(name, value, from string) { f.List = append(f.List, Fact{name, value, from}) }

// ReadFacts finds the facts for the C file text of a tree that target t is to be compiled for.
func ReadFacts(tree Tree, text []byte, v Version, t *jit.Target) (*Facts, error) {
	f := &Facts{Version: v}
	f.fromHeaders(tree, t)
	f.fromFile(string(text))
	f.fromTarget(t)
	for _, n := range []string{"bpf_int_jit_compile", "do_jit"} {
		if !regexp.MustCompile(`\b` + n + `\(`).Match(text) {
			return nil, fmt.Errorf("%s is no BPF JIT of x86-64: it has no function %s", tree.Shown(JITFile), n)
		}
	}
	return f, nil
}

// headerFact is a number that stands in a header of the tree: the last match counts. without is taken from
// the registry where the header does not tell.
type headerFact struct {
	name, file, pattern string
	value               func(m []string) string
	without             func(v Version, t *jit.Target) string
}

var headerFacts = []headerFact{
	{
		"TCSIM_MAX_TAIL_CALL_CNT", "include/linux/bpf.h", `(?m)^#define\s+MAX_TAIL_CALL_CNT\s+(\d+)`, nil,
		func(v Version, _ *jit.Target) string { return pick(v.Before(5, 17), "32", "33") },
	},
	{
		"TCSIM_NOP_MAX", "arch/x86/include/asm/nops.h", `(?m)^#define\s+ASM_NOP_MAX\s+(\d+)`, nil,
		func(v Version, _ *jit.Target) string { return pick(v.Before(6, 5), "8", "11") },
	},
	{
		"TCSIM_REG_AX", "include/linux/filter.h", `(?m)^#define\s+BPF_REG_AX\s+\(?MAX_BPF_REG(\s*\+\s*(\d+))?\)?`,
		func(m []string) string {
			n, _ := strconv.Atoi(m[2])
			return strconv.Itoa(11 + n)
		},
		func(_ Version, t *jit.Target) string { return strconv.Itoa(int(t.Emit.AX)) },
	},
	{
		"TCSIM_ENDBR_POISON", "arch/x86/include/asm/ibt.h", `(?s)gen_endbr_poison\(void\)\s*\{.*?return\s+(0x[0-9a-f]+);`, nil,
		func(v Version, _ *jit.Target) string { return pick(v.Before(6, 18), "0x001f0f66", "0xd6401f0f") },
	},
}

func pick(c bool, a, b string) string {
	if c {
		return a
	}
	return b
}

func (f *Facts) fromHeaders(tree Tree, t *jit.Target) {
	for _, h := range headerFacts {
		value, from := "", ""
		if text, err := tree.ReadFile(h.file); err == nil {
			if all := regexp.MustCompile(h.pattern).FindAllStringSubmatch(string(text), -1); all != nil {
				m := all[len(all)-1]
				value, from = m[1], tree.Shown(h.file)
				if h.value != nil {
					value = h.value(m)
				}
			}
		}
		if value == "" {
			value, from = h.without(f.Version, t), "what tcsim knows of "+f.Version.String()
		}
		f.add(h.name, value, from)
	}
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
	{"TCSIM_HAVE_DESC_UPDATE", has(`\bbpf_arch_poke_desc_update\(struct`)},
	{"TCSIM_ACCOUNT_ARGS", func(text string) string {
		three := regexp.MustCompile(`x86_call_depth_emit_accounting\([^,()]+,[^,()]+,`)
		return pick(three.MatchString(text), "3", "2")
	}},
	{"TCSIM_HAVE_TRAMP", func(text string) string {
		m := trampList.FindStringSubmatch(text)
		if m == nil {
			return "0"
		}
		return strconv.Itoa(1 + slices.Index([]string{"progs", "links", "nodes"}, m[1]))
	}},
	{"TCSIM_TRAMP_LIST", func(text string) string {
		if m := trampList.FindStringSubmatch(text); m != nil {
			return "struct bpf_tramp_" + m[1]
		}
		return "int"
	}},
}

var trampList = regexp.MustCompile(`arch_prepare_bpf_trampoline\(struct bpf_tramp_image \*\w+,[^)]*struct bpf_tramp_(progs|links|nodes) \*`)

func (f *Facts) fromFile(text string) {
	for _, k := range fileFacts {
		f.add(k.name, k.value(text), "the C file")
	}
}

// fromTarget adds what configuration and kernel structures decide.
func (f *Facts) fromTarget(t *jit.Target) {
	from := "target " + t.Name
	num := func(name string, v int32) { f.add(name, fmt.Sprintf("%#x", v), from) }
	num("TCSIM_MAX_ENTRIES", t.Offsets.MapMaxEntries)
	num("TCSIM_PTRS", t.Offsets.ArrayPtrs)
	num("TCSIM_BPF_FUNC", t.Offsets.ProgBPFFunc)
	f.add("TCSIM_INLINE_RETPOLINE", pick(t.Emit.Branch == kernels.BranchRetpoline, "1", "0"), from)
	f.add("TCSIM_TEXT_FROM", fmt.Sprintf("%#xull", uint64(textFrom)), "tcsim")
	f.add("TCSIM_TEXT_TO", fmt.Sprintf("%#xull", uint64(textTo)), "tcsim")
	f.add("TCSIM_MAX_FUNCS", strconv.Itoa(maxFuncs), "tcsim")
	for _, n := range []string{
		"X86_64", "64BIT", "SMP", "BPF_JIT", "BPF_SYSCALL", "HAVE_EBPF_JIT", "UNWINDER_ORC",
		"CALL_PADDING", "RETHUNK", "MITIGATION_RETHUNK", "CALL_DEPTH_TRACKING", "MITIGATION_CALL_DEPTH_TRACKING",
	} {
		f.add("CONFIG_"+n, "1", "every kernel that is captured")
	}
	f.add("CONFIG_FUNCTION_PADDING_CFI", "11", "every kernel that is captured")
	for _, o := range []struct {
		on    bool
		names []string
	}{
		{t.Emit.ENDBR, []string{"X86_KERNEL_IBT"}},
		{t.Emit.SLS, []string{"SLS", "MITIGATION_SLS"}},
		// Since 6.2 either of the two puts int3 after a plain indirect jump; before, it tells nothing of it.
		{t.Emit.JumpSLS || f.Version.Before(6, 0), []string{"RETPOLINE", "MITIGATION_RETPOLINE"}},
		{t.Emit.CFI != kernels.CFINone, []string{"CFI", "CFI_CLANG", "FINEIBT"}},
	} {
		for _, n := range o.names {
			if o.on {
				f.add("CONFIG_"+n, "1", from)
			}
		}
	}
}
