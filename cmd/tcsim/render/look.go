// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios/campaign"
)

// Look says how text is drawn. The zero value is text for mails: 100 columns, ASCII, no colours.
type Look struct {
	Width  int  // columns; 0 means Width
	Box    bool // lines instead of ASCII
	Colour bool
}

// Ink is a colour of the terminal's own palette.
type Ink string

// The inks.
const (
	Red    Ink = "31"
	Green  Ink = "32"
	Yellow Ink = "33"
	Cyan   Ink = "36"
	Strong Ink = "1"
)

// Paint colours text, which must be plain.
func (l Look) Paint(i Ink, text string) string {
	if !l.Colour || text == "" {
		return text
	}
	return "\x1b[" + string(i) + "m" + text + "\x1b[0m"
}

// painted are the only sequences that a Coloured writer lets through.
var painted = regexp.MustCompile(`\x1b\[(?:0|1|31|32|33|36)m`)

// Coloured is Printable for text that Paint has coloured. What came from elsewhere must have gone through Plain before.
func Coloured(w io.Writer) io.Writer { return colouring{w} }

type colouring struct{ w io.Writer }

func (c colouring) Write(b []byte) (int, error) {
	rest, n := string(b), len(b)
	var out strings.Builder
	for {
		at := painted.FindStringIndex(rest)
		if at == nil {
			out.WriteString(Plain(rest))
			break
		}
		out.WriteString(Plain(rest[:at[0]]) + rest[at[0]:at[1]])
		rest = rest[at[1]:]
	}
	if _, err := io.WriteString(c.w, out.String()); err != nil {
		return 0, err
	}
	return n, nil
}

// Picture draws a stack.
func (l Look) Picture(layout *stack.Layout, title string, all bool) string {
	o := stack.Options{Title: title, All: all, Width: l.Width, Box: l.Box}
	if l.Colour {
		layout, o.Title = plainLayout(layout), Plain(title)
		o.Paint = func(r stack.Role, s string) string {
			return l.Paint(map[stack.Role]Ink{stack.RoleRegister: Yellow, stack.RoleCounter: Strong, stack.RolePointer: Cyan}[r], s)
		}
	}
	return layout.Picture(o)
}

// plainLayout is a layout whose names cannot be obeyed.
func plainLayout(l *stack.Layout) *stack.Layout {
	out := *l
	out.Where, out.Caller = Plain(l.Where), Plain(l.Caller)
	out.Frames, out.Slots = slices.Clone(l.Frames), slices.Clone(l.Slots)
	for i := range out.Frames {
		f := &out.Frames[i]
		f.Func, f.From = Plain(f.Func), Plain(f.From)
	}
	for i := range out.Slots {
		s := &out.Slots[i]
		s.Label, s.Meaning = Plain(s.Label), Plain(s.Meaning)
	}
	return &out
}

// verdictInks are what verdicts look like at the end of a line, and the ink of each.
var verdictInks = []struct {
	re  *regexp.Regexp
	ink Ink
}{
	{regexp.MustCompile(`(?m)(^|\s)(ok|passes)$`), Green},
	{regexp.MustCompile(`(?m)(^|\s)(violates [a-z-]+ \(expected\))$`), Yellow},
	{regexp.MustCompile(`(?m)(^|\s)(violates [a-z-]+|JIT fails|refused|FAILS .*)$`), Red},
	{regexp.MustCompile(`(?m)(^|\s)(cannot be tested|not exhaustive|not reached|unsupported|[a-z ]*used up)$`), Yellow},
	{regexp.MustCompile(`(?m)(^\s*)(NOT AS EXPECTED|WRONG)`), Red},
}

// Verdicts colours the verdicts in text.
func (l Look) Verdicts(text string) string {
	if !l.Colour {
		return text
	}
	text = Plain(text)
	for _, v := range verdictInks {
		text = v.re.ReplaceAllString(text, "${1}"+l.Paint(v.ink, "${2}"))
	}
	return text
}

// Cells colours the codes of a matrix: red for what is not as expected, which ends with an exclamation mark, yellow
// for other codes.
func (l Look) Cells(text string) string {
	if !l.Colour {
		return text
	}
	var out strings.Builder
	for line := range strings.Lines(Plain(text)) {
		first := true
		out.WriteString(word.ReplaceAllStringFunc(line, func(w string) string {
			name := first
			first = false
			switch code := strings.TrimSuffix(w, "!"); {
			case name || !isCode(code):
				return w
			case code != w:
				return l.Paint(Red, w)
			}
			return l.Paint(Yellow, w)
		}))
	}
	return out.String()
}

var word = regexp.MustCompile(`\S+`)

// isCode reports whether a word is a code of a matrix that says that something is wrong.
func isCode(s string) bool {
	return slices.ContainsFunc(verdictCodes[2:], func(v struct {
		verdict campaign.Verdict
		code    string
		means   string
	}) bool {
		return v.code == s
	})
}

// ASCII is text without the arrows that the forms use.
func ASCII(text string) string { return strings.ReplaceAll(text, "→", "->") }

// eventInks colour the kinds of events.
var eventInks = []struct {
	re  *regexp.Regexp
	ink Ink
}{
	{regexp.MustCompile(`(?m)^( *\d+(?: +\d+)? )(tailcall)`), Cyan},
	{regexp.MustCompile(`(?m)^( *\d+(?: +\d+)? )(refused)`), Red},
	{regexp.MustCompile(`(?m)^( *\d+(?: +\d+)? )(poke)`), Yellow},
}

// Events colours the events of a trace.
func (l Look) Events(text string) string {
	if !l.Colour {
		return text
	}
	text = Plain(text)
	for _, v := range eventInks {
		text = v.re.ReplaceAllString(text, "${1}"+l.Paint(v.ink, "${2}"))
	}
	return text
}

// Diff prints a comparison of code.
func (l Look) Diff(w io.Writer, d *image.FuncDiff, context int) error {
	o := image.DiffOptions{Context: context, Width: l.Columns()}
	if l.Colour {
		d.NameA, d.NameB = Plain(d.NameA), Plain(d.NameB)
		for i := range d.Groups {
			d.Groups[i].BPF = Plain(d.Groups[i].BPF)
		}
		o.Paint = func(b bool, text string) string {
			if b {
				return l.Paint(Green, text)
			}
			return l.Paint(Red, text)
		}
	}
	return d.Print(w, o)
}

// Columns is how wide a line may be.
func (l Look) Columns() int {
	if l.Width == 0 {
		return Width
	}
	return l.Width
}
