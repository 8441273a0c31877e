// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/kernels"
)

// TargetFor chooses the target that a kernel's description calls for: the release gives the
// kernel, configuration, CPU and mitigation texts the features. The error lists everything that is
// missing in the description or that no target can express.
func TargetFor(h kernels.KernelInfo) (*Target, error) {
	s := &selection{h: h}
	k := s.kernel()
	if k == nil {
		return nil, errors.Join(s.errs...)
	}
	s.mitigations(k)
	s.build(k)
	if k.Emit.BMI2 && !slices.Contains(h.CPUFlags, "bmi2") {
		if len(h.CPUFlags) == 0 {
			s.errorf("the CPU flags are not recorded, so BMI2 is unknown")
		}
		s.words = append(s.words, "nobmi2")
	}
	if len(s.errs) != 0 {
		return nil, fmt.Errorf("kernel %s: %w", h.Release, errors.Join(s.errs...))
	}
	t, err := TargetByName(strings.Join(slices.Concat([]string{k.Name}, s.words, s.after), "-"))
	if err == nil && k.Note != "" {
		t.Note = k.Note
		if k.captures == nil {
			t.Evidence = design.BySource
		}
	}
	return t, err
}

// selection is the state of one TargetFor.
type selection struct {
	h     kernels.KernelInfo
	words []string
	after []string // words that need others before them
	errs  []error
}

func (s *selection) errorf(format string, args ...any) {
	s.errs = append(s.errs, fmt.Errorf(format, args...))
}

// release is what uname -r says, with the patch level that Debian's kernels tell in uname -v only:
// "#1 SMP Debian 6.1.176-1 (2026-07-02)".
func (s *selection) release() string {
	v, patch, rest, ok := kernels.ParseVersion(s.h.Release)
	if _, text, found := strings.Cut(s.h.Version, "Debian "); ok && patch == 0 && found {
		if of, level, _, ok := kernels.ParseVersion(text); ok && of == v && level > 0 {
			return fmt.Sprintf("%s.%d%s", v, level, rest)
		}
	}
	return s.h.Release
}

// kernel finds the row of the release. One that is newer than all is taken for the newest.
func (s *selection) kernel() *kernelRow {
	if k, _, ok := releaseRow(s.release()); ok {
		return &k
	}
	newest := kernels.Newest()
	if v, _, _, ok := kernels.ParseVersion(s.h.Release); ok && newest.Version.Before(v) {
		k := kernelOf(newest)
		k.Note = fmt.Sprintf("%s is newer than all that is known: taken for %s", s.h.Release, newest.Name())
		k.captures = nil
		return &k
	}
	s.errorf("no target for kernel release %q (known: 4.4 to %s)", s.h.Release, newest.Name())
	return nil
}

// mitigations reads how indirect jumps and returns are done from the kernel's own texts
// (arch/x86/kernel/cpu/bugs.c: spectre_v2_strings, retbleed_strings, srso_strings, its_strings).
func (s *selection) mitigations(k *kernelRow) {
	if k.release.InlineRetpoline { // which no text tells
		if s.on("CONFIG_RETPOLINE") {
			s.words = append(s.words, "inline")
		}
		return
	}
	v := s.h.Vulnerabilities
	spectre, ok := v["spectre_v2"]
	if !ok {
		s.errorf("the vulnerability text spectre_v2 is not recorded")
		return
	}
	// The first part is the mitigation proper; what follows, such as "BHI: Retpoline", is not.
	spectre, _, _ = strings.Cut(strings.ReplaceAll(spectre, ";", ","), ",")
	retbleed, itsText := v["retbleed"], v["indirect_target_selection"]
	if strings.Contains(retbleed, "Stuffing") || strings.Contains(itsText, "Stuffing") {
		s.words = append(s.words, "stuff")
		if k.release.CallDepth == "" {
			s.errorf("call depth tracking (%q) is not known for this kernel", retbleed)
		}
		return
	}
	switch {
	case strings.Contains(spectre, "LFENCE"):
		s.words = append(s.words, "lfence")
	case strings.Contains(spectre, "etpoline"):
		s.words = append(s.words, "retpoline")
	case strings.Contains(spectre, "IBRS"), strings.HasPrefix(spectre, "Vulnerable"), spectre == "Not affected":
	default:
		s.errorf("spectre_v2 mitigation %q is not known", spectre)
	}
	if w := s.returns(retbleed, itsText); w != "" {
		s.words = append(s.words, w)
	}
}

// returns names the feature of the return thunk. Later mitigations replace the thunk of earlier
// ones: retbleed, then ITS, then SRSO.
func (s *selection) returns(retbleed, itsText string) string {
	srso := s.h.Vulnerabilities["spec_rstack_overflow"]
	switch {
	case strings.Contains(srso, "afe RET") && !strings.Contains(srso, "no safe RET"):
		// Zen 3 and 4 have a thunk of their own; Zen 1 and 2 are those that retbleed affects.
		if retbleed == "Not affected" {
			return "srsoalias"
		}
		return "srso"
	case strings.Contains(itsText, "Aligned branch/return thunks"):
		return "its"
	case strings.Contains(retbleed, "untrained return thunk"):
		return "unret"
	}
	return ""
}

// on reports whether one of the options of the configuration is set.
func (s *selection) on(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return s.h.Config[n] == "y" })
}

// cfi reads from the command line, or from what is chosen without one, which control flow integrity an
// IBT build has (cfi_parse_cmdline and __apply_fineibt, arch/x86/kernel/alternative.c). Until 6.7 it did not
// show in programs.
func (s *selection) cfi(k *kernelRow) {
	if !s.on("CONFIG_CFI_CLANG", "CONFIG_CFI") || k.release.FineIBT == kernels.CFINone {
		return
	}
	mode := []string{"auto"}
	for _, w := range strings.Fields(s.h.Cmdline) {
		if v, ok := strings.CutPrefix(w, "cfi="); ok {
			mode = strings.Split(v, ",")
		}
	}
	fine := s.on("CONFIG_FINEIBT") && slices.Contains(s.h.CPUFlags, "ibt")
	for _, m := range mode {
		switch m {
		case "off":
			return
		case "kcfi":
			fine = false
		case "fineibt":
			fine = true
		}
	}
	if !fine || !s.on("CONFIG_X86_KERNEL_IBT") {
		s.after = append(s.after, "kcfi")
		return
	}
	s.after = append(s.after, "fineibt")
	if k.release.FineIBT == kernels.CFIFineEAX && slices.Contains(mode, "bhi") {
		s.after = append(s.after, "bhi")
	}
}

// build reads what the kernel configuration decides.
func (s *selection) build(k *kernelRow) {
	if len(s.h.Config) == 0 {
		s.errorf("the kernel configuration is not recorded")
		return
	}
	on := s.on
	s.cfi(k)
	if !on("CONFIG_BPF_JIT") {
		s.errorf("the kernel has no BPF JIT (CONFIG_BPF_JIT)")
	}
	if ibt := on("CONFIG_X86_KERNEL_IBT") && k.release.ENDBR; ibt && !k.Emit.ENDBR {
		s.words = append(s.words, "endbr")
	} else if !ibt && k.Emit.ENDBR {
		s.words = append(s.words, "noendbr")
	}
	// Until 6.8 the options have no MITIGATION in their names.
	sls := on("CONFIG_MITIGATION_SLS", "CONFIG_SLS") && k.release.SLS
	jump := sls || on("CONFIG_MITIGATION_RETPOLINE", "CONFIG_RETPOLINE") && k.release.ThunkSLS
	switch {
	case sls && !k.Emit.SLS:
		s.words = append(s.words, "sls")
		return
	case !sls && k.Emit.SLS:
		s.words = append(s.words, "nosls")
	}
	if jump && !k.Emit.JumpSLS {
		s.words = append(s.words, "jumpsls")
	} else if !jump && k.Emit.JumpSLS {
		s.words = append(s.words, "nojumpsls")
	}
}
