// SPDX-License-Identifier: GPL-2.0-only

package ktree

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/source/compiler"
)

//go:embed layout.h
var layoutHeader []byte

// A layout is where fields are that code of programs refers to, found by having the compiler lay out the
// tree's own declarations of the structures. Types that stand elsewhere are stand-ins of the same size
// (layout.h).
type layout struct {
	Offsets kernels.Offsets
	From    map[string]string // macro to file:line of the structure
}

// layoutFields are the fields, with the macro that takes the offset. The structures are in one of the headers,
// in an order in which each is complete before it is used.
var layoutFields = []struct{ structure, field, macro string }{
	{"bpf_map", "max_entries", "TCSIM_MAX_ENTRIES"},
	{"bpf_array", "ptrs", "TCSIM_PTRS"},
	{"bpf_prog", "bpf_func", "TCSIM_BPF_FUNC"},
}

var layoutHeaders = []string{"include/linux/bpf.h", "include/linux/filter.h"}

// errNoLayout says that the tree does not show where the fields are.
var ErrNoLayout = errors.New("the headers do not show the structures")

// readLayout finds the layout of a tree; config are the options that its structures depend on.
func ReadLayout(ctx context.Context, tree Tree, config []Fact, cache string) (*layout, error) {
	texts := map[string][]byte{}
	for _, h := range layoutHeaders {
		if b, err := tree.ReadFile(h); err == nil {
			texts[h] = b
		}
	}
	l := &layout{From: map[string]string{}}
	var body strings.Builder
	for _, f := range layoutFields {
		text := ""
		for _, h := range layoutHeaders {
			s, line := structText(texts[h], f.structure)
			if s != "" {
				text, l.From[f.macro] = s, fmt.Sprintf("%s:%d", tree.Shown(h), line)
				break
			}
		}
		if text == "" {
			return nil, ErrNoLayout
		}
		body.WriteString(text + ";\n")
	}
	sizes, err := layoutSizes(ctx, probeText(body.String(), config), cache)
	if err != nil {
		return nil, err
	}
	l.Offsets = kernels.Offsets{
		MapMaxEntries: sizes["TCSIM_MAX_ENTRIES"], ArrayPtrs: sizes["TCSIM_PTRS"], ProgBPFFunc: sizes["TCSIM_BPF_FUNC"],
	}
	return l, nil
}

// structText returns the definition of a structure, without what follows the closing brace, and its line.
func structText(text []byte, name string) (string, int) {
	at := regexp.MustCompile(`(?m)^struct ` + name + ` \{`).FindIndex(text)
	if at == nil {
		return "", 0
	}
	depth := 0
	for i := at[1] - 1; i < len(text); i++ {
		switch text[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return string(text[at[0] : i+1]), 1 + bytes.Count(text[:at[0]], []byte("\n"))
			}
		}
	}
	return "", 0
}

var enumName = regexp.MustCompile(`\benum (\w+)`)

// probeText is a C file that has a variable for each field, one byte larger than its offset.
func probeText(structs string, config []Fact) []byte {
	var b bytes.Buffer
	for _, f := range config {
		f.Define(&b)
	}
	b.Write(layoutHeader)
	enums := map[string]bool{}
	for _, m := range enumName.FindAllStringSubmatch(structs, -1) {
		enums[m[1]] = true
	}
	names := make([]string, 0, len(enums))
	for n := range enums {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		fmt.Fprintf(&b, "enum %s { tcsim_%s };\n", n, n)
	}
	b.WriteString(structs)
	for _, f := range layoutFields {
		fmt.Fprintf(&b, "char %s[__builtin_offsetof(struct %s, %s) + 1];\n", f.macro, f.structure, f.field)
	}
	return b.Bytes()
}

// layoutSizes compiles the file and reads the sizes, or what was kept of that.
func layoutSizes(ctx context.Context, text []byte, cache string) (map[string]int32, error) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		return nil, compiler.ErrNoCompiler
	}
	sum := sha256.Sum256(append([]byte(compiler.ID(cc)+"\n"), text...))
	kept := filepath.Join(cache, hex.EncodeToString(sum[:])+".layout")
	if cache != "" {
		if b, err := os.ReadFile(kept); err == nil {
			if sizes, ok := parseSizes(string(b)); ok {
				return sizes, nil
			}
		}
	}
	obj, err := compiler.Run(ctx, "the structures of the headers", func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "unit.c"), text, 0o600)
	}, nil)
	if err != nil {
		return nil, err
	}
	f, err := elf.NewFile(bytes.NewReader(obj))
	if err != nil {
		return nil, err
	}
	syms, err := f.Symbols()
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for _, s := range syms {
		if strings.HasPrefix(s.Name, "TCSIM_") {
			fmt.Fprintf(&b, "%s %d\n", s.Name, s.Size-1)
		}
	}
	sizes, ok := parseSizes(b.String())
	if !ok {
		return nil, ErrNoLayout
	}
	if cache != "" {
		compiler.Store(kept, []byte(b.String()))
	}
	return sizes, nil
}

// parseSizes reads lines of a name and a number: one for each field.
func parseSizes(text string) (map[string]int32, bool) {
	out := map[string]int32{}
	for line := range strings.Lines(text) {
		name, n, _ := strings.Cut(strings.TrimSpace(line), " ")
		v, err := strconv.ParseInt(n, 10, 32)
		if err != nil || v < 0 || v > 1<<16 {
			return nil, false
		}
		out[name] = int32(v)
	}
	for _, f := range layoutFields {
		if _, ok := out[f.macro]; !ok {
			return nil, false
		}
	}
	return out, len(out) == len(layoutFields)
}
