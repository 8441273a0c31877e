// SPDX-License-Identifier: GPL-2.0-only

package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/source/compiler"
	"github.com/tcsim/tcsim/jit/source/ktree"
)

// What a tree says of its kernel takes the place of what the registered target says: the configuration, where
// fields of structures are, what the verifier marks. Captures say it better: a target that comes from one is not
// adapted.

// told is what a tree told of itself.
type told struct {
	config *config
	from   map[string]string // macro to where its value was read
}

// plainConfig are the options that a kernel without .config is taken to have, besides those that the target
// decides.
var plainConfig = []ktree.Fact{
	{Name: "CONFIG_SECURITY", Value: "1", From: everyKernel}, {Name: "CONFIG_MEMCG", Value: "1", From: everyKernel}, {Name: "CONFIG_MEMCG_KMEM", Value: "1", From: everyKernel},
	{Name: "CONFIG_CGROUPS", Value: "1", From: everyKernel}, {Name: "CONFIG_SMP", Value: "1", From: everyKernel}, {Name: "CONFIG_64BIT", Value: "1", From: everyKernel},
}

// everyKernel is where facts are from that hold of every kernel that is captured.
const everyKernel = "every kernel that is captured"

// adapt changes a target as its tree, whose C file is text, says.
func adapt(ctx context.Context, tree ktree.Tree, text []byte, t *jit.Target, opts Options, c *config, features []string) (*told, error) {
	is := &told{config: c, from: map[string]string{}}
	if c != nil {
		c.apply(t, text, features)
	}
	is.reach(tree, text, t)
	l, err := ktree.ReadLayout(ctx, tree, layoutConfig(tree, opts.Version, c), opts.Cache)
	var broken *compiler.CompileError
	switch {
	case errors.Is(err, ktree.ErrNoLayout), errors.As(err, &broken): // then as the target has it
	case err != nil:
		return nil, err
	default:
		t.Offsets = l.Offsets
		for macro, where := range l.From {
			is.from[macro] = where
		}
	}
	return is, nil
}

// reach reads who marks a function that has tail calls of its own.
func (is *told) reach(tree ktree.Tree, text []byte, t *jit.Target) {
	const macro = "TCSIM_OWN_REACH"
	verifier, err := tree.ReadFile(verifierFile)
	switch at := bytes.Index(verifier, ownReach); {
	case err != nil && bytes.Contains(text, jitScan): // either may be
	case err != nil:
		t.Verifier.OwnReach = true
		is.from[macro] = tree.Shown(ktree.JITFile)
	case at < 0:
		t.Verifier.OwnReach = false
		is.from[macro] = tree.Shown(verifierFile)
	default:
		t.Verifier.OwnReach = true
		is.from[macro] = fmt.Sprintf("%s:%d", tree.Shown(verifierFile), 1+bytes.Count(verifier[:at], []byte("\n")))
	}
}

// Whether the verifier marks a function for tail calls of its own, or the JIT looks for them.
const verifierFile = "kernel/bpf/verifier.c"

var (
	ownReach = []byte("[cur_subprog].tail_call_reachable = true")
	jitScan  = []byte("tail_call_seen")
)

// layoutConfig are the macros that the layout of structures depends on.
func layoutConfig(tree ktree.Tree, v ktree.Version, c *config) []ktree.Fact {
	var out []ktree.Fact
	for _, f := range plainConfig {
		if c != nil {
			f = c.fact(f.Name[len("CONFIG_"):])
		}
		if f.Value != "n" {
			out = append(out, f)
		}
	}
	// Debugging options and PREEMPT_RT give locks other sizes: ktree/layout.h refuses them.
	for _, n := range []string{"DEBUG_LOCK_ALLOC", "DEBUG_MUTEXES", "DEBUG_SPINLOCK", "PREEMPT_RT", "LOCKDEP"} {
		if c != nil && c.on(n) {
			out = append(out, c.fact(n))
		}
	}
	waiter := !v.Before(7, 1)
	for _, h := range []string{"include/linux/mutex_types.h", "include/linux/mutex.h"} {
		if text, err := tree.ReadFile(h); err == nil && bytes.Contains(text, []byte("wait_lock")) {
			waiter = bytes.Contains(text, []byte("first_waiter"))
			break
		}
	}
	if waiter {
		out = append(out, ktree.Fact{Name: "TCSIM_FIRST_WAITER", Value: "1"})
	}
	slices.SortStableFunc(out, func(a, b ktree.Fact) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	return out
}
