// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable returns a writer of text for people: what names from files, captures and guests could do to a
// terminal (control characters, text that changes its direction, bytes that are no UTF-8) comes out as escapes
// that are read, not obeyed. Line feeds and tabs stay. Close writes what is left of a character that was cut.
func Printable(w io.Writer) io.WriteCloser { return &printer{w: w} }

type printer struct {
	w    io.Writer
	rest []byte // the beginning of a character whose end has not come yet
}

func (p *printer) Write(b []byte) (int, error) {
	in := b
	if len(p.rest) > 0 {
		in = append(p.rest, b...)
		p.rest = nil
	}
	clean := true
	for _, c := range in {
		if c != '\n' && c != '\t' && (c < ' ' || c >= 0x7f) {
			clean = false
			break
		}
	}
	out := in
	if !clean {
		out = p.escape(in)
	}
	if _, err := p.w.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (p *printer) escape(in []byte) []byte {
	out := make([]byte, 0, len(in)+16)
	for len(in) > 0 {
		r, n := utf8.DecodeRune(in)
		switch {
		case r == utf8.RuneError && n == 1 && !utf8.FullRune(in):
			p.rest = append([]byte(nil), in...)
			return out
		case r == utf8.RuneError && n == 1:
			out = fmt.Appendf(out, `\x%02x`, in[0])
		case r == '\n' || r == '\t' || !harmful(r):
			out = append(out, in[:n]...)
		case r < 0x80:
			out = fmt.Appendf(out, `\x%02x`, r)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		in = in[n:]
	}
	return out
}

// harmful reports whether a terminal may obey a character instead of showing it: end a line with it, too.
func harmful(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
}

// Close implements io.Closer. It does not close the writer below.
func (p *printer) Close() error {
	rest := p.rest
	p.rest = nil
	for _, c := range rest {
		if _, err := fmt.Fprintf(p.w, `\x%02x`, c); err != nil {
			return err
		}
	}
	return nil
}

// Plain is text as Printable writes it.
func Plain(s string) string {
	var b strings.Builder
	p := Printable(&b)
	fmt.Fprint(p, s) // neither fails
	p.Close()
	return b.String()
}
