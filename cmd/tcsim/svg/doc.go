// SPDX-License-Identifier: GPL-2.0-only

// Package svg makes SVG pictures of stacks, runs and call graphs, for slides, mails and pages. A picture is one
// file that loads nothing: text stays text, and it follows a reader's dark mode where the viewer does.
//
//	err := svg.Stacks(w, false, []svg.Picture{{Title: "tailcall 2", Layout: layout}})
//
// Whatever a name holds, the picture is well-formed XML. The same input gives the same bytes. The package decides nothing: what
// is drawn comes from emu/stack, emu/trace and scenarios/callgraph.
package svg
