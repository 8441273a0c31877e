// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"github.com/goccy/go-yaml/ast"

	"github.com/tcsim/tcsim/jit/emit"
)

// findTracing notes the programs that trace others, whose context is not that of the others.
func (b *builder) findTracing() {
	b.tracing = map[string]bool{}
	for i := range b.sc.Runs {
		if a := b.sc.Runs[i].Attach; a != nil {
			b.tracing[a.By.Text] = true
		}
	}
}

// VoidRAX says in scenario files what kernel functions that return nothing leave in rax. The zero value
// means "zero".
type VoidRAX string

// What they leave.
const (
	VoidZero    VoidRAX = "zero"
	VoidPointer VoidRAX = "pointer" // to something in the kernel
)

func (x *VoidRAX) decodeNode(d *decoder, n ast.Node) {
	*x = VoidRAX(d.choice(n, []string{string(VoidZero), string(VoidPointer)}))
}

// attach checks one attach entry and translates it.
func (b *builder) attach(ev *Event) {
	at := ev.Attach
	a := Action{Kind: ActAttach, Event: ev, Trace: emit.Fentry}
	of := at.Fentry
	if at.Fexit != nil {
		a.Trace, of = emit.Fexit, at.Fexit
	}
	if (at.Fentry == nil) == (at.Fexit == nil) {
		b.failf(at.Pos, "expected exactly one of fentry and fexit")
		return
	}
	if at.By.Text == "" {
		b.failf(at.Pos, "by is missing: expected the tracing program")
		return
	}
	if a.Program, a.By = b.programIndex(*of), b.programIndex(at.By); a.Program < 0 || a.By < 0 {
		return
	}
	if b.tracing[of.Text] {
		b.failf(of.Pos, "%s is a tracing program: those cannot be traced", of.Text)
	}
	if at.Function != nil {
		if a.Func = b.funcIndex(a.Program, *at.Function); a.Func < 0 {
			return
		}
	}
	for i := range b.out.Actions {
		if old := &b.out.Actions[i]; old.Kind == ActAttach && old.By == a.By {
			b.failf(at.By.Pos, "%s is attached already", at.By.Text)
			return
		}
	}
	b.out.Actions = append(b.out.Actions, a)
}

// funcIndex returns the index of a function of program p, -1 after recording that there is none.
func (b *builder) funcIndex(p int, n Name) int {
	var names []string
	for i, f := range b.out.Programs[p].Funcs {
		if f.Name == n.Text {
			return i
		}
		names = append(names, f.Name)
	}
	b.failf(n.Pos, "no function %q in %s: expected %s", n.Text, b.out.Programs[p].Name, expected(n.Text, names))
	return -1
}
