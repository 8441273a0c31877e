// SPDX-License-Identifier: GPL-2.0-only

package inputs

import (
	"fmt"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/object"
)

// ObjectFlags say what to run of an object file.
func ObjectFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "entry", Usage: "object files: section or name of the program to run, instead of the one that no prog array holds"},
		&cli.StringFlag{Name: "packet", Usage: "object files: a pcap or pcapng file, whose packets are run one after the other, or one packet in hex"},
		&cli.StringFlag{Name: "ctx", Usage: "object files: the context of a program that sees no packets, in hex or a file: arguments of a traced function, registers …"},
		fillFlag(), attachFlag(), btfFlag(), typeFlag(), attachTypeFlag(), mapFlag(), mapOfFlag(), setFlag(),
	}
}

func typeFlag() cli.Flag {
	return &cli.StringFlag{Name: "type", Usage: "object files: type of the programs whose section says none, such as kprobe"}
}

func attachTypeFlag() cli.Flag {
	return &cli.StringFlag{Name: "attach-type", Usage: "object files: expected attach type of the programs whose section says none, such as cgroup_inet_egress"}
}

func attachFlag() cli.Flag {
	return &cli.StringFlag{Name: "attach-to", Usage: "object files: where fentry, fexit and freplace programs of the file are attached, as PROGRAM[:FUNCTION]"}
}

func mapFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "map", Usage: "object files: a map that user space sizes, as MAP.max_entries=N, or that programs are to use another in place of, as MAP=OTHER"}
}

func mapOfFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "map-of", Usage: "object files: another one, loaded before, whose maps are used in place of those of the same name"}
}

func setFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "set", Usage: "object files: a global variable that user space sets, as VARIABLE=NUMBER"}
}

// Standard is the argument that means standard input.
const Standard = "-"

func badUsage(format string, args ...any) error { return Bad(fmt.Errorf(format, args...)) }

// readOptions reads the flags that say how an object file is prepared, as far as the command has them.
func readOptions(cmd *cli.Command) object.ReadOptions {
	return object.ReadOptions{
		BTF: cmd.String("btf"), Type: cmd.String("type"), AttachType: cmd.String("attach-type"), Maps: cmd.StringSlice("map"), MapOf: cmd.StringSlice("map-of"), Set: cmd.StringSlice("set"),
	}
}

// LoadFlags say what to load of an object file that is not run.
func LoadFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "entry", Usage: "object files: section or name of the entry; only what it reaches is loaded"},
		fillFlag(), btfFlag(), typeFlag(), mapFlag(), mapOfFlag(), setFlag(),
	}
}

func fillFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "fill", Usage: "object files: a slot that user space fills, as MAP[KEY]=PROGRAM"}
}

func btfFlag() cli.Flag {
	return &cli.StringFlag{Name: "btf", Usage: "object files: a kernel's types for CO-RE, as in /sys/kernel/btf/vmlinux, instead of the file's own"}
}

// ExpectFlags say what the runs of an object file must give.
func ExpectFlags() []cli.Flag {
	return []cli.Flag{
		&cli.Int64Flag{Name: "return", Usage: "object files: what every run must return"},
		&cli.Int64Flag{Name: "taken", Usage: "object files: how many tail calls every run must take"},
	}
}

// ofObjects reports whether an argument means object files only.
func ofObjects(arg string) bool {
	found, err := Expand(arg, ScenarioFiles)
	return err == nil && !slices.ContainsFunc(found, func(f string) bool { return !object.IsFile(f) })
}

// ObjectOptions reads the flags of ObjectFlags and ExpectFlags, as far as the command has them.
func ObjectOptions(cmd *cli.Command) (object.Options, error) {
	opt := object.Options{Entry: cmd.String("entry"), Fill: cmd.StringSlice("fill"), AttachTo: cmd.String("attach-to"), Read: readOptions(cmd)}
	if arg := cmd.String("packet"); arg != "" {
		p, err := object.Packets(arg)
		if err != nil {
			return opt, badUsage("--packet: %w", err)
		}
		opt.Packets = p
	}
	if arg := cmd.String("ctx"); arg != "" {
		c, err := object.Contexts(arg)
		if err != nil {
			return opt, badUsage("--ctx: %w", err)
		}
		if opt.Packets != nil {
			return opt, badUsage("--ctx and --packet exclude each other")
		}
		opt.Contexts = c
	}
	expect := func(flag string) *scenarios.Int {
		if !cmd.IsSet(flag) {
			return nil
		}
		if opt.Expect == nil {
			opt.Expect = &scenarios.Expect{}
		}
		return &scenarios.Int{V: cmd.Int64(flag)}
	}
	ret, taken := expect("return"), expect("taken")
	if opt.Expect != nil {
		opt.Expect.Return, opt.Expect.Taken = ret, taken
	}
	for _, flag := range []string{"entry", "packet", "ctx", "fill", "attach-to", "btf", "type", "attach-type", "map", "map-of", "set", "return", "taken"} {
		if !cmd.IsSet(flag) {
			continue
		}
		for _, a := range cmd.Args().Slice() {
			if a != Standard && !object.IsFile(a) && !ofObjects(a) {
				return opt, badUsage("--%s is for object files, and %s is a scenario, which says it itself", flag, a)
			}
		}
	}
	return opt, nil
}
