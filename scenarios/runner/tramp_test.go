// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// traceScenario is a program with a traced subprogram, after one run without.
const traceScenario = `version: 1
name: traced
maps:
  table: {type: prog_array, slots: {0: entry}}
  count: {type: array}
  seen: {type: array}
programs:
  entry:
    steps: [count: count, call: sub, return: result]
    functions:
      sub: [tail_call: table, return: 7]
  tracer: [count: seen, return: 0]
  second: [count: seen, return: 0]
runs:
  - run: entry
    expect: {return: 7, taken: 33}
  - attach: {KIND: entry, function: sub, by: tracer}
  - run: entry
    expect: {return: 7, taken: 33, values: {seen: 34}}
  - attach: {fexit: entry, function: sub, by: second}
  - run: entry
    expect: {return: 7, taken: 33, values: {seen: 102}}
`

func openTraced(t *testing.T, kind, on string) (*runner.Session, error) {
	t.Helper()
	b := buildText(t, "traced.yaml", []byte(strings.Replace(traceScenario, "KIND", kind, 1)))
	c, err := runner.Compile(b, target(t, on))
	if err != nil {
		return nil, err
	}
	s, err := runner.Open(c, runner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, nil
}

// TestAttachWithoutMaps has nothing that an attach event could be mistaken for.
func TestAttachWithoutMaps(t *testing.T) {
	b := buildText(t, "nomaps.yaml", []byte(`version: 1
name: nomaps
programs:
  entry:
    steps: [call: sub, return: result]
    functions:
      sub: [return: 7]
  tracer: [return: 0]
runs:
  - attach: {fentry: entry, function: sub, by: tracer}
  - run: entry
    expect: {return: 7}
`))
	res := play(t, opened(t, compiled(t, b, target(t, "6.12")), runner.Options{}))
	if !res.OK() || res.Updates[0].What != "attach tracer to entry:sub" {
		t.Errorf("%+v", res)
	}
}

// TestAttach attaches programs between runs, to call and to jump, and plays twice: the second time
// nothing may be left of the first.
func TestAttach(t *testing.T) {
	for _, target := range []string{"6.1", "6.12", "6.18", "7.2", "7.2-retpoline-its"} {
		for _, kind := range []string{"fentry", "fexit"} {
			s, err := openTraced(t, kind, target)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				res, err := s.Play(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				if len(res.Runs) != 3 {
					t.Fatalf("%s, %s: %d runs", target, kind, len(res.Runs))
				}
				for i, r := range res.Runs {
					if r.Violation != nil || len(r.Mismatches) != 0 {
						t.Errorf("%s, %s: run %d: %v %v", target, kind, i+1, r.Violation, r.Mismatches)
					}
				}
			}
		}
	}
}

// TestAttachUnsupported expects a design whose trampolines are unknown to be refused.
func TestAttachUnsupported(t *testing.T) {
	for _, target := range []string{"fp53", "hier-runctx"} {
		if _, err := openTraced(t, "fentry", target); !errors.Is(err, kernels.ErrUnsupported) {
			t.Errorf("%s: error %v", target, err)
		}
	}
}

// TestAttachEvents looks at the events of a traced call and at the stack in the middle of it: the
// frame of the trampoline lies between those of the caller and of the traced function, which has
// nothing but its return address above it.
func TestAttachEvents(t *testing.T) {
	for target, want := range map[string]struct {
		depth  int // of the tracing program
		frames string
	}{
		"6.12": {4, "entry sub tramp_sub"}, // sub has called the trampoline
		"7.2":  {3, "entry tramp_sub"},     // sub has left its place to it
	} {
		s, err := openTraced(t, "fexit", target)
		if err != nil {
			t.Fatal(err)
		}
		run, err := s.PlayTo(context.Background(), 2)
		if err != nil {
			t.Fatal(err)
		}
		hooks, last := 0, 0
		for i := range run.Events {
			e := &run.Events[i]
			switch {
			case e.Kind == trace.KindHook:
				hooks++
				if e.Fn.String() != "tramp_sub" || e.Target.String() != "entry:sub" && e.Target.String() != "sub" {
					t.Errorf("%s: event %d: %s", target, e.No, e.What(run.Code))
				}
			case e.Kind == trace.KindCall && e.Target.Prog == "tracer":
				last = e.Depth + 1 // the last call is for the outermost sub
			}
		}
		if hooks != 34 || last != want.depth {
			t.Errorf("%s: %d trampolines, the last call of the tracing program makes %d frames, expected 34 and %d", target, hooks, last, want.depth)
		}
		sel, err := stack.ParseAt("helper:1") // __bpf_tramp_enter
		if err != nil {
			t.Fatal(err)
		}
		drawings, err := s.Stack(context.Background(), 2, sel)
		if err != nil {
			t.Fatal(err)
		}
		var frames []string
		for _, f := range drawings[0].Layout.Frames {
			frames = append(frames, f.Func)
		}
		if got := strings.Join(frames, " "); got != want.frames {
			t.Errorf("%s: frames %q, expected %q", target, got, want.frames)
		}
	}
}
