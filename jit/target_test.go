// SPDX-License-Identifier: GPL-2.0-only

package jit_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
)

// TestTargets walks the whole table: every listed target exists, is complete and compiles.
func TestTargets(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range jit.TargetNames() {
		if seen[name] {
			t.Errorf("target %s is listed twice", name)
		}
		seen[name] = true
		tgt, err := jit.TargetByName(name)
		must(t, err)
		o := tgt.Offsets
		if tgt.Name != name || tgt.Source == "" || tgt.Limit == 0 || o.MapMaxEntries == 0 || o.ArrayPtrs == 0 || o.ProgBPFFunc == 0 {
			t.Errorf("target %s is incomplete: %+v", name, tgt)
		}
		direct := int32(1)
		if tgt.Verifier.NoDirect {
			direct = 0
		}
		v := program(max(8, tgt.Verifier.TailCallDepth), true, bpf.Insn{Op: bpf.OpCall, Imm: 5}, bpf.Insn{Op: bpf.OpTailCall},
			bpf.Insn{Op: bpf.OpTailCall, Imm: direct}, mov0, exit)
		if _, err := jit.Compile(v, tgt, &fixedEnv{next: fuzzBase}); err != nil {
			t.Errorf("target %s: %v", name, err)
		}
	}
	for capture, name := range captureTargets {
		if !seen[name] {
			t.Errorf("target %s of capture %s is not listed", name, capture)
		}
	}
}

// TestTargetCopies checks that a caller may change what it gets.
func TestTargetCopies(t *testing.T) {
	a, err := jit.TargetByName("6.12")
	must(t, err)
	a.Limit, a.Emit.BMI2 = 1, false
	b, err := jit.TargetByName("6.12")
	must(t, err)
	if b.Limit == 1 || !b.Emit.BMI2 {
		t.Error("a change of a target changed the table")
	}
}

func TestTargetNameErrors(t *testing.T) {
	for name, want := range map[string]string{
		"4.2":                  "unknown target",
		"5.20":                 "unknown target",
		"99.1":                 "unknown target",
		"6.12-foo":             `unknown feature "foo"`,
		"6.12-retpoline-stuff": "conflicts",
		"6.12-its-srso":        "conflicts",
		"6.1-stuff":            "not supported",
		"6.1-nobmi2":           "does not use BMI2",
		"6.12-bhi":             "needs fineibt",
		"6.18-fineibt":         "needs an IBT build",
		"5.10-kcfi":            "not supported",
		"fp-r12-retpoline":     `"retpoline": not supported by this target (it knows: inline)`,
		"fp-r13":               "unknown target",
		"fp53-":                `unknown feature ""`,
	} {
		if _, err := jit.TargetByName(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, expected it to contain %q", name, err, want)
		}
	}
}

func TestTargetFor(t *testing.T) {
	base := func() kernels.KernelInfo {
		return kernels.KernelInfo{
			Release:         "6.12.120",
			CPUFlags:        []string{"bmi1", "bmi2"},
			Vulnerabilities: map[string]string{"spectre_v2": "Vulnerable; BHI: Retpoline", "retbleed": "Vulnerable"},
			Config:          map[string]string{"CONFIG_BPF_JIT": "y", "CONFIG_X86_KERNEL_IBT": "y", "CONFIG_MITIGATION_SLS": "y"},
		}
	}
	for _, row := range []struct {
		name   string
		change func(h *kernels.KernelInfo)
		want   string // name, or part of an error after "!"
	}{
		{"plain", func(h *kernels.KernelInfo) {}, "6.12"},
		{"no BMI2", func(h *kernels.KernelInfo) { h.CPUFlags = h.CPUFlags[:1] }, "6.12-nobmi2"},
		{"no IBT, no SLS, no retpoline build", func(h *kernels.KernelInfo) {
			delete(h.Config, "CONFIG_X86_KERNEL_IBT")
			h.Config["CONFIG_MITIGATION_SLS"] = "n"
		}, "6.12-noendbr-nosls-nojumpsls"},
		{"eIBRS and retpolines", func(h *kernels.KernelInfo) {
			h.Vulnerabilities["spectre_v2"] = "Mitigation: Enhanced / Automatic IBRS + Retpolines; BHI: Not affected"
		}, "6.12-retpoline"},
		{"Zen 4", func(h *kernels.KernelInfo) {
			h.Vulnerabilities["spectre_v2"] = "Mitigation: Enhanced / Automatic IBRS; IBPB: conditional"
			h.Vulnerabilities["retbleed"] = "Not affected"
			h.Vulnerabilities["spec_rstack_overflow"] = "Mitigation: Safe RET"
		}, "6.12-srsoalias"},
		{"Zen 4 without the mitigation", func(h *kernels.KernelInfo) {
			h.Vulnerabilities["spectre_v2"] = "Mitigation: Enhanced / Automatic IBRS; IBPB: conditional"
			h.Vulnerabilities["retbleed"] = "Not affected"
			h.Vulnerabilities["spec_rstack_overflow"] = "Vulnerable: Microcode, no safe RET"
		}, "6.12"},
		{"stuffing for ITS only", func(h *kernels.KernelInfo) {
			h.Vulnerabilities["indirect_target_selection"] = "Mitigation: Retpolines, Stuffing RSB"
		}, "6.12-stuff"},
		{"stuffing where it is unknown", func(h *kernels.KernelInfo) {
			h.Release = "6.1.0"
			h.Vulnerabilities["retbleed"] = "Mitigation: Stuffing"
		}, "!call depth tracking"},
		{"release", func(h *kernels.KernelInfo) { h.Release = "4.2.1" }, `!no target for kernel release "4.2.1"`},
		{"release with a longer number", func(h *kernels.KernelInfo) { h.Release = "6.120.1" }, "!no target"},
		{"no texts", func(h *kernels.KernelInfo) { h.Vulnerabilities = nil }, "!spectre_v2 is not recorded"},
		{"new text", func(h *kernels.KernelInfo) { h.Vulnerabilities["spectre_v2"] = "Mitigation: Magic" }, `!"Mitigation: Magic" is not known`},
		{"no configuration", func(h *kernels.KernelInfo) { h.Config = nil }, "!configuration is not recorded"},
		{"no flags", func(h *kernels.KernelInfo) { h.CPUFlags = nil }, "!BMI2 is unknown"},
		{"CFI", func(h *kernels.KernelInfo) { h.Config["CONFIG_CFI"] = "y" }, "6.12-kcfi"},
		{"FineIBT", func(h *kernels.KernelInfo) {
			h.Config["CONFIG_CFI_CLANG"], h.Config["CONFIG_FINEIBT"] = "y", "y"
			h.CPUFlags = append(h.CPUFlags, "ibt")
		}, "6.12-fineibt"},
		{"kCFI asked for", func(h *kernels.KernelInfo) {
			h.Config["CONFIG_CFI_CLANG"], h.Config["CONFIG_FINEIBT"] = "y", "y"
			h.CPUFlags, h.Cmdline = append(h.CPUFlags, "ibt"), "quiet cfi=kcfi"
		}, "6.12-kcfi"},
		{"no CFI", func(h *kernels.KernelInfo) { h.Config["CONFIG_CFI"], h.Cmdline = "y", "cfi=off" }, "6.12"},
		{"CFI before it showed", func(h *kernels.KernelInfo) { h.Config["CONFIG_CFI"], h.Release = "y", "6.7.4" }, "6.7-endbr-sls"},
	} {
		h := base()
		h.Config = maps.Clone(h.Config)
		row.change(&h)
		tgt, err := jit.TargetFor(h)
		wantErr, isErr := strings.CutPrefix(row.want, "!")
		switch {
		case isErr && (err == nil || !strings.Contains(err.Error(), wantErr)):
			t.Errorf("%s: error is %v, expected it to contain %q", row.name, err, wantErr)
		case !isErr && err != nil:
			t.Errorf("%s: %v", row.name, err)
		case !isErr && tgt.Name != row.want:
			t.Errorf("%s: target is %s, expected %s", row.name, tgt.Name, row.want)
		}
	}
}
