// SPDX-License-Identifier: GPL-2.0-only

package live

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
)

// Options say where to look. The zero value finds everything itself.
type Options struct {
	// Config is the file with the kernel's configuration; "" for /proc/config.gz, else the one of
	// the running release in /boot or /lib/modules.
	Config string
}

// Kernel is the running kernel. It is not safe for concurrent use and should be closed.
type Kernel struct {
	Header  capture.Header // without counts of scenarios
	symbols *symbolTable
	types   *btf.Spec
	mem     *memory // nil until it is needed
	trap    bool    // int3 follows returns
}

// Close unloads what the kernel was read with. Captures made before stay as they are.
func (k *Kernel) Close() error {
	if k.mem == nil {
		return nil
	}
	err := k.mem.Close()
	k.mem = nil
	return err
}

// Missing is what a capture needs and this machine does not give; as an error it lists all of it.
type Missing []string

// Error lists what is missing.
func (m Missing) Error() string { return "no capture is possible: " + strings.Join(m, "; ") }

// Open checks that programs can be loaded and read here and describes the kernel. The error is a
// Missing if they cannot.
func Open(o Options) (*Kernel, error) {
	k := &Kernel{}
	var missing Missing
	need := func(err error) {
		if err != nil {
			missing = append(missing, err.Error())
		}
	}
	permitted := permission()
	need(permitted)
	if permitted == nil {
		need(capabilities())
	}
	if err := rlimit.RemoveMemlock(); err != nil && permitted == nil {
		need(fmt.Errorf("the limit of locked memory cannot be raised: %w", err))
	}
	k.Header.Sysctl = sysctls()
	need(k.checkSysctls())
	var err error
	if k.symbols, err = readSymbols("/proc/kallsyms"); err != nil {
		need(err)
	} else {
		var ok bool
		if k.Header.CallBase, ok = k.symbols.addr["__bpf_call_base"]; !ok {
			need(errors.New("/proc/kallsyms has no __bpf_call_base"))
		}
	}
	if k.types, err = btf.LoadKernelSpec(); err != nil {
		need(fmt.Errorf("the kernel has no type information (CONFIG_DEBUG_INFO_BTF): %w", err))
	} else if k.Header.Offsets, err = offsets(k.types); err != nil {
		need(err)
	} else {
		k.Header.Context = contextLayout(k.types)
	}
	described := k.describe(o)
	if permitted == nil {
		var err error
		k.trap, err = probe(k.Header)
		need(err)
	}
	if len(missing) > 0 {
		return nil, missing
	}
	return k, described
}

// permission asks for something that is refused without rights before anything else is looked at: to
// load no type information (bpf_btf_load, kernel/bpf/syscall.c).
func permission() error {
	var attr [32]byte
	_, err := bpfCall(unix.BPF_BTF_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	switch {
	case errors.Is(err, unix.EPERM):
		return errors.New("bpf() is not permitted: root is needed, or CAP_BPF with CAP_PERFMON, CAP_NET_ADMIN, CAP_SYS_ADMIN and CAP_SYSLOG, and no lockdown")
	case errors.Is(err, unix.ENOSYS):
		return errors.New("the kernel has no bpf() system call (CONFIG_BPF_SYSCALL)")
	}
	return nil
}

// capabilities asks for those that decide not whether programs can be loaded but what becomes of them:
// without CAP_PERFMON the verifier adds what guards against speculation. CAP_SYS_ADMIN stands for each
// (perfmon_capable, bpf_net_capable).
func capabilities() error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&head, &sets[0]); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	has := func(c uint) bool { return sets[c/32].Effective>>(c%32)&1 != 0 }
	if has(unix.CAP_SYS_ADMIN) {
		return nil
	}
	var missing []string
	for _, c := range []struct {
		number uint
		name   string
	}{{unix.CAP_PERFMON, "CAP_PERFMON"}, {unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}} {
		if !has(c.number) {
			missing = append(missing, c.name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing are %s, or CAP_SYS_ADMIN in their place", strings.Join(missing, " and "))
	}
	return nil
}

// probe loads the smallest program, to see whether it may be loaded and read. What it reads depends on the kernel that
// the header describes: where line records begin (correctLines). trap says whether int3 follows its return.
func probe(h capture.Header) (trap bool, err error) {
	const exit = "\xb7\x00\x00\x00\x00\x00\x00\x00\x95\x00\x00\x00\x00\x00\x00\x00" // r0 = 0; exit
	sc := capture.Scenario{Name: "probe", ProgType: bpf.SocketFilter, Progs: []capture.Prog{{
		Name: "probe", Insns: []bpf.Insn{bpf.DecodeInsn([]byte(exit)), bpf.DecodeInsn([]byte(exit[8:]))},
		Funcs: []capture.Func{{Name: "probe"}},
	}}}
	l, err := (&Kernel{Header: h, symbols: &symbolTable{}}).Load(&sc)
	if err != nil {
		return false, fmt.Errorf("the smallest program cannot be loaded: %w", err)
	}
	err = l.Record()
	if text := sc.Progs[0].LoadError; err == nil && text != "" {
		err = errors.New(text)
	}
	if err != nil {
		err = fmt.Errorf("the smallest program cannot be captured: %w", err)
	} else if code := sc.Progs[0].Funcs[0].Code(capture.Empty); code[len(code)-1] == int3 {
		trap = true
	}
	return trap, errors.Join(err, l.Close())
}

// jitSysctls are the settings of the JIT.
var jitSysctls = []string{"net.core.bpf_jit_enable", "net.core.bpf_jit_harden", "net.core.bpf_jit_kallsyms", "net.core.bpf_jit_limit"}

func sysctls() map[string]string {
	out := map[string]string{}
	for _, n := range jitSysctls {
		if b, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(n, ".", "/")); err == nil {
			out[n] = strings.TrimSpace(string(b))
		}
	}
	return out
}

func (k *Kernel) checkSysctls() error {
	if k.Header.Sysctl["net.core.bpf_jit_enable"] == "0" {
		return errors.New("the JIT is off (net.core.bpf_jit_enable is 0)")
	}
	return nil
}

// describe fills the header.
func (k *Kernel) describe(o Options) error {
	h := &k.Header
	h.Set, h.Variant = "live", "running"
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	h.Kernel.Release, h.Kernel.Version = unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Version[:])
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	h.Kernel.Cmdline = mitigationOptions(string(line))
	if err := k.cpu(); err != nil {
		return err
	}
	h.Kernel.Vulnerabilities = map[string]string{}
	const dir = "/sys/devices/system/cpu/vulnerabilities"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("mitigations: %w", err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return fmt.Errorf("mitigations: %w", err)
		}
		h.Kernel.Vulnerabilities[e.Name()] = strings.TrimSpace(string(text))
	}
	h.Kernel.Config, err = readConfig(o.Config, h.Kernel.Release)
	return err
}

// mitigation are the options of the kernel command line that change what the JIT emits or how much of
// it differs from boot to boot.
var mitigation = regexp.MustCompile(`^(mitigations|nospectre_\w+|spectre_\w+|spec_\w+|retbleed|indirect_target_selection|srso|` +
	`setcpuid|clearcpuid|ibt|cfi|l1tf|mds|tsx\w*|tsa|vmscape|mmio_stale_data|gather_data_sampling|nokaslr|no_hash_pointers)(=|$)`)

// mitigationOptions picks these from a command line: the rest does not matter.
func mitigationOptions(line string) string {
	var out []string
	for _, w := range strings.Fields(line) {
		if mitigation.MatchString(w) {
			out = append(out, w)
		}
	}
	return strings.Join(out, " ")
}

// cpu reads the first processor of /proc/cpuinfo and counts all.
func (k *Kernel) cpu() error {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return err
	}
	h := &k.Header
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if name == "processor" {
			h.CPUs++
		}
		if h.CPUs != 1 {
			continue
		}
		switch name {
		case "vendor_id":
			h.Kernel.CPUVendor = value
		case "model name":
			h.Kernel.CPUModel = value
		case "flags":
			h.Kernel.CPUFlags = strings.Fields(value)
		case "bugs":
			h.Kernel.CPUBugs = strings.Fields(value)
		}
	}
	return nil
}

// readConfig reads a kernel configuration, as far as it bears on the JIT. Where the file is not given
// and none is found, it is nil: that is only noticed when a target is looked for.
func readConfig(path, release string) (map[string]string, error) {
	paths := []string{path}
	if path == "" {
		paths = []string{"/proc/config.gz", "/boot/config-" + release, "/lib/modules/" + release + "/config"}
	}
	for _, p := range paths {
		text, err := readUpTo(p, maxConfig)
		if errors.Is(err, os.ErrNotExist) && path == "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		config, err := ParseConfig(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		return config, nil
	}
	return nil, nil
}

// maxConfig is how many bytes a configuration may have; real ones have 300,000.
const maxConfig = 16 << 20

// readUpTo reads a file that somebody gave, which may be a device without an end.
func readUpTo(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s: more than %d bytes", path, limit)
	}
	return text, err
}

// bearing are the options that decide or explain what the JIT emits.
var bearing = regexp.MustCompile(`^CONFIG_(BPF|HAVE_EBPF_JIT|X86_KERNEL_IBT|CALL_|CFI|CC_VERSION|CLANG_VERSION|GCC_VERSION|` +
	`DEBUG_INFO_BTF|DYNAMIC_FTRACE|FINEIBT|FUNCTION_PADDING|FUNCTION_TRACER|HZ|MITIGATION_|NR_CPUS|PREEMPT|RANDOMIZE_BASE|` +
	`RETHUNK|RETPOLINE|SLS|SMP|UNWINDER_|CPU_(UNRET|SRSO|IBPB|IBRS)_ENTRY|CPU_SRSO|CALL_DEPTH_TRACKING)`)

// ParseConfig reads the text of a kernel configuration, gzip'd or not: option to value, "n" for
// those that are not set. Options that do not bear on the JIT are left out.
func ParseConfig(text []byte) (map[string]string, error) {
	var r io.Reader = bytes.NewReader(text)
	if bytes.HasPrefix(text, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, err
		}
		r = io.LimitReader(z, maxConfig)
	}
	out := map[string]string{}
	lines := bufio.NewScanner(r)
	options := 0
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), "=")
		if n, unset := strings.CutPrefix(lines.Text(), "# CONFIG_"); unset {
			if n, ok = strings.CutSuffix(n, " is not set"); ok {
				name, value = "CONFIG_"+n, "n"
			}
		}
		if !ok || !strings.HasPrefix(name, "CONFIG_") {
			continue
		}
		options++
		if bearing.MatchString(name) {
			out[name] = strings.Trim(value, `"`)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if options == 0 {
		return nil, errors.New("this is not a kernel configuration")
	}
	return out, nil
}

// kfunc returns the type id of a kernel function.
func (k *Kernel) kfunc(name string) (btf.TypeID, error) {
	id, err := typeID[*btf.Func](k, name)
	if err != nil {
		return 0, fmt.Errorf("kernel function %s: %w", name, err)
	}
	return btf.TypeID(id), nil
}

// typeID returns the id of a type of the kernel.
func typeID[T btf.Type](k *Kernel, name string) (uint32, error) {
	if k.types == nil {
		return 0, errors.New("no type information")
	}
	var t T
	if err := k.types.TypeByName(name, &t); err != nil {
		return 0, err
	}
	id, err := k.types.TypeID(t)
	return uint32(id), err
}
