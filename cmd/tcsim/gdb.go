// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/inputs"

	"github.com/tcsim/tcsim/emu/gdb"
	"github.com/tcsim/tcsim/scenarios/debug"
	"github.com/tcsim/tcsim/scenarios/replay"
	"github.com/tcsim/tcsim/scenarios/runner"
)

func (e env) gdbCommand() *cli.Command {
	return &cli.Command{
		Name:      "gdb",
		Usage:     "debug a run with gdb or lldb, forward and back",
		ArgsUsage: "SCENARIO|CAPTURE",
		Description: "Serves the protocol of gdb for one run. In gdb, say\n\n" +
			"   target remote | tcsim gdb hierarchy --target 6.12 --stdio\n\n" +
			"and in lldb, for a server with --listen, gdb-remote PORT. monitor help lists what else can be\n" +
			"shown. A broken invariant stops the run as a signal; reverse-stepi and reverse-continue go back.\n" +
			"The run cannot be changed. --elf writes the code with symbols and line numbers, for debuggers and\n" +
			"objdump -d; next to it is the listing that the lines are of, FILE.lst. With --scenario the\n" +
			"argument is a capture.\n\n" +
			"Examples:\n   tcsim gdb hierarchy --target 6.12 --elf hierarchy.elf\n\n" + exitCodesInHelp,
		Flags: append(inputs.ObjectFlags(), targetFlag(true), limitFlag(), runFlag(), coreFlag(),
			&cli.StringFlag{Name: "scenario", Aliases: []string{"s"}, Usage: "captures: which of the scenarios that the kernel ran"},
			&cli.BoolFlag{Name: "traced", Usage: "captures: with all tracing programs of the scenario attached"},
			&cli.BoolFlag{Name: "stdio", Usage: "serve on standard input and output"},
			&cli.StringFlag{Name: "listen", Usage: "serve one client at a TCP address, such as :1234; without a host only this machine can connect"},
			&cli.StringFlag{Name: "elf", Usage: "write code, symbols and line numbers to this file, and the listing to FILE.lst"},
		),
		Action: e.gdb,
	}
}

func (e env) gdb(ctx context.Context, cmd *cli.Command) error {
	listen := cmd.String("listen")
	if cmd.Bool("stdio") == (listen != "") && (listen != "" || cmd.String("elf") == "") {
		return badUsage("gdb takes one of --stdio and --listen, or --elf alone")
	}
	w, opened, err := e.walk(ctx, cmd)
	if opened != nil {
		defer opened.Close()
	}
	if err != nil {
		return err
	}
	d, err := debug.New(w)
	if err != nil {
		return err
	}
	if file := cmd.String("elf"); file != "" {
		if err := d.WriteELF(file); err != nil {
			return badInput(fmt.Errorf("--elf: %w", err))
		}
	}
	switch {
	case cmd.Bool("stdio"):
		if f, ok := e.terminal.(*os.File); ok && f.Fd() == uintptr(syscall.Stderr) {
			if err := silence(); err != nil {
				return err
			}
		}
		return gdb.Serve(ctx, duplex{e.stdin, e.stdout}, d)
	case listen != "":
		return e.serveAt(ctx, listen, d)
	}
	return nil
}

// walk returns the run that a command line is about, and what closes it.
func (e env) walk(ctx context.Context, cmd *cli.Command) (w *runner.Walk, closer io.Closer, err error) {
	core, err := coreOf(cmd)
	if err != nil {
		return nil, nil, err
	}
	if cmd.String("scenario") == "" {
		s, err := e.openOne(cmd, core)
		if err != nil {
			return nil, nil, err
		}
		w, err = s.Walk(ctx, cmd.Int("run"))
		return w, s, badInput(err)
	}
	if cmd.NArg() != 1 {
		return nil, nil, badUsage("gdb takes one capture, found %d", cmd.NArg())
	}
	c, err := e.pickOne(cmd)
	if err != nil {
		return nil, nil, err
	}
	r, err := replay.New(runner.Options{Core: core})
	if err != nil {
		return nil, nil, err
	}
	w, err = r.Walk(ctx, c, cmd.Int("run"))
	return w, r, badInput(err)
}

// duplex is a connection of two streams.
type duplex struct {
	io.Reader
	io.Writer
}

// serveAt serves the first client that connects.
func (e env) serveAt(ctx context.Context, addr string, m gdb.Machine) error {
	if strings.HasPrefix(addr, ":") {
		addr = "localhost" + addr
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return badUsage("--listen: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	fmt.Fprintf(e.stderr, "listening at %s\n", l.Addr())
	c, err := l.Accept()
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer c.Close()
	_ = l.Close()
	return gdb.Serve(ctx, c, m)
}
