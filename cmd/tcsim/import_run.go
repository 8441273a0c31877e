// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/events"
	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/imports"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/object"
	"github.com/tcsim/tcsim/scenarios/replay"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// importRunFlags belong to --run.
func importRunFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.BoolFlag{Name: "run", Usage: "run the first program, or --prog, and check the invariants"},
		&cli.StringSliceFlag{Name: "slot", Usage: "KEY=PROG: what a slot of the prog arrays holds; KEY= for an empty one, ADDRESS/KEY=PROG for one array"},
		&cli.StringFlag{Name: "target", Usage: "the kernel: its rules for how functions begin and end are checked; needed for --packet"},
		&cli.StringFlag{Name: "packet", Usage: "the packet: hex, or a pcap file of one packet (default: a context of zeros)"},
		&cli.StringFlag{Name: "type", Value: "tc", Usage: "with --packet: tc, xdp or socket_filter"},
		limitFlag(),
		&cli.BoolFlag{Name: "trace", Usage: "show the events of the run"},
		&cli.StringFlag{Name: "at", Usage: "draw the stack of the run at a moment, see tcsim stack"},
		&cli.BoolFlag{Name: "all", Usage: "draw every frame of a long stack"},
	}, events.Flags()...)
}

// givenWithoutRun names a flag of --run that is set, "" if none is.
func givenWithoutRun(cmd *cli.Command) string {
	for _, n := range []string{"slot", "target", "packet", "type", "limit", "trace", "at", "all", "first", "last", "only"} {
		if cmd.IsSet(n) {
			return n
		}
	}
	return ""
}

// importRun runs imported code.
func (e env) importRun(ctx context.Context, cmd *cli.Command, progs []render.Imported, notes []string, symbols *imports.Symbols) error {
	shown, err := events.Chosen(cmd)
	if err != nil {
		return err
	}
	opt, err := importRunOptions(cmd)
	if err != nil {
		return badInput(err)
	}
	opt.Symbols = symbols
	var plain []imports.Prog
	for i := range progs {
		if _, err := progs[i].Image(); err != nil {
			return badInput(fmt.Errorf("%s: program %s: %w", progs[i].File, progs[i].Name, err))
		}
		plain = append(plain, progs[i].Prog)
	}
	im, err := replay.Import(plain, opt)
	if errors.Is(err, kernels.ErrUnsupported) {
		return err
	}
	if err != nil {
		return badInput(err)
	}
	r, err := replay.New(runner.Options{})
	if err != nil {
		return err
	}
	defer r.Close()
	if at := cmd.String("at"); at != "" {
		sel, err := stack.ParseAt(at)
		if err != nil {
			return badUsage("--at: %w", err)
		}
		drawings, err := r.StackImported(ctx, im, sel)
		if err != nil {
			return badInput(err)
		}
		return e.printDrawings(cmd, drawings)
	}
	res, err := r.RunImported(ctx, im)
	if err != nil {
		return err
	}
	notes = append(notes, im.Notes...)
	if cmd.Bool("trace") {
		err = e.printTrace(cmd, res, shown.Pick(res.Events))
	} else {
		err = render.ImportVerdict(e.stdout, cmd.Bool("json"), im, res, notes)
	}
	if err == nil && (res.Violation != nil || res.Killed != "" || len(im.Flaws) > 0) {
		return errFailed
	}
	return err
}

// importRunOptions reads the flags of --run.
func importRunOptions(cmd *cli.Command) (replay.ImportOptions, error) {
	opt := replay.ImportOptions{Entry: cmd.String("prog"), Limit: cmd.Uint32("limit")}
	var errs []error
	for _, s := range cmd.StringSlice("slot") {
		slot, err := replay.ParseSlot(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("--slot: %q: %w", s, err))
		}
		opt.Slots = append(opt.Slots, slot)
	}
	types := map[string]bpf.ProgType{"tc": bpf.SchedCLS, "xdp": bpf.XDP, "socket_filter": bpf.SocketFilter}
	var ok bool
	if opt.Type, ok = types[cmd.String("type")]; !ok {
		errs = append(errs, fmt.Errorf("--type: expected tc, xdp or socket_filter, found %q", cmd.String("type")))
	}
	if name := cmd.String("target"); name != "" {
		t, err := jit.TargetByName(name)
		if err != nil {
			errs = append(errs, fmt.Errorf("--target: %w", err))
		}
		opt.Target = t
	}
	if arg := cmd.String("packet"); arg != "" {
		packets, err := object.Packets(arg)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("--packet: %w", err))
		case len(packets) != 1:
			errs = append(errs, fmt.Errorf("--packet: expected one packet, found %d", len(packets)))
		case opt.Target == nil:
			errs = append(errs, errors.New("--packet: the layout of the context depends on the kernel: give --target"))
		default:
			opt.Packet = packets[0]
		}
	}
	return opt, errors.Join(errs...)
}
