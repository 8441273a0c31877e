// SPDX-License-Identifier: GPL-2.0-only

package source

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"github.com/tcsim/tcsim/jit/source/compiler"
	"github.com/tcsim/tcsim/jit/source/ktree"
	"os"
	"regexp"
	"slices"
	"strings"
)

// compile returns the object. A name that nothing declares is taken from the tree's headers; one that they do not
// have becomes one that stops the JIT when it is used, as functions do that nothing defines.
func (u *unit) compile(ctx context.Context) ([]byte, error) {
	b, err := u.compileWith(ctx, true)
	var msg *compiler.CompileError
	if errors.As(err, &msg) && len(u.found) > 0 { // what the headers have does not help
		u.found, u.traps = nil, nil
		if without, werr := u.compileWith(ctx, false); werr == nil {
			return without, nil
		}
	}
	return b, err
}

// compileWith compiles, each time with more names, until nothing is missing or nothing helps. The error is that of the
// first time. A function that stays open stops the JIT when it calls it.
func (u *unit) compileWith(ctx context.Context, lookUp bool) ([]byte, error) {
	const rounds = 12
	var good []byte
	var first error
	kept := *u
	for i := range rounds {
		b, err := u.compileOnce(ctx)
		if i == 0 {
			first = err
		}
		var msg *compiler.CompileError
		more := false
		switch {
		case err == nil:
			good, kept = b, *u
			more = lookUp && u.supplyFunctions(b)
		case errors.As(err, &msg):
			more = u.supply(missingNames(msg.Text), lookUp)
		default:
			return nil, err
		}
		if !more {
			break
		}
	}
	if good == nil {
		return nil, first
	}
	u.found, u.traps = kept.found, kept.traps
	return good, nil
}

// missing is a name that the compiler does not know.
type missing struct {
	name, into string // into is the structure that it should be a field of, "" for none
	isType     bool
}

// What gcc and clang say of a name that nothing declares, of a field, and of a structure.
var (
	undeclared  = regexp.MustCompile(`'(\w+)' undeclared|use of undeclared identifier '(\w+)'`)
	noType      = regexp.MustCompile(`unknown type name '(\w+)'`)
	noMember    = regexp.MustCompile(`'(?:const )?struct (\w+)'(?: \{aka [^}]*\})? has no member named '(\w+)'|no member named '(\w+)' in '(?:const )?struct (\w+)'`)
	noStructure = regexp.MustCompile(`(?:undefined|incomplete) type '(?:const )?(?:struct|union|enum) (\w+)'|incomplete definition of type '(?:const )?(?:struct|union) (\w+)'`)
)

func missingNames(text string) []missing {
	var out []missing
	for _, m := range undeclared.FindAllStringSubmatch(text, -1) {
		out = append(out, missing{name: m[1] + m[2]})
	}
	for _, m := range noType.FindAllStringSubmatch(text, -1) {
		out = append(out, missing{name: m[1], isType: true})
	}
	for _, m := range noMember.FindAllStringSubmatch(text, -1) {
		out = append(out, missing{name: m[2] + m[3], into: m[1] + m[4]})
	}
	for _, m := range noStructure.FindAllStringSubmatch(text, -1) {
		out = append(out, missing{name: m[1] + m[2], isType: true})
	}
	slices.SortFunc(out, func(a, b missing) int { return strings.Compare(a.into+"."+a.name, b.into+"."+b.name) })
	return slices.Compact(out)
}

// supply adds what is missing, as far as it can be had, and reports whether that is anything.
func (u *unit) supply(names []missing, lookUp bool) bool {
	more := false
	for _, m := range names {
		asked := regexp.MustCompile(`(?m)^[ \t]*#[ \t]*(?:if|elif).*\b` + m.name + `\b`)
		switch {
		case u.has(m):
		case lookUp && u.take(m):
			more = true
		case m.into == "" && !m.isType && !slices.Contains(u.traps, m.name) && !asked.Match(u.text):
			u.traps = append(u.traps, m.name)
			more = true
		}
	}
	return more
}

func (u *unit) has(m missing) bool {
	return slices.ContainsFunc(u.found, func(f ktree.Found) bool { return f.Name == m.name && f.Into == m.into })
}

// take adds what the headers say of a name, and of the structure that a field is one of.
func (u *unit) take(m missing) bool {
	if u.headers == nil {
		return false
	}
	look := func() (ktree.Found, bool) { return u.headers.Find(m.name) }
	if m.into != "" {
		if !u.extensible(m) {
			return false
		}
		look = func() (ktree.Found, bool) { return u.headers.Member(m.into, m.name) }
	}
	f, ok := look()
	if !ok {
		return false
	}
	u.found = append(u.found, f)
	if s := byValue.FindStringSubmatch(f.Text); m.into != "" && s != nil && !shimDefines(s[1]) && !u.has(missing{name: s[1]}) {
		u.take(missing{name: s[1]})
	}
	return true
}

// byValue is a field that is a structure.
var byValue = regexp.MustCompile(`^(?:struct|union|enum) (\w+)\s+\w+`)

// shimText is all that the shim declares.
var shimText = func() string {
	var b strings.Builder
	entries, _ := shim.ReadDir("shim")
	for _, e := range entries {
		text, _ := shim.ReadFile("shim/" + e.Name())
		b.Write(text)
	}
	return b.String()
}()

func shimDefines(structure string) bool {
	return regexp.MustCompile(`(?:struct|union|enum) ` + structure + ` \{`).MatchString(shimText)
}

// extensible reports whether the shim has a place for a further field of a structure. At which offset it is there is
// not where a kernel has it, so that code which asks for that cannot be run.
func (u *unit) extensible(m missing) bool {
	asks := regexp.MustCompile(`\boffsetof(?:end)?\(\s*struct ` + m.into + `,\s*` + m.name + `\b`)
	ours := m.into == "bpf_tramp_run_ctx" || m.into == "bpf_tail_call_run_ctx" // which is the last part of it that can be added to
	return strings.Contains(shimText, "TCSIM_MORE("+m.into+")") && (ours || !asks.Match(u.text))
}

// supplyFunctions adds the bodies, from the headers, of functions that an object leaves open.
func (u *unit) supplyFunctions(object []byte) bool {
	if u.headers == nil {
		return false
	}
	f, err := elf.NewFile(bytes.NewReader(object))
	if err != nil {
		return false
	}
	syms, _ := f.Symbols()
	more := false
	for _, s := range syms {
		known := regexp.MustCompile(`\b` + regexp.QuoteMeta(s.Name) + `\b`)
		if s.Section != elf.SHN_UNDEF || s.Name == "" || u.has(missing{name: s.Name}) || known.MatchString(shimText) {
			continue
		}
		more = u.take(missing{name: s.Name}) || more
	}
	return more
}

// compileOnce compiles the unit as it is.
func (u *unit) compileOnce(ctx context.Context) ([]byte, error) {
	args := slices.Clone(flags)
	if len(u.traps) > 0 {
		args = append(args, "-Wno-error=int-conversion")
	}
	return compiler.Run(ctx, u.shown, u.write, args)
}

// recipe is what was taken from headers or made a trap, a line each, so that the next time nothing has to fail first.
func (u *unit) recipe() []byte {
	var b bytes.Buffer
	for _, f := range u.found {
		fmt.Fprintf(&b, "take %s %s\n", f.Name, f.Into)
	}
	for _, n := range u.traps {
		fmt.Fprintf(&b, "trap %s\n", n)
	}
	return b.Bytes()
}

// follow does what a recipe says.
func (u *unit) follow(file string) {
	b, err := os.ReadFile(file)
	if err != nil {
		return
	}
	for line := range strings.Lines(string(b)) {
		switch w := strings.Fields(line); {
		case len(w) == 3 && w[0] == "take":
			if m := (missing{name: w[1], into: w[2]}); !u.has(m) {
				u.take(m)
			}
		case len(w) == 2 && w[0] == "take":
			if m := (missing{name: w[1]}); !u.has(m) {
				u.take(m)
			}
		case len(w) == 2 && w[0] == "trap":
			u.traps = append(u.traps, w[1])
		}
	}
}

// taken writes what headers have, in two parts: what structures need before the shim's own, and functions after them.
func (u *unit) taken(b *bytes.Buffer, functions bool) {
	for _, f := range slices.Backward(u.found) {
		isFunction := strings.HasPrefix(f.Text, "static")
		if f.Into == "" && isFunction == functions {
			fmt.Fprintf(b, "#line %s\n%s\n", lineOf(f.From), f.Text)
		}
	}
	if functions {
		return
	}
	fields := map[string]string{}
	for _, f := range u.found {
		if f.Into != "" {
			fields[f.Into] += " " + strings.Join(strings.Fields(f.Text), " ")
		}
	}
	for _, n := range sortedKeys(fields) {
		fmt.Fprintf(b, "#define TCSIM_HAS_MORE_%s\n#define TCSIM_MORE_%s %s\n", n, n, fields[n])
	}
}

// lineOf is a place for #line.
func lineOf(place string) string {
	at := strings.LastIndexByte(place, ':')
	return fmt.Sprintf("%s %q", place[at+1:], place[:at])
}

// notes says which fields nothing sets.
func (u *unit) notes() []string {
	var out []string
	for _, f := range u.found {
		if f.Into != "" && u.facts.Get("TCSIM_HAVE_HOOK") != "1" {
			out = append(out, fmt.Sprintf("%s: field %s of struct %s is 0 unless the C file sets it: other files of the kernel are not run (an extra file can define tcsim_before_jit)", f.From, f.Name, f.Into))
		}
	}
	return out
}
