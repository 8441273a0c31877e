// SPDX-License-Identifier: GPL-2.0-only

package svg_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/cmd/tcsim/svg"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/fixtures/golden"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/callgraph"
	"github.com/tcsim/tcsim/scenarios/files"
	"github.com/tcsim/tcsim/scenarios/object"
	"github.com/tcsim/tcsim/scenarios/runner"
	"github.com/tcsim/tcsim/scenarios/runner/runnertest"
)

// texts decodes a picture and returns its texts. It fails the test if that is no well-formed XML, or if something lies
// outside.
func texts(t *testing.T, picture string) []string {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(picture))
	d.Strict = true
	var out []string
	var width, height float64
	in := ""
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, picture)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			in = tok.Name.Local
			at := map[string]float64{}
			for _, a := range tok.Attr {
				v, err := strconv.ParseFloat(a.Value, 64)
				if err != nil {
					continue
				}
				if math.IsNaN(v) || math.IsInf(v, 0) {
					t.Errorf("%s: %s=%s", in, a.Name.Local, a.Value)
				}
				at[a.Name.Local] = v
			}
			if in == "svg" {
				width, height = at["width"], at["height"]
			}
			if at["x"] < 0 || at["y"] < 0 || at["x"]+at["width"] > width+0.5 && in != "svg" || at["y"]+at["height"] > height+0.5 && in != "svg" {
				t.Errorf("%s at %v is outside of %v by %v", in, at, width, height)
			}
			if in != "svg" && in != "title" && in != "style" && in != "rect" && in != "text" && in != "path" {
				t.Errorf("element %s", in)
			}
		case xml.EndElement:
			in = ""
		case xml.CharData:
			if in == "text" {
				out = append(out, string(tok))
			}
		}
	}
}

func drawn(t *testing.T, b *scenarios.Built, on, at string) []svg.Picture {
	t.Helper()
	s := runnertest.Opened(t, runnertest.Compiled(t, b, runnertest.Target(t, on)), runner.Options{})
	a, err := stack.ParseAt(at)
	if err != nil {
		t.Fatal(err)
	}
	ds, err := s.Stack(context.Background(), 1, a)
	if err != nil {
		t.Fatal(err)
	}
	var out []svg.Picture
	for _, d := range ds {
		out = append(out, svg.Picture{Title: b.Scenario.Name + " on " + on + ": " + d.Moment.Name, Layout: d.Layout})
	}
	return out
}

func stacks(t *testing.T, all bool, p []svg.Picture) string {
	t.Helper()
	var out bytes.Buffer
	if err := svg.Stacks(&out, all, p); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func traced(t *testing.T, b *scenarios.Built, on string, most int) string {
	t.Helper()
	s := runnertest.Opened(t, runnertest.Compiled(t, b, runnertest.Target(t, on)), runner.Options{})
	run, err := s.PlayTo(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	events := run.Events[:min(most, len(run.Events))]
	if err := svg.Trace(&out, fmt.Sprintf("%s on %s", b.Scenario.Name, on), run.Code, events, run.Ending()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func graph(t *testing.T, b *scenarios.Built, by svg.Layout) string {
	t.Helper()
	var out bytes.Buffer
	if err := svg.Graph(context.Background(), &out, callgraph.New(b, runnertest.Target(t, "6.12")), by); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestDocs makes the pictures of the documentation.
func TestDocs(t *testing.T) {
	b := runnertest.Build(t, "hierarchy")
	f, err := object.Open("../../../fixtures/objects/dispatcher.o", object.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dispatcher, err := f.Scenario(object.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, picture := range map[string]string{
		"stack": stacks(t, false, drawn(t, b, "6.12", "tailcall:2")),
		"trace": traced(t, b, "6.12", 9),
		"graph": graph(t, dispatcher, svg.BuiltIn),
	} {
		texts(t, picture)
		golden.Check(t, "../../../docs/"+name+".svg", picture)
	}
}

// TestLibrary draws every built-in scenario in every form.
func TestLibrary(t *testing.T) {
	names := files.Builtin()
	if testing.Short() {
		names = []string{"hierarchy", "tramp_context", "bug_stale_pointer"}
	}
	for _, name := range names {
		b := runnertest.Build(t, name)
		for _, on := range []string{"6.1", "6.12", "pop-nop-push"} {
			if _, err := runner.Compile(b, runnertest.Target(t, on)); err != nil {
				continue
			}
			texts(t, traced(t, b, on, 200))
			for _, all := range []bool{false, true} {
				texts(t, stacks(t, all, drawn(t, b, on, "deepest")))
			}
		}
		if g := graph(t, b, svg.BuiltIn); g != graph(t, b, svg.BuiltIn) {
			t.Errorf("%s: not the same again", name)
		} else {
			nodes(t, name, g)
		}
	}
}

// nodes expects the boxes of a graph not to lie on each other.
func nodes(t *testing.T, name, picture string) {
	t.Helper()
	texts(t, picture)
	type box struct{ x, y, w, h float64 }
	var boxes []box
	for l := range strings.Lines(picture) {
		var b box
		if n, _ := fmt.Sscanf(l, `<rect x="%f" y="%f" width="%f" height="%f"`, &b.x, &b.y, &b.w, &b.h); n == 4 {
			boxes = append(boxes, b)
		}
	}
	for i, a := range boxes {
		for _, b := range boxes[:i] {
			if a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h && b.y < a.y+a.h {
				t.Errorf("%s: boxes at %v and %v", name, a, b)
			}
		}
	}
	if len(boxes) == 0 {
		t.Errorf("%s: no boxes", name)
	}
}

// nasty is what no name should be.
const nasty = `</text><script>&"' ]]>` + "\x00\x1b[31m\u202e\xff"

// TestHostile expects names of any kind to be text.
func TestHostile(t *testing.T) {
	b := *runnertest.Build(t, "hierarchy")
	for i := range b.Programs {
		p := &b.Programs[i]
		p.Name += nasty
		for k := range p.Funcs {
			p.Funcs[k].Name += nasty
		}
		for k := range p.Maps {
			p.Maps[k].Name += nasty
		}
	}
	for i := range b.Maps {
		b.Maps[i].Name += nasty
	}
	const shown = `</text><script>&"' ]]>\x00\x1b[31m\u202e\xff`
	pictures := []string{stacks(t, true, drawn(t, &b, "6.12", "tailcall:2")), traced(t, &b, "6.12", 20), graph(t, &b, svg.BuiltIn)}
	if _, err := exec.LookPath("dot"); err == nil {
		pictures = append(pictures, graph(t, &b, svg.Dot))
	}
	for i, p := range pictures {
		if all := strings.Join(texts(t, p), "\n"); !strings.Contains(all, "entry"+shown) {
			t.Errorf("picture %d does not show the name:\n%s", i, all)
		}
	}
}

// TestDot compares what both layouts draw.
func TestDot(t *testing.T) {
	if _, err := exec.LookPath("dot"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no dot: .ci/setup-vm installs Graphviz")
		}
		t.Skip("no dot: apt-get install graphviz, or .ci/setup-vm")
	}
	for _, name := range []string{"hierarchy", "tailcall_6", "bug_stale_pointer"} {
		b := runnertest.Build(t, name)
		g := graph(t, b, svg.Dot)
		nodes(t, name, g)
		if a, b := len(texts(t, g)), len(texts(t, graph(t, b, svg.BuiltIn))); a != b {
			t.Errorf("%s: %d texts by dot, %d by the built-in layout", name, a, b)
		}
	}
	var out bytes.Buffer
	if err := svg.Graph(context.Background(), &out, &callgraph.Graph{}, "circle"); err == nil || !strings.Contains(err.Error(), "expected auto, dot or built-in") {
		t.Errorf("%v", err)
	}
}
