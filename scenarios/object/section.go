// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"strings"

	"github.com/cilium/ebpf"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/protos"
)

// Sections that say a program's type to newer loaders (section_defs of libbpf, of Linux 7.3), without the ending .s of those
// that may sleep.
var sections = map[string]struct {
	typ    bpf.ProgType
	attach uint32
	named  bool // what follows the slash is what the program is attached to
}{
	"raw_tp": {bpf.RawTracepoint, 0, true}, "raw_tracepoint": {bpf.RawTracepoint, 0, true}, "tp": {bpf.Tracepoint, 0, true},
	"tracepoint": {bpf.Tracepoint, 0, true}, "tp_btf": {bpf.Tracing, protos.AttachRawTP, true}, "fsession": {bpf.Tracing, protos.AttachFentrySession, true},
	"fentry.multi": {bpf.Tracing, protos.AttachFentryMulti, false}, "fexit.multi": {bpf.Tracing, protos.AttachFexitMulti, false},
	"fsession.multi": {bpf.Tracing, protos.AttachSessionMulti, false},
	"uprobe.session": {bpf.Kprobe, protos.AttachUprobeSession, false}, "kprobe.session": {bpf.Kprobe, protos.AttachKprobeSession, false},
}

// sectionType gives programs the type that their section says.
func sectionType(p *ebpf.ProgramSpec) {
	const sleepable = 1 << 4 // BPF_F_SLEEPABLE
	name, to, _ := strings.Cut(p.SectionName, "/")
	name, sleeps := strings.CutSuffix(name, ".s")
	s, known := sections[name]
	if p.Type != ebpf.UnspecifiedProgram || !known {
		return
	}
	p.Type, p.AttachType = ebpf.ProgramType(s.typ), ebpf.AttachType(s.attach)
	if s.named {
		p.AttachTo = to
	}
	if sleeps {
		p.Flags |= sleepable
	}
}
