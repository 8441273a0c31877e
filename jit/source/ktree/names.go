// SPDX-License-Identifier: GPL-2.0-only

package ktree

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A patch can add to headers what its C file uses: fields, constants, macros, small functions. Where the compiler
// does not know a name, the headers of the tree are asked for it.

// nameHeaders are those that are looked at, in this order.
var nameHeaders = []string{
	"arch/x86/net/bpf_jit.h", "include/linux/filter.h", "include/linux/bpf.h", "include/linux/bpf_verifier.h", "include/uapi/linux/bpf.h",
	"arch/x86/include/asm/text-patching.h", "arch/x86/include/asm/nospec-branch.h", "arch/x86/include/asm/nops.h",
	"arch/x86/include/asm/ibt.h", "arch/x86/include/asm/cfi.h",
}

// headers are the texts of a tree's headers, read when they are needed.
type Headers struct {
	tree Tree
	text map[string]string // without comments; "" for one that is not there
	used map[string]bool
}

func NewHeaders(tree Tree) *Headers {
	return &Headers{tree: tree, text: map[string]string{}, used: map[string]bool{}}
}

var comments = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)

// read returns a header with every comment replaced by its line breaks.
func (h *Headers) read(name string) string {
	text, known := h.text[name]
	if known || h.tree == nil {
		return text
	}
	b, err := h.tree.ReadFile(name)
	if err == nil {
		text = comments.ReplaceAllStringFunc(string(b), func(c string) string { return " " + strings.Repeat("\n", strings.Count(c, "\n")) })
	}
	h.text[name] = text
	return text
}

// found is what a header says of a name, as C.
type Found struct {
	Text string
	Into string // the structure that it is a member of, "" if none
	Name string
	From string // file:line
}

// search asks every header.
func (h *Headers) search(look func(text string) (c string, at int)) (string, string) {
	for _, name := range nameHeaders {
		text := h.read(name)
		if text == "" {
			continue
		}
		if c, at := look(text); c != "" {
			return c, fmt.Sprintf("%s:%d", h.tree.Shown(name), 1+strings.Count(text[:at], "\n"))
		}
	}
	return "", ""
}

// find looks for what a header defines a name as: a macro, an enumeration, a structure, a type or a function with a body.
func (h *Headers) Find(name string) (Found, bool) {
	q := regexp.QuoteMeta(name)
	macro := regexp.MustCompile(`(?m)^[ \t]*#[ \t]*define[ \t]+` + q + `\b(?:[^\n]*\\\n)*[^\n]*`)
	inline := regexp.MustCompile(`(?m)^static (?:__always_inline|inline|__always_inline inline|inline __always_inline)[^;{}()#]*\b` + q + `\([^;{}]*\)\s*\{`)
	structure := regexp.MustCompile(`(?m)^(?:struct|union) ` + q + ` \{`)
	typed := regexp.MustCompile(`(?m)^typedef\b[^;{}]*\b` + q + `\b[^;{}]*;`)
	c, from := h.search(func(text string) (string, int) {
		if m := macro.FindStringIndex(text); m != nil {
			return text[m[0]:m[1]], m[0]
		}
		if m := inline.FindStringIndex(text); m != nil {
			return text[m[0]:block(text, m[1]-1)], m[0]
		}
		if m := structure.FindStringIndex(text); m != nil {
			return text[m[0]:block(text, m[1]-1)] + ";", m[0]
		}
		if m := typed.FindStringIndex(text); m != nil {
			return text[m[0]:m[1]], m[0]
		}
		return constant(text, name)
	})
	return Found{Text: c, Name: name, From: from}, c != ""
}

// block returns the end of the block that begins with the brace at a place.
func block(text string, at int) int {
	depth := 0
	for i := at; i < len(text); i++ {
		switch text[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(text)
}

var enumeration = regexp.MustCompile(`\benum\b[^;{}()]*\{`)

// constant defines a constant of an enumeration as a macro, by the last one before it that has a value.
func constant(text, name string) (string, int) {
	for _, m := range enumeration.FindAllStringIndex(text, -1) {
		end := block(text, m[1]-1)
		body := text[m[1] : end-1]
		if !strings.Contains(body, name) || strings.Contains(body, "#") {
			continue
		}
		base, past := "0", 0
		for _, e := range strings.Split(body, ",") {
			n, value, has := strings.Cut(strings.TrimSpace(e), "=")
			if has {
				base, past = strings.TrimSpace(value), 0
			}
			if strings.TrimSpace(n) == name {
				return fmt.Sprintf("#define %s ((%s) + %d)", name, base, past), m[0] + strings.Index(text[m[0]:], name)
			}
			past++
		}
	}
	return "", 0
}

// member looks for a field of a structure.
func (h *Headers) Member(structure, field string) (Found, bool) {
	start := regexp.MustCompile(`(?m)^struct ` + regexp.QuoteMeta(structure) + ` \{`)
	isField := regexp.MustCompile(`\b` + regexp.QuoteMeta(field) + `\b\s*(?:\[[^\]]*\]\s*)*(?::\s*\d+\s*)?$`)
	c, from := h.search(func(text string) (string, int) {
		m := start.FindStringIndex(text)
		if m == nil {
			return "", 0
		}
		at := m[1]
		body := text[at : block(text, m[1]-1)-1]
		for _, d := range strings.FieldsFunc(body, func(r rune) bool { return r == ';' || r == '{' || r == '}' }) {
			base, first := declared(d)
			for i, one := range strings.Split(d, ",") {
				if !isField.MatchString(strings.TrimSpace(one)) {
					continue
				}
				if i > 0 {
					one = base + " " + strings.TrimSpace(one)
				} else {
					one = first
				}
				return one + ";", at + strings.Index(body, field)
			}
		}
		return "", 0
	})
	return Found{Text: c, Into: structure, Name: field, From: from}, c != ""
}

// declared splits a declaration into its type, without the stars of the first declarator, and its first declarator.
func declared(d string) (base, first string) {
	lines := strings.Split(strings.TrimSpace(d), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(strings.TrimSpace(l), "#") })
	first, _, _ = strings.Cut(strings.Join(lines, " "), ",")
	base = strings.TrimRight(first, " \t")
	base = base[:strings.LastIndexAny(base, " \t*")+1]
	return strings.TrimRight(base, " \t*"), strings.TrimSpace(first)
}
