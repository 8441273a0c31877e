// SPDX-License-Identifier: GPL-2.0-only

package events

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/inputs"
	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/emu/trace/stored"
)

// ErrFailed is a run that was not as expected, ErrInterrupted one that was broken off from outside.
var (
	ErrFailed      = errors.New("a recorded run was not as expected")
	ErrInterrupted = errors.New("a recorded run was interrupted")
)

// shown are the flags of trace that are for files, too.
var shown = []string{"first", "last", "only", "run", "json", "width", "color", "verbose", "time-limit", "progress", "quiet"}

// Open returns the run of a file of events that is the one argument of trace; nil if that is no such file. Flags that need the run itself
// are named.
func Open(cmd *cli.Command) (*stored.File, *stored.Run, error) {
	if cmd.NArg() != 1 || !stored.Is(cmd.Args().First()) {
		return nil, nil, nil
	}
	f, err := stored.Open(cmd.Args().First())
	if err != nil {
		return nil, nil, inputs.Bad(err)
	}
	n := 0
	if cmd.IsSet("run") {
		n = cmd.Int("run")
	}
	run, err := f.Named(n)
	for _, fl := range append(slices.Clone(cmd.Flags), cmd.Root().Flags...) {
		if name := fl.Names()[0]; err == nil && cmd.IsSet(name) && !slices.Contains(shown, name) {
			err = fmt.Errorf("--%s: the file has events alone; of the run itself: tcsim %s", name, strings.Join(run.Args, " "))
		}
	}
	if err != nil {
		f.Close()
		return nil, nil, inputs.Bad(err)
	}
	return f, run, nil
}

// Show prints the chosen events of a run in a file, as trace prints those of a run: what else is wrong with it to said. It reads them twice, as the
// columns depend on all.
func Show(w, said io.Writer, run *stored.Run, choice Choice, asJSON bool, look render.Look) error {
	var s render.Summary
	if len(run.End.Summary) > 0 {
		if err := json.Unmarshal(run.End.Summary, &s); err != nil {
			return inputs.Bad(fmt.Errorf("how the run ended: %w", err))
		}
	}
	n := 0
	for _, k := range trace.Kinds() {
		if choice.of(k) {
			n += int(run.Count(k))
		}
	}
	each := func(fn func(*trace.Event) error) (int, error) {
		var failed error
		i, out := 0, 0
		err := run.Each(1, func(e *trace.Event) bool {
			if !choice.of(e.Kind) {
				return true
			}
			if choice.at(i, n) {
				out++
				failed = fn(e)
			}
			i++
			return failed == nil && (choice.first == 0 || choice.last > 0 || i < choice.first)
		}, choice.kinds...)
		return out, errors.Join(inputs.Bad(err), failed)
	}
	b := bufio.NewWriterSize(w, 1<<16)
	var err error
	if asJSON {
		err = showJSON(b, run, &s, each)
	} else {
		err = showText(b, run, &s, look, each)
	}
	if err = errors.Join(err, b.Flush()); err != nil {
		return err
	}
	for _, line := range run.End.Text {
		fmt.Fprintln(said, line)
	}
	switch {
	case run.End.Interrupted:
		fmt.Fprintf(said, "run %d was interrupted after %s\n", run.Run, render.Plural(int(run.End.Events), "event"))
		return ErrInterrupted
	case run.End.Failed:
		return ErrFailed
	}
	return nil
}

func showText(w *bufio.Writer, run *stored.Run, s *render.Summary, look render.Look, each func(func(*trace.Event) error) (int, error)) error {
	p := trace.NewPrinter(run.Code, look.Columns())
	if _, err := each(func(e *trace.Event) error { p.Measure(e); return nil }); err != nil {
		return err
	}
	w.WriteString(look.Events(p.Head()))
	n, err := each(func(e *trace.Event) error {
		_, err := w.WriteString(look.Events(p.Lines(e)))
		return err
	})
	if err != nil {
		return err
	}
	if total := run.End.Events; uint64(n) < total {
		fmt.Fprintf(w, "(%d of %s shown)\n", n, render.Plural(int(total), "event"))
	}
	render.TraceEnd(w, s.Violation, s.More, look)
	return nil
}

func showJSON(w *bufio.Writer, run *stored.Run, s *render.Summary, each func(func(*trace.Event) error) (int, error)) error {
	w.WriteString("{\n  \"events\": [")
	var line bytes.Buffer
	n, err := each(func(e *trace.Event) error {
		raw, err := json.Marshal(e.Record(run.Code))
		if err != nil {
			return err
		}
		if line.Len() > 0 {
			w.WriteByte(',')
		}
		line.Reset()
		line.WriteString("\n    ")
		if err := json.Indent(&line, raw, "    ", "  "); err != nil {
			return err
		}
		_, err = w.Write(line.Bytes())
		return err
	})
	if err != nil {
		return err
	}
	if n > 0 {
		w.WriteString("\n  ")
	}
	var tail bytes.Buffer
	if err := render.JSON(&tail, struct {
		Run    *render.Summary `json:"run"`
		Schema render.Schema   `json:"schema"`
	}{s, render.SchemaTrace}); err != nil {
		return err
	}
	w.WriteString("],\n")
	_, err = w.Write(bytes.TrimPrefix(tail.Bytes(), []byte("{\n")))
	return err
}

// At finds what at means in the run of a file, which is run again; nil leaves at as it is.
func At(run *stored.Run, at stack.At) stack.At {
	if run == nil {
		return at
	}
	return at.Elsewhere(func(code *trace.Code) ([]stack.Moment, error) {
		if err := run.Bind(code); err != nil {
			return nil, err
		}
		return at.Resolve(stack.Run{Code: code, Retired: run.End.Retired, Stored: run, Deepest: run.End.Deepest, Violation: run.End.Violation})
	})
}

// Window reads events of the run of a file for a time line: at most most and one more, from number first on. It is nil without a run.
func Window(run *stored.Run, first uint64, most int) func(int, *trace.Code) ([]trace.Event, error) {
	if run == nil {
		return nil
	}
	return func(n int, code *trace.Code) ([]trace.Event, error) {
		if n != run.Run {
			return nil, nil
		}
		if err := run.Bind(code); err != nil {
			return nil, err
		}
		var out []trace.Event
		err := run.Each(first, func(e *trace.Event) bool {
			out = append(out, *e)
			return len(out) <= most
		})
		if err == nil && len(out) == 0 {
			err = fmt.Errorf("--from: the run has %d events, and %d was asked for", run.End.Events, first)
		}
		return out, err
	}
}
