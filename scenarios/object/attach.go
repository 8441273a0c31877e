// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/verify/protos"
	"github.com/tcsim/tcsim/scenarios"
)

// attachment is a program of the file that user space attaches to a function of another.
type attachment struct {
	by, prog, fn int
	kind         emit.TraceKind
	replaces     bool
}

// traceKinds are the kinds of tracing programs by their attach type.
var traceKinds = map[uint32]emit.TraceKind{protos.AttachFentry: emit.Fentry, protos.AttachFexit: emit.Fexit}

// attachments are what PROGRAM[:FUNCTION] asks for, as user space does with bpf_program__set_attach_target: each fentry,
// fexit and freplace program of the file is attached to the function of PROGRAM that its section names, or to FUNCTION if it
// names none.
func (f *File) attachments(to string) ([]attachment, error) {
	if to == "" {
		return nil, nil
	}
	name, fn, _ := strings.Cut(to, ":")
	prog := slices.IndexFunc(f.Programs, func(p bpf.Program) bool { return p.Name == name })
	if prog < 0 {
		return nil, fmt.Errorf("attach to %q: no program %q: %s", to, name, f.amongPrograms(name))
	}
	var out []attachment
	var errs []error
	used := fn == ""
	for by := range f.Programs {
		p := &f.Programs[by]
		kind, traces := traceKinds[p.AttachType]
		traces = traces && p.Type == bpf.Tracing
		if by == prog || !traces && p.Type != bpf.Extension {
			continue
		}
		want := p.AttachTo
		if want == "" {
			want, used = fn, true
		}
		a := attachment{by: by, prog: prog, kind: kind, replaces: !traces}
		a.fn = slices.IndexFunc(f.Programs[prog].Funcs, func(g bpf.Func) bool { return g.Name == want })
		switch {
		case want == "":
			errs = append(errs, fmt.Errorf("attach to %q: the section of %s names no function: expected %s:FUNCTION", to, p.Name, name))
		case a.fn < 0:
			continue // it is attached to something else
		case a.replaces && (a.fn == 0 || !f.Programs[prog].Funcs[a.fn].Global):
			errs = append(errs, fmt.Errorf("attach to %q: %s is no global function: the kernel replaces those only", to, want))
		default:
			out = append(out, a)
		}
	}
	for i, a := range out {
		if a.replaces && slices.ContainsFunc(out, func(o attachment) bool { return o.fn == a.fn && o.by != a.by }) {
			errs = append(errs, fmt.Errorf("attach to %q: %s replaces a function to which another program is attached, too: the kernel refuses the second of them (EBUSY)", to, f.Programs[out[i].by].Name))
		}
	}
	switch {
	case len(errs) > 0:
	case !used:
		errs = append(errs, fmt.Errorf("attach to %q: the sections of all programs name a function: expected %s alone", to, name))
	case len(out) == 0:
		errs = append(errs, fmt.Errorf("attach to %q: no fentry, fexit or freplace program of the file is for one of its functions: %s", to, strings.Join(functions(&f.Programs[prog]), ", ")))
	}
	return out, errors.Join(errs...)
}

func functions(p *bpf.Program) (names []string) {
	for i := range p.Funcs {
		names = append(names, p.Funcs[i].Name)
	}
	return names
}

// action is the attachment in a scenario whose programs are progs of the file.
func (a *attachment) action(b *scenarios.Built, progs []int) scenarios.Action {
	by, prog := slices.Index(progs, a.by), slices.Index(progs, a.prog)
	target, fn := b.Programs[prog].Name, b.Programs[prog].Funcs[a.fn].Name
	if a.replaces {
		ev := &scenarios.Event{Replace: scenarios.Named[scenarios.Name]{{Name: target + ":" + fn, Value: scenarios.Name{Text: b.Programs[by].Name}}}}
		return scenarios.Action{Kind: scenarios.ActReplace, Event: ev, Program: by, Map: -1, Replaced: prog, Func: a.fn}
	}
	at := &scenarios.Attach{By: scenarios.Name{Text: b.Programs[by].Name}, Fentry: &scenarios.Name{Text: target}}
	if a.kind == emit.Fexit {
		at.Fentry, at.Fexit = nil, at.Fentry
	}
	if a.fn > 0 {
		at.Function = &scenarios.Name{Text: fn}
	}
	return scenarios.Action{Kind: scenarios.ActAttach, Event: &scenarios.Event{Attach: at}, Program: prog, Func: a.fn, By: by, Trace: a.kind}
}
