// SPDX-License-Identifier: GPL-2.0-only

package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/inputs"
	"github.com/tcsim/tcsim/cmd/tcsim/progress"
	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/emu/trace/stored"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// flag names the file.
const flag = "events"

// FileFlag is the flag of commands that keep events.
func FileFlag(instead string) cli.Flag {
	return &cli.StringFlag{Name: flag, Usage: instead + "write all events to this file, however many there are: trace, stack and report read it"}
}

// kept are the flags that say what is run: with them it is run again.
var kept = []string{
	"target", "limit", "core", "keep-going", "entry", "packet", "ctx", "fill", "attach-to", "btf", "type", "attach-type", "map", "map-of", "set",
	"kernel-version", "kernel-config", "extra", "scenario", "traced",
}

// again returns the words of a command line that runs what cmd runs.
func again(cmd *cli.Command) []string {
	words := []string{cmd.Name}
	for _, name := range kept {
		if !cmd.IsSet(name) && (name != "target" || cmd.Value(name) == nil) {
			continue
		}
		values := []string{fmt.Sprint(cmd.Value(name))}
		if list, ok := cmd.Value(name).([]string); ok {
			values = list
		}
		for _, v := range values {
			words = append(words, "--"+name+"="+v)
		}
	}
	return append(words, cmd.Args().Slice()...)
}

// Recording writes the events of runs to a file. It implements runner.Events.
type Recording struct {
	scenario, target string

	path  string
	only  int // the run that is wanted, 0 for all
	args  []string
	bar   *progress.Bar
	w     *stored.Writer
	last  int  // number of the run that was begun last
	open  bool // it has not ended
	end   *stored.End
	total uint64
	runs  int
	err   error
}

// Record begins the file that --events names. run is the one that is wanted, 0 for all.
func Record(cmd *cli.Command, run int, bar *progress.Bar) (*Recording, error) {
	path := cmd.String(flag)
	if slices.Contains(cmd.Args().Slice(), "-") {
		return nil, inputs.Bad(errors.New("--events: expected a file or a built-in scenario: what comes from standard input cannot be run again"))
	}
	w, err := stored.Create(path)
	if err != nil {
		return nil, inputs.Bad(err)
	}
	return &Recording{path: path, only: run, args: again(cmd), bar: bar, w: w}, nil
}

// Options are those of a session whose events are recorded by r, if it is not nil, or that runs again what was
// recorded as run, if that is not nil.
func Options(opt runner.Options, r *Recording, run *stored.Run) runner.Options {
	if r != nil {
		opt.Events = r
	}
	if run != nil {
		opt.MaxInsns, opt.MaxEvents = runner.StoredMaxInsns, runner.StoredMaxEvents
	}
	return opt
}

// Of says what the runs are of that come next.
func (r *Recording) Of(scenario, target string) {
	if r != nil {
		r.scenario, r.target = scenario, target
	}
}

// Begin implements runner.Events.
func (r *Recording) Begin(n int, program string, code *trace.Code) bool {
	if n <= r.last || r.only != 0 && n != r.only || r.err != nil {
		return false
	}
	r.finish()
	r.last, r.open = n, true
	r.runs++
	r.keep(r.w.Begin(stored.Header{Scenario: r.scenario, Target: r.target, Run: n, Program: program, Args: r.args}, code))
	return r.err == nil
}

func (r *Recording) keep(err error) {
	if r.err == nil {
		r.err = err
	}
}

// Event implements runner.Events.
func (r *Recording) Event(e *trace.Event) bool {
	r.keep(r.w.Event(e))
	r.total++
	if r.total%(1<<12) == 0 {
		r.bar.Set(int(r.total), 0)
	}
	return r.err == nil
}

// End implements runner.Events.
func (r *Recording) End(run *runner.Run) {
	summary, err := json.Marshal(render.Summarise(run))
	r.keep(err)
	e := &stored.End{Retired: run.Retired, Deepest: run.DeepestAt, Summary: summary, Failed: len(run.Mismatches) != 0}
	if run.Violation != nil {
		e.Violation = run.Violation.Moment()
	}
	for _, m := range run.Mismatches {
		e.Text = append(e.Text, m.String())
	}
	r.end = e
}

// finish ends the run that was begun.
func (r *Recording) finish() {
	if !r.open {
		return
	}
	if r.end == nil {
		r.end = &stored.End{Interrupted: true}
	}
	if r.err == nil {
		r.keep(r.w.End(*r.end))
	}
	r.open, r.end = false, nil
}

// Wrong adds what a run is not as it should be by, after it has ended.
func (r *Recording) Wrong(lines []string, failed bool) {
	if r != nil && r.end != nil {
		r.end.Text, r.end.Failed = append(r.end.Text, lines...), r.end.Failed || failed
	}
}

// Close ends the file after a command that ended with failed, and says what is in it. It returns failed, or what kept
// the file from being written. After an interrupt the file has what came before and says so; if tcsim failed there is
// none.
func (r *Recording) Close(ctx context.Context, failed error) (string, error) {
	r.bar.Done()
	broken := r.open && r.end == nil && ctx.Err() == nil // tcsim itself failed
	r.finish()
	if r.runs == 0 && failed == nil && r.err == nil {
		r.err = errors.New("--events: nothing ran whose events there could be")
	}
	if broken || r.err != nil || r.runs == 0 {
		r.w.Abort()
	} else if r.err = r.w.Close(); r.err == nil {
		return fmt.Sprintf("%s of %s in %s", render.Plural(int(r.total), "event"), render.Plural(r.runs, "run"), r.path), failed
	}
	if r.err != nil {
		return "", inputs.Bad(r.err)
	}
	return "", failed
}

// Rerun is a command line that runs again what a file of events has, in place of the file's name.
type Rerun struct {
	Run  *stored.Run
	Args []string
}

// Error says what it is.
func (r *Rerun) Error() string { return "events of another command" }

// Again returns the command line that does with the run of a file what cmd asks for, if cmd's one argument is such a
// file; else nil. The file stays open.
func Again(cmd *cli.Command) (*Rerun, error) {
	if cmd.NArg() != 1 || !stored.Is(cmd.Args().First()) {
		return nil, nil
	}
	f, err := stored.Open(cmd.Args().First())
	if err != nil {
		return nil, inputs.Bad(err)
	}
	n := 0
	if cmd.IsSet("run") {
		n = cmd.Int("run")
	}
	run, err := f.Named(n)
	if err != nil {
		return nil, inputs.Bad(err)
	}
	args, err := line(cmd, f.Path, run)
	if err != nil {
		return nil, inputs.Bad(err)
	}
	return &Rerun{run, args}, nil
}

// line makes the command line.
func line(cmd *cli.Command, path string, run *stored.Run) ([]string, error) {
	verb, words, what := run.Args[0], run.Args[1:], ""
	if n := len(words); n > 0 && !strings.HasPrefix(words[n-1], "-") {
		words, what = words[:n-1], words[n-1]
	}
	replayed := verb == "replay"
	if what == "" || !replayed && verb != "run" && verb != "trace" {
		return nil, fmt.Errorf("%s: the command that it names is none that records events: %q", path, strings.Join(run.Args, " "))
	}
	out := []string{cmd.Name}
	if replayed && cmd.Name == "stack" {
		out[0] = "replay"
	}
	for _, w := range words {
		name, _, ok := strings.Cut(strings.TrimPrefix(w, "--"), "=")
		if !ok || !slices.Contains(kept, name) {
			return nil, fmt.Errorf("%s: the command that it names has %q, which says nothing of what is run", path, w)
		}
		if cmd.Name == "report" && (name == "keep-going" || name == "traced") {
			return nil, fmt.Errorf("%s: the run was recorded with --%s, which a report does not have; tcsim stack draws it", path, name)
		}
		if replayed && name == "target" {
			continue
		}
		out = append(out, w)
	}
	if cmd.Name == "stack" {
		out = append(out, fmt.Sprintf("--run=%d", run.Run))
	}
	for _, f := range append(slices.Clone(cmd.Flags), cmd.Root().Flags...) {
		name := f.Names()[0]
		switch {
		case !cmd.IsSet(name) || name == "run":
		case slices.Contains(kept, name):
			return nil, fmt.Errorf("--%s: %s says itself what was run: tcsim %s", name, path, strings.Join(run.Args, " "))
		case replayed && cmd.Name == "stack" && name == "stale":
			return nil, fmt.Errorf("--stale: there is none of a captured scenario")
		default:
			out = append(out, fmt.Sprintf("--%s=%v", name, cmd.Value(name)))
		}
	}
	if replayed && cmd.Name == "stack" && !cmd.IsSet("at") {
		out = append(out, "--at="+cmd.String("at"))
	}
	return append(out, what), nil
}
