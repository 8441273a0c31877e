// SPDX-License-Identifier: GPL-2.0-only

// Command tcsim replays BPF tail calls: code of its own JIT and code captured from real kernels,
// in an emulator that checks, draws and counts. It parses arguments, calls the packages that do
// the work and prints; it decides nothing.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/events"
	"github.com/tcsim/tcsim/cmd/tcsim/inputs"
	"github.com/tcsim/tcsim/cmd/tcsim/interrupt"
	"github.com/tcsim/tcsim/cmd/tcsim/manual"
	"github.com/tcsim/tcsim/cmd/tcsim/progress"
	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/trace/stored"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/nearest"
	"github.com/tcsim/tcsim/jit/outfile"
	"github.com/tcsim/tcsim/jit/parts"
	"github.com/tcsim/tcsim/jit/source"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// Exit codes. 125 makes `git bisect run` skip a revision.
const (
	exitOK          = 0
	exitFailed      = 1 // an expectation or an invariant failed
	exitUsage       = 2 // bad usage or bad input
	exitInternal    = 3 // a fault of tcsim itself
	exitUntestable  = 125
	exitInterrupted = interrupt.Code // by a signal or --time-limit; git bisect run stops
	exitCodesInHelp = "Exit codes: 0 as expected, 1 an expectation or invariant failed, 2 bad usage or input, or output that\n" +
		"cannot be written, 3 internal fault, 125 cannot be tested here (git bisect run skips it), 130 interrupted:\n" +
		"what was finished is printed. tcsim help glossary explains the words of the output."
)

// errFailed ends a command whose result is already printed and not as expected.
var errFailed = errors.New("not as expected")

// errUntestable says that something that a command needs is not there on this machine.
var errUntestable = errors.New("cannot be tested here")

// badInput marks err as bad input; nil stays nil.
func badInput(err error) error { return inputs.Bad(err) }

// badUsage makes a usage error from a message.
func badUsage(format string, args ...any) error { return inputs.Bad(fmt.Errorf(format, args...)) }

// env is where a command reads and writes; tests give it buffers.
type env struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	// terminal is standard error as it is, for progress; nothing from a file goes there.
	terminal io.Writer
	self     string       // path of the program, for processes of its own; "" does everything in this one
	source   *sourceFlags // of this command line
	// showProgress is the value of --progress; nil is auto.
	showProgress *string
	actions      bool // GitHub Actions runs this
	args         []string
	// progressed, if not nil, is told how far long work is: what tests have instead of a bar.
	progressed func(done, total int)
	// screen is standard output as it is if it may be a terminal; coloured takes text for it that Look.Paint has coloured.
	screen    *os.File
	coloured  io.Writer
	recording *events.Recording // takes the events of runs, else nil
	stored    *stored.Run       // the run of a file of events that is run again, else nil
	sum       *parts.Work       // what tcsim merge adds up, for the command whose parts these are; else nil
}

func main() {
	// The collector counts this as live, though no memory is used for it: so it does not begin while little else is.
	var unused []byte
	if len(os.Args) < 2 || os.Args[1] != workerVerb { // which has a rule of its own
		unused = make([]byte, 16<<20)
	}
	defer runtime.KeepAlive(unused)
	said := render.Printable(os.Stderr)
	ctx, stop := interrupt.Context(said)
	source.Within(ctx, func(what string) { fmt.Fprintf(said, "note: %s\n", what) })
	self, err := os.Executable()
	if err != nil {
		self = "" // then without
	}
	code := doMain(ctx, os.Args, env{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, self: self, actions: os.Getenv("GITHUB_ACTIONS") == "true"})
	stop()
	os.Exit(code)
}

// output is standard output; it remembers the first write that failed, so that no command has to ask.
type output struct {
	io.Writer
	any bool // something was written
	err error
}

func (o *output) Write(b []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.Writer.Write(b)
	o.any, o.err = o.any || n > 0, err
	return n, err
}

// doMain runs one command line and returns the exit code.
func doMain(ctx context.Context, args []string, e env) int {
	args = inputs.PluginFirst(args)
	shown, said := render.Printable(e.stdout), render.Printable(e.stderr)
	out, coloured := &output{Writer: shown}, &output{Writer: render.Coloured(e.stdout)}
	e.screen, _ = e.stdout.(*os.File)
	e.coloured = coloured
	e.stdout, e.stderr, e.terminal, e.args = out, said, e.stderr, args[1:]
	defer func() {
		shown.Close() // what is left is a cut character at most
		said.Close()
	}()
	app := newApp(e)
	if manual.AsksHelp(app, args) { // laying out twenty pages takes longer than many a command
		manual.SetHelp(app)
	}
	err := runApp(ctx, app, args)
	var m *mergedCommand
	if errors.As(err, &m) {
		e.sum, e.args = m.sum, m.args
		err = runApp(ctx, newApp(e), append(args[:1:1], m.args...))
	}
	var again *events.Rerun
	if errors.As(err, &again) {
		e.stored, e.args = again.Run, again.Args
		err = runApp(ctx, newApp(e), append(args[:1:1], again.Args...))
	}
	if lost := cmp.Or(out.err, coloured.err); lost != nil {
		err = badInput(fmt.Errorf("standard output: %w", lost)) // whatever else: the answer is not there
	}
	return exitOf(e.stderr, err, verbose(args))
}

// exitOf prints what went wrong, if anything, and returns the exit code that stands for it.
func exitOf(stderr io.Writer, err error, stack bool) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errFailed):
		return exitFailed
	case isInterrupt(err):
		if !errors.Is(err, errInterrupted) { // which says more than that a context ended
			err = errInterrupted
		}
		fmt.Fprintf(stderr, "tcsim: %v\n", err)
		return exitInterrupted
	}
	fmt.Fprintf(stderr, "tcsim: %v\n", err)
	var in inputs.Error
	var crash *panicError
	var early *runner.NotReached
	var unwritten *outfile.Error
	switch {
	case errors.As(err, &crash):
		fmt.Fprintln(stderr, crash.advice(stack))
	case untestable(err) && (!errors.As(err, &in) || !inputs.Any(err, func(e error) bool { return !untestable(e) })):
		return exitUntestable
	case errors.As(err, &early) && !early.Stopped.Foreseen, errors.Is(err, jit.ErrEmitter): // the JIT's fault, not ours
		return exitFailed
	case errors.As(err, &in), errors.As(err, &unwritten):
		return exitUsage
	}
	return exitInternal
}

// expectedNumber says what is wrong with the number of an option, of which package strconv says this much: the function that
// read it, the number, and why it did not.
func expectedNumber(wrong string) string {
	kind, why, _ := strings.Cut(wrong, ": ")
	switch {
	case strings.HasSuffix(why, "out of range"):
		return "the number is too large"
	case strings.HasPrefix(kind, "ParseUint") && strings.Contains(why, `"-`):
		return "expected 0 or more"
	case strings.HasPrefix(kind, "ParseFloat"):
		return "expected a number"
	}
	return "expected a whole number"
}

// newApp returns the command tree bound to e.
func newApp(e env) *cli.Command {
	usage := func(_ context.Context, cmd *cli.Command, err error, _ bool) error {
		if word, ok := unknownFlag(err); ok {
			return badUsage("%s: unknown option %s%s (see %s --help)", cmd.Name, word, flagMeant(cmd, word), cmd.FullName())
		}
		text := strings.Replace(err.Error(), " for flag -", " for option --", 1)
		if what, wrong, ok := strings.Cut(text, ": strconv."); ok {
			text = what + ": " + expectedNumber(wrong)
		}
		return badUsage("%s: %s (see %s --help)", cmd.Name, text, cmd.FullName())
	}
	e.source, e.showProgress = &sourceFlags{}, new(string)
	*e.showProgress = progress.Auto
	app := &cli.Command{
		Name:            "tcsim",
		Usage:           "verify BPF tail calls in emulated JIT output before anything boots",
		Description:     exitCodesInHelp,
		HideHelpCommand: true, // ours has topics
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "after an internal fault, print the stack of tcsim itself"},
			&cli.DurationFlag{Name: timeLimit, HideDefault: true, Usage: "stop after this time as after an interrupt: what is finished is printed"},
			progressFlag(e.showProgress),
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "leave out what explains the heads of tables"},
			&cli.BoolFlag{Name: "version", Local: true, Usage: "say which version this is"},
		}, e.source.flags()...),
		Reader:         e.stdin,
		Writer:         e.stdout,
		ErrWriter:      e.stderr,
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
		OnUsageError:   usage,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Bool("version") {
				return e.version(ctx, cmd)
			}
			return cli.ShowRootCommandHelp(cmd)
		},
		Commands: []*cli.Command{
			e.runCommand(), e.verifyCommand(), e.graphCommand(), e.traceCommand(), e.stackCommand(), e.jitCommand(), e.exploreCommand(), e.matrixCommand(),
			e.captureCommand(), e.checkKernelCommand(), e.conformCommand(), e.replayCommand(), e.importCommand(), e.pluginCommand(), e.doctorCommand(),
			e.cyclesCommand(), e.vmCommand(), e.gdbCommand(),
			e.countCommand(), e.compareCommand(), e.splatCommand(), e.worstCommand(), e.fuzzCommand(), e.mergeCommand(), e.reportCommand(), e.workerCommand(),
			e.newCommand(), e.listCommand(), e.helpCommand(), e.manCommand(), e.completionCommand(), e.completeCommand(), e.versionCommand(),
		},
	}
	for _, c := range app.Commands {
		c.OnUsageError = usage
		if c.Action != nil {
			c.Action = e.answered(limited(e.explained(c.Action)))
		}
		for _, f := range c.Flags {
			if list, ok := f.(*cli.StringSliceFlag); ok {
				list.Config.TrimSpace = true
			}
		}
	}
	return app
}

// visible returns the names of the commands that the help lists.
func visible(cmds []*cli.Command) []string {
	var out []string
	for _, c := range cmds {
		if !c.Hidden {
			out = append(out, c.Name)
		}
	}
	return out
}

// unknownFlag returns the flag that an error of the library says is not defined.
func unknownFlag(err error) (string, bool) {
	_, word, ok := strings.Cut(err.Error(), "not defined: ")
	word = strings.TrimLeft(word, "-")
	if len(word) == 1 {
		return "-" + word, ok
	}
	return "--" + word, ok
}

// flagMeant says which flag an unknown one might be.
func flagMeant(cmd *cli.Command, word string) string {
	var names []string
	for _, f := range cmd.VisibleFlags() {
		for _, n := range f.Names() {
			if len(n) > 1 {
				names = append(names, "--"+n)
			}
		}
	}
	if c := cmd.Root(); c == cmd && slices.ContainsFunc(c.Commands, func(c *cli.Command) bool { return manual.Takes(c, word) }) {
		return ", which belongs after the command"
	}
	return nearest.DidYouMean(word, names)
}
