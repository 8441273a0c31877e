// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/cmd/tcsim/svg"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/outfile"
	"github.com/tcsim/tcsim/scenarios/callgraph"
	"github.com/tcsim/tcsim/scenarios/runner"
)

func svgFlag() cli.Flag {
	return &cli.StringFlag{Name: "svg", Usage: "instead, write a picture to this file, or to standard output for -"}
}

func layoutFlag() cli.Flag {
	return &cli.StringFlag{Name: "layout", Value: string(svg.Auto), Usage: "with --svg, who places the programs: dot (Graphviz), built-in, or auto: dot where it is installed"}
}

// saveSVG writes a picture to the file that --svg names.
func (e env) saveSVG(cmd *cli.Command, picture func(io.Writer) error) error {
	if cmd.String("svg") == "-" {
		return picture(e.stdout)
	}
	var text bytes.Buffer
	if err := picture(&text); err != nil {
		return err
	}
	return badInput(outfile.Write(cmd.String("svg"), text.Bytes()))
}

func (e env) svgStacks(cmd *cli.Command, drawings []runner.Drawing) error {
	var pictures []svg.Picture
	for i := range drawings {
		pictures = append(pictures, svg.Picture{Title: render.StackTitle(&drawings[i]), Layout: drawings[i].Layout})
	}
	return e.saveSVG(cmd, func(w io.Writer) error { return svg.Stacks(w, cmd.Bool("all"), pictures) })
}

func (e env) svgTrace(cmd *cli.Command, run *runner.Run, events []trace.Event) error {
	title := fmt.Sprintf("%s: %s of %d", run.Program, render.Plural(len(events), "event"), len(run.Events))
	return e.saveSVG(cmd, func(w io.Writer) error { return svg.Trace(w, title, run.Code, events, run.Ending()) })
}

func (e env) svgGraph(ctx context.Context, cmd *cli.Command, g *callgraph.Graph) error {
	by := svg.Layout(cmd.String("layout"))
	return e.saveSVG(cmd, func(w io.Writer) error { return badInput(svg.Graph(ctx, w, g, by)) })
}
