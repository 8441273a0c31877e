// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios/runner"
)

func (e env) jitCommand() *cli.Command {
	return &cli.Command{
		Name:      "jit",
		Usage:     "list the machine code of a scenario's programs",
		ArgsUsage: "SCENARIO",
		Description: "Shows each BPF instruction beside its x86 code, as the target's kernel emits it with empty prog\n" +
			"arrays. --diff shows two targets side by side, aligned by BPF instruction.\n\n" +
			"Examples:\n   tcsim jit hierarchy --target 6.12\n   tcsim jit hierarchy --diff 6.1,6.12\n\n" + exitCodesInHelp,
		Flags: []cli.Flag{
			targetFlag(true), limitFlag(), jsonFlag(),
			&cli.StringSliceFlag{Name: "diff", Usage: "two targets, separated by a comma, to compare"},
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
		names = []string{cmd.String("target")}
	case 2:
	default:
		return badUsage("--diff takes two targets, found %d", len(names))
	}
	bs, err := loadScenarios(cmd.Args().Slice())
	if err != nil {
		return err
	}
	ts, err := targets(names, cmd.Uint32("limit"))
	if err != nil {
		return err
	}
	var cs []*runner.Compiled
	for _, t := range ts {
		c, err := runner.Compile(bs[0], t)
		if err != nil {
			return badInput(err)
		}
		if c, err = onlyProgram(c, cmd.String("program")); err != nil {
			return err
		}
		cs = append(cs, c)
	}
	switch {
	case len(cs) == 2 && cmd.Bool("json"):
		return e.printJSON("jit", map[string]any{"targets": names, "differences": diffJSON(cs)})
	case len(cs) == 2:
		return e.jitDiff(cs)
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

// pairs calls f for each function of both compilations; a target may lack what the other has.
func pairs(cs []*runner.Compiled, f func(a, b *jit.FuncImage, p *jit.Program) error) error {
	for i, img := range cs[0].Images {
		other := cs[1].Images[i]
		for k := range min(len(img.Funcs), len(other.Funcs)) {
			if err := f(&img.Funcs[k], &other.Funcs[k], img.Program); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e env) jitDiff(cs []*runner.Compiled) error {
	bytesA, bytesB, insnsA, insnsB := 0, 0, 0, 0
	err := pairs(cs, func(a, b *jit.FuncImage, p *jit.Program) error {
		d := jit.DiffFuncs(a, b, p)
		d.NameA, d.NameB = cs[0].Target.Name+" "+a.Name, cs[1].Target.Name+" "+b.Name
		bytesA += d.BytesA
		bytesB += d.BytesB
		insnsA += d.InsnsA
		insnsB += d.InsnsB
		if err := d.Write(e.stdout, -1); err != nil {
			return err
		}
		_, err := fmt.Fprintln(e.stdout)
		return err
	})
	fmt.Fprintf(e.stdout, "all functions: %s %d bytes, %d instructions; %s %d bytes, %d instructions\n",
		cs[0].Target.Name, bytesA, insnsA, cs[1].Target.Name, bytesB, insnsB)
	return err
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
	_ = pairs(cs, func(a, b *jit.FuncImage, p *jit.Program) error {
		d := jit.DiffFuncs(a, b, p)
		row := diffFunc{Name: a.Name, Same: d.Same, Bytes: [2]int{d.BytesA, d.BytesB}, Insns: [2]int{d.InsnsA, d.InsnsB}}
		for _, g := range d.Groups {
			if g.Same {
				continue
			}
			where := "prologue"
			if g.Insn >= 0 {
				where = fmt.Sprintf("%d: %s", g.Insn, g.BPF)
			}
			row.Differ = append(row.Differ, where)
		}
		out = append(out, row)
		return nil
	})
	return out
}
