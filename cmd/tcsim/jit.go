// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios/runner"
)

func (e env) jitCommand() *cli.Command {
	return &cli.Command{
		Name:      "jit",
		Usage:     "list the machine code of a scenario's programs",
		ArgsUsage: "SCENARIO|FILE.o",
		Description: "Shows each BPF instruction beside its x86 code, as the target's kernel emits it with empty prog\n" +
			"arrays. --diff shows two targets side by side, aligned by BPF instruction.\n\n" +
			"Examples:\n   tcsim jit hierarchy --target 6.12\n   tcsim jit hierarchy --diff 6.1,6.12\n\n" + exitCodesInHelp,
		Flags: []cli.Flag{
			targetFlag(true), limitFlag(), jsonFlag(), entryFlag(), fillFlag(), btfFlag(),
			&cli.StringSliceFlag{Name: "diff", Usage: "two targets, separated by a comma, to compare"},
			&cli.IntFlag{Name: "context", Value: -1, Usage: "with --diff, only so many BPF instructions around each difference"},
			&cli.BoolFlag{Name: "att", Usage: "AT&T text as scenario files expect it under jited"},
			&cli.StringFlag{Name: "program", Aliases: []string{"p"}, Usage: "only this program"},
		},
		Action: e.jit,
	}
}

func (e env) jit(_ context.Context, cmd *cli.Command) error {
	if cmd.NArg() != 1 {
		return badUsage("jit takes one scenario, found %d arguments (see tcsim jit --help)", cmd.NArg())
	}
	names := cmd.StringSlice("diff")
	switch len(names) {
	case 0:
		t, err := oneTarget(cmd)
		if err != nil {
			return err
		}
		names = []string{t.Name}
	case 2:
		if cmd.Bool("att") {
			return badUsage("--att and --diff exclude each other")
		}
	default:
		return badUsage("--diff takes two targets, found %d", len(names))
	}
	opt, err := objectOptions(cmd)
	if err != nil {
		return err
	}
	b, err := e.wholeInput(cmd.Args().First(), opt)
	if err != nil {
		return badInput(err)
	}
	ts, err := targets(names, cmd.Uint32("limit"))
	if err != nil {
		return err
	}
	var cs []*runner.Compiled
	var whole *runner.Compiled
	for _, t := range ts {
		c, err := runner.Compile(b, t)
		if err != nil {
			return badInput(err)
		}
		whole = c
		if c, err = onlyProgram(c, cmd.String("program")); err != nil {
			return err
		}
		cs = append(cs, c)
	}
	switch {
	case len(cs) == 2 && cmd.Bool("json"):
		return e.printJSON("jit", map[string]any{"targets": names, "differences": diffJSON(cs)})
	case len(cs) == 2:
		return e.jitDiff(cs, cmd.Int("context"))
	case cmd.Bool("att"):
		return e.jitATT(whole, cmd.String("program"))
	case cmd.Bool("json"):
		return e.printJSON("jit", map[string]any{"target": cs[0].Target.Name, "functions": listingJSON(cs[0])})
	}
	return e.jitText(cs[0])
}

// onlyProgram drops the images of other programs; "" keeps all.
func onlyProgram(c *runner.Compiled, name string) (*runner.Compiled, error) {
	if name == "" {
		return c, nil
	}
	for i := range c.Built.Programs {
		if c.Built.Programs[i].Name == name {
			one := *c
			one.Images = c.Images[i : i+1]
			return &one, nil
		}
	}
	return nil, badUsage("--program: scenario %s has no program %q", c.Built.Scenario.Name, name)
}

func (e env) jitText(c *runner.Compiled) error {
	for _, img := range c.Images {
		for i := range img.Funcs {
			if err := jit.WriteListing(e.stdout, &img.Funcs[i], img.Program); err != nil {
				return err
			}
			fmt.Fprintln(e.stdout)
		}
	}
	return nil
}

// jitATT prints functions as the kernel's selftests see them, with prog arrays filled.
func (e env) jitATT(c *runner.Compiled, program string) error {
	s, err := runner.Open(c, runner.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	for i, img := range c.Images {
		name := c.Built.Programs[i].Name
		if program != "" && program != name {
			continue
		}
		fmt.Fprintf(e.stdout, "# %s\n", name)
		for k := range img.Funcs {
			lines, err := s.ATT(i, k)
			if err != nil {
				return err
			}
			fmt.Fprintf(e.stdout, "func #%d:\n", k)
			for _, l := range lines {
				fmt.Fprintln(e.stdout, l)
			}
		}
	}
	return nil
}

// diffs compares each function of both compilations; nothing stands in for one that a target's
// verifier removed.
func diffs(cs []*runner.Compiled) []jit.FuncDiff {
	var out []jit.FuncDiff
	for i, img := range cs[0].Images {
		other := cs[1].Images[i]
		find := func(m *jit.Image, name string) *jit.FuncImage {
			for k := range m.Funcs {
				if m.Funcs[k].Name == name {
					return &m.Funcs[k]
				}
			}
			return &jit.FuncImage{Name: "-"}
		}
		var names []string
		for k := range img.Funcs {
			names = append(names, img.Funcs[k].Name)
		}
		for k := range other.Funcs {
			if n := other.Funcs[k].Name; !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
		for _, n := range names {
			a, b := find(img, n), find(other, n)
			d := jit.DiffPrograms(a, b, img.Program, other.Program)
			d.NameA, d.NameB = cs[0].Target.Name+" "+a.Name, cs[1].Target.Name+" "+b.Name
			out = append(out, d)
		}
	}
	return out
}

// jitDiff prints a comparison; context is how many BPF instructions around differences are shown, all if
// it is negative.
func (e env) jitDiff(cs []*runner.Compiled, context int) error {
	bytesA, bytesB, insnsA, insnsB := 0, 0, 0, 0
	for _, d := range diffs(cs) {
		bytesA += d.BytesA
		bytesB += d.BytesB
		insnsA += d.InsnsA
		insnsB += d.InsnsB
		if err := d.Write(e.stdout, context); err != nil {
			return err
		}
		fmt.Fprintln(e.stdout)
	}
	fmt.Fprintf(e.stdout, "all functions: %s %d bytes, %d instructions; %s %d bytes, %d instructions (%+d, %+d)\n",
		cs[0].Target.Name, bytesA, insnsA, cs[1].Target.Name, bytesB, insnsB, bytesB-bytesA, insnsB-insnsA)
	return nil
}

// listingFunc is one function in JSON.
type listingFunc struct {
	Name  string        `json:"name"`
	Addr  string        `json:"addr"`
	Size  int           `json:"size"`
	Lines []listingLine `json:"lines"`
}

type listingLine struct {
	Off   int    `json:"off"`
	Bytes string `json:"bytes"`
	X86   string `json:"x86"`
	Insn  int    `json:"insn"` // -1: none
	BPF   string `json:"bpf,omitempty"`
	Note  string `json:"note,omitempty"`
}

func listingJSON(c *runner.Compiled) []listingFunc {
	var out []listingFunc
	for _, img := range c.Images {
		for i := range img.Funcs {
			f := &img.Funcs[i]
			l := listingFunc{Name: f.Name, Addr: fmt.Sprintf("%#x", uint64(f.Addr)), Size: len(f.Code)}
			for _, x := range jit.Listing(f, img.Program) {
				l.Lines = append(l.Lines, listingLine{int(x.Off), hex.EncodeToString(x.Bytes), x.Text, int(x.Insn), x.BPF, x.Note})
			}
			out = append(out, l)
		}
	}
	return out
}

// diffFunc compares one function in JSON.
type diffFunc struct {
	Name   string   `json:"name"`
	Same   bool     `json:"same"`
	Bytes  [2]int   `json:"bytes"`
	Insns  [2]int   `json:"instructions"`
	Differ []string `json:"differ_in,omitempty"` // BPF instructions whose code differs
}

func diffJSON(cs []*runner.Compiled) []diffFunc {
	var out []diffFunc
	for _, d := range diffs(cs) {
		_, name, _ := strings.Cut(d.NameA, " ")
		if name == "-" {
			_, name, _ = strings.Cut(d.NameB, " ")
		}
		row := diffFunc{Name: name, Same: d.Same, Bytes: [2]int{d.BytesA, d.BytesB}, Insns: [2]int{d.InsnsA, d.InsnsB}}
		for _, g := range d.Groups {
			if g.Same {
				continue
			}
			row.Differ = append(row.Differ, g.Where())
		}
		out = append(out, row)
	}
	return out
}
