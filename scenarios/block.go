// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/tcsim/tcsim/scenarios/asm"
)

// Asm is BPF assembly in the syntax of the verifier log, bpftool and clang: one instruction per
// line, labels end with a colon, comments start with ';', "//" or "# ". The zero value is no text.
type Asm struct {
	Text string
	Pos  Pos // of the first character of Text
}

func (x *Asm) decodeNode(d *decoder, n ast.Node) {
	x.Text, x.Pos = d.block(n, "assembly text")
	if strings.TrimSpace(x.Text) != "" {
		_, errs := asm.Assemble(x.Text, x.Pos)
		for _, e := range errs {
			d.failf(e.Pos, "%s", e.Msg)
		}
	}
}

// block returns the text of a block after '|', or of a word, and where its first character is. What
// it is called is for messages.
func (d *decoder) block(n ast.Node, what string) (string, Pos) {
	lit, block := n.(*ast.LiteralNode)
	if !block {
		s, ok := d.scalar(n, what)
		p := nodePos(n)
		if !ok {
			return "", p
		}
		if strings.Contains(s, "\n") {
			d.failf(p, "expected a block of text after '|', found a quoted string of several lines")
			return "", p
		}
		return s, p
	}
	if lit.Start.Type == token.FoldedType {
		d.failf(nodePos(n), "expected a block of text after '|', found one after '>', which joins lines")
		return "", nodePos(n)
	}
	// Take the lines as they stand in the file, so that columns are true.
	from := lit.Start.Position.Line
	to := from + 1 + strings.Count(strings.TrimRight(lit.Value.Value, "\n"), "\n")
	to = min(to, len(d.lines))
	return strings.Join(d.lines[min(from, to):to], "\n"), Pos{Line: from + 1, Col: 1}
}
