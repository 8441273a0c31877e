// SPDX-License-Identifier: GPL-2.0-only

package jit_test

import (
	"bufio"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/x86"
)

//go:embed testdata/direct_poke.txt
var directPokeListings string

// attListing is a listing as a commit message has it.
type attListing struct {
	at    image.Addr // bpf_func, from its head
	lines []string   // in Intel syntax, as decoded code prints it: "2a: jbe 0x66"
}

// readListings reads sections headed "== name", with "at address" and lines of AT&T syntax.
func readListings(t *testing.T, text string) map[string]*attListing {
	t.Helper()
	all := map[string]*attListing{}
	var cur *attListing
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		line := s.Text()
		if name, ok := strings.CutPrefix(line, "== "); ok {
			cur = &attListing{}
			all[name] = cur
		} else if at, ok := strings.CutPrefix(line, "at "); ok {
			cur.at = image.Addr(unhex64(t, at))
		} else if line != "" && line[0] != '#' {
			off, insn, ok := strings.Cut(line, ": ")
			if !ok || cur == nil {
				t.Fatalf("bad line %q", line)
			}
			cur.lines = append(cur.lines, off+": "+intel(t, insn))
		}
	}
	return all
}

func unhex64(t *testing.T, s string) uint64 {
	t.Helper()
	v, err := strconv.ParseUint(strings.TrimPrefix(s, "0x"), 16, 64)
	must(t, err)
	return v
}

// suffixed are mnemonics to which AT&T syntax adds the size, or has another name for.
var suffixed = map[string]string{
	"nopl": "nop", "pushq": "push", "movabs": "mov", "callq": "call", "jmpq": "jmp", "retq": "ret", "leaveq": "leave",
}

// intel turns an instruction of AT&T syntax into how Inst.String prints it: operands the other way
// round, memory with its size.
func intel(t *testing.T, att string) string {
	t.Helper()
	op, args, _ := strings.Cut(att, " ")
	if s, ok := suffixed[op]; ok {
		op = s
	}
	var ops []string
	size := "qword ptr "
	if strings.Contains(args, "%e") || op == "nop" {
		size = "dword ptr "
	}
	for args != "" {
		n := strings.IndexByte(args, ',')
		if open := strings.IndexByte(args, '('); open >= 0 && open < n {
			n = strings.IndexByte(args, ')') + 1
		}
		if n < 0 || n >= len(args) {
			n = len(args)
		}
		ops = append([]string{intelOperand(t, args[:n], size)}, ops...)
		args = strings.TrimPrefix(args[n:], ",")
	}
	return strings.TrimSpace(op + " " + strings.Join(ops, ", "))
}

func intelOperand(t *testing.T, s, size string) string {
	t.Helper()
	switch {
	case s[0] == '%':
		return s[1:]
	case s[0] == '$':
		return s[1:]
	case !strings.Contains(s, "("):
		return fmt.Sprintf("%#x", unhex64(t, s))
	}
	disp, regs, _ := strings.Cut(strings.TrimSuffix(s, ")"), "(")
	parts := strings.Split(strings.ReplaceAll(regs, "%", ""), ",")
	text := parts[0]
	if len(parts) == 3 {
		text += "+" + parts[1] + "*" + parts[2]
	}
	switch {
	case disp == "" || disp == "0x0":
	case disp[0] == '-':
		text += disp
	default:
		text += "+" + disp
	}
	return size + "[" + text + "]"
}

// dumped prints code like the listings: as if it began at 0.
func dumped(t *testing.T, f *image.FuncImage) []string {
	t.Helper()
	var lines []string
	for off := 0; off < len(f.Code); {
		in, err := x86.Decode(f.Code[off:], image.Addr(off))
		must(t, err)
		lines = append(lines, fmt.Sprintf("%x: %s", off, in.String()))
		off += int(in.Len)
	}
	return lines
}

// seedEnv has the addresses of a listing.
type seedEnv struct {
	fixedEnv
	at, mapAddr image.Addr
}

func (e *seedEnv) Place(int, int, image.CodeOff) (image.Addr, error) { return e.at, nil }
func (e *seedEnv) MapAddr(int) (image.Addr, error)                   { return e.mapAddr, nil }

// directPokeProgram is the program of the listings: a tail call with key 0.
var directPokeProgram = &bpf.Program{
	Name: "p", Type: bpf.SchedCLS,
	Insns: []bpf.Insn{
		{Op: bpf.OpMov, Dst: 3},                             // r3 = 0
		{Op: bpf.OpLdImm64, Dst: 2, Src: bpf.PseudoMap}, {}, // r2 = map
		{Op: bpf.OpCall, Imm: bpf.HelperTailCall}, // call bpf_tail_call#12
		{Op: bpf.OpMov, Imm: 1},                   // r0 = 1
		{Op: bpf.OpExit},                          // exit
	},
	Funcs: []bpf.Func{{Name: "p"}},
	Maps:  []bpf.Map{{Name: "m", Type: bpf.ProgArray, KeySize: 4, ValueSize: 4, MaxEntries: 1}},
}

func compileListed(t *testing.T, target string, at, mapAddr image.Addr) *image.Image {
	t.Helper()
	tgt, err := jit.TargetByName(target)
	must(t, err)
	v, err := verify.Analyse(directPokeProgram, &tgt.Kernel)
	must(t, err)
	img, err := jit.Compile(v, tgt, &seedEnv{at: at, mapAddr: mapAddr})
	must(t, err)
	return img
}

// TestDirectPokeListings compiles the program of the commit message of 428d5df1fa4f, before the
// change and after it, puts programs into the slot and takes them out as the message does, and
// compares every instruction with its listings.
func TestDirectPokeListings(t *testing.T) {
	want := readListings(t, directPokeListings)
	if len(want) != 4 {
		t.Fatalf("%d listings", len(want))
	}
	compare := func(name string, img *image.Image) {
		t.Helper()
		if d := cmp.Diff(want[name].lines, dumped(t, &img.Funcs[0])); d != "" {
			t.Errorf("%s (-listing +compiled):\n%s", name, d)
		}
	}
	before := compileListed(t, "direct-poke-inline-nodirect", want["before"].at, 0xffff88d95cc82600)
	compare("before", before)

	// Jumps in the listings are relative to a dump at 0; these are the landings they go to.
	at := want["after JIT"].at
	first, second := at+0xfffffffffffd1785, at+0xffffffffffb09f55
	for _, target := range []string{"direct-poke", "direct-poke-inline"} {
		img := compileListed(t, target, at, 0xffff9d8afd74c000)
		sites := img.PokeSites(0, 0)
		apply := func(plan []image.Patch, err error) {
			t.Helper()
			must(t, err)
			must(t, image.ApplyPatches(plan, img))
		}
		apply(named(t, target).LoadPlan(sites, []image.Addr{first}))
		compare("after JIT", img)
		apply(named(t, target).UpdatePlan(sites, first, second))
		compare("after map update (target prog)", img)
		apply(named(t, target).UpdatePlan(sites, second, 0))
		compare("after map update (no prog)", img)
	}
}
