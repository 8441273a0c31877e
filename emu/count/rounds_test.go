// SPDX-License-Identifier: GPL-2.0-only

package count

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// loop is a program whose other function tail calls itself at the end of each round, until the comparison that a round
// makes is equal: the limit.
type loop struct{ setup, round string }

// program is the code of a loop, and where its tail call is.
func (l loop) program(t *testing.T) (code map[uint64][]byte, site image.TailCallSite, landing image.CodeOff) {
	t.Helper()
	main := slices.Concat([]byte{0x55, 0x48, 0x89, 0xe5}, unhex(t, l.setup), []byte{0xe8}) // push rbp; mov rbp, rsp; ...; call
	main = binary.LittleEndian.AppendUint32(main, uint32(otherAt-(codeAt+len(main)+4)))
	main = append(main, 0xc9, 0xc3)
	f := []byte{0xf3, 0x0f, 0x1e, 0xfa, 0x49, 0x89, 0xe7} // endbr64; mov r15, rsp
	landing = image.CodeOff(len(f))
	f = append(f, unhex(t, l.round)...)
	site = image.TailCallSite{Start: image.CodeOff(len(f)), Limit: image.CodeOff(len(f)), Bounds: -1, Null: -1, Map: -1}
	f = append(f, 0x0f, 0x84, 5, 0, 0, 0, 0xe9) // je over the jump; jmp to the landing
	site.Jump = image.CodeOff(len(f) - 1)
	f = binary.LittleEndian.AppendUint32(f, uint32(int(landing)-len(f)-4))
	site.End = image.CodeOff(len(f))
	return map[uint64][]byte{codeAt: main, otherAt: append(f, 0x4c, 0x89, 0xfc, 0xc3), helperAt: {0xc3}}, site, landing // mov rsp, r15; ret
}

const (
	sub1   = "48 83 2c 25 00 01 01 00 01"       // sub qword [wordsAt+0x100], 1
	add1   = "48 83 04 25 00 01 01 00 01"       // add qword [wordsAt+0x100], 1
	mem600 = "48 c7 04 25 00 01 01 00 58020000" // mov qword [wordsAt+0x100], 600
	other1 = "48 83 3c 25 00 02 01 00 01"       // cmp qword [wordsAt+0x200], 1
)

// helpers are n calls of the helper, and a comparison with 700 of what it returns.
func helpers(n int) string {
	s := ""
	for i := range n {
		s += "e8" + hex.EncodeToString(binary.LittleEndian.AppendUint32(nil, uint32(helperAt-(otherAt+7+5*i+5))))
	}
	return s + "48 3d bc020000"
}

// shifting moves seven words of memory down by one.
func shifting() string {
	s := ""
	for i := range 6 {
		s += fmt.Sprintf("48 8b 04 25 %02x 02 01 00 48 89 04 25 %02x 02 01 00", 8*i+8, 8*i)
	}
	return s
}

// TestRounds: a loop of tail calls ends after as many rounds as it does when it is executed, or is proven never to end.
func TestRounds(t *testing.T) {
	calls := 0
	changing := func(p *processor) { calls++; p.r.R[x86.RAX] = uint64(calls) }
	callHelper := func(before, after string) string { // at the landing, after what stands before it
		n := len(unhex(t, before))
		return before + "e8" + hex.EncodeToString(binary.LittleEndian.AppendUint32(nil, uint32(helperAt-(otherAt+7+n+5)))) + after
	}
	h := Helper{Name: "h", Regs: []x86.Reg{x86.RDI}}
	for _, row := range []struct {
		name string
		loop
		h       Helper
		does    func(p *processor)
		watch   uint64
		endless bool
		cut     bool   // there are more events in the proof
		state   string // of the proof
		events  string // of the proof
	}{
		{name: "a counter in memory", loop: loop{mem600, sub1}},
		{name: "a counter in a register", loop: loop{"48 c7 c1 58020000", "48 83 e9 01"}},
		{name: "a counter on the stack", loop: loop{"68 58020000", "48 83 6c 24 08 01"}},
		{name: "a counter on the stack by a pointer", loop: loop{"68 58020000 48 89 e7", "48 83 2f 01"}}, // mov rdi, rsp
		{name: "one byte of what changes", loop: loop{"", add1 + "80 3c 25 01 01 01 00 02"}},             // cmp byte [..+1], 2
		{name: "a stack that grows", loop: loop{mem600, "51" + sub1}},                                    // push rcx
		{name: "a pointer that moves", loop: loop{ // mov rdi, wordsAt+0x100; mov qword [rdi+8*600], 1; each round: add rdi, 8; cmp qword [rdi], 1
			"48 c7 c7 00 01 01 00 48 c7 87 c0120000 01000000", "48 83 c7 08 48 83 3f 01",
		}},
		{name: "words that move down", loop: loop{"48 c7 04 25 30 02 01 00 01000000", shifting() + other1}, watch: 1},
		{name: "words that move down, one looked at first", loop: loop{"48 c7 04 25 30 02 01 00 01000000", other1 + shifting()}, watch: 1},
		{name: "words that move down, a byte of one looked at", loop: loop{ // cmp byte [wordsAt+0x203], 1
			"48 c7 04 25 30 02 01 00 00000001", "80 3c 25 03 02 01 00 01" + shifting(),
		}, watch: 1},
		{name: "registers that move down", loop: loop{ // mov rcx, rdx; mov rdx, r8; mov r8, r9; mov r9, r10; cmp rcx, 1
			"49 c7 c2 01000000", "48 83 f9 01 48 89 d1 4c 89 c2 4d 89 c8 4d 89 d1",
		}, watch: 1},
		{name: "a helper that is another each time", loop: loop{"", callHelper("", "48 3d bc020000")}, h: Helper{Name: "h", Opaque: true}, does: changing},
		{name: "a helper of a counter", loop: loop{mem600, callHelper("48 8b 3c 25 00 01 01 00"+sub1, "48 85 c0")}, h: h, does: func(p *processor) {
			p.r.R[x86.RAX] = p.r.R[x86.RDI]
		}},

		{name: "nothing changes", loop: loop{"", other1}, endless: true, state: "[0x10200]:8 = 0x0", events: "tail call to f400000:f410000"},
		{name: "what changes is not looked at", loop: loop{"", add1 + other1}, endless: true, state: "[0x10200]:8 = 0x0", events: "tail call to f400000:f410000"},
		{name: "a register decides", loop: loop{"", "48 83 f9 01"}, endless: true, state: "rcx = 0x0", events: "tail call to f400000:f410000"}, // cmp rcx, 1
		{name: "a helper that is the same each time", loop: loop{"", callHelper("", "48 3d bc020000")}, h: Helper{Name: "h"}, does: func(p *processor) {
			p.r.R[x86.RAX] = 7
		}, endless: true, events: "helper h; tail call to f400000:f410000"},
		{name: "64 helpers in a round", loop: loop{"", helpers(63)}, h: Helper{Name: "h"}, endless: true,
			events: strings.Repeat("helper h; ", 63) + "tail call to f400000:f410000"},
		{name: "more than 64 events in a round", loop: loop{"", helpers(64)}, h: Helper{Name: "h"}, endless: true, cut: true,
			events: strings.TrimSuffix(strings.Repeat("helper h; ", 64), "; ")},
		{name: "the stack decides", loop: loop{"6a 00", "48 83 7c 24 08 01"}, endless: true, state: "[rsp+8]:8 = 0x0", events: "tail call to f400000:f410000"},
	} {
		t.Run(row.name, func(t *testing.T) {
			calls = 0
			code, site, landing := row.program(t)
			if row.does == nil {
				row.does = func(*processor) {}
			}
			want := &processor{code: code, mem: new(space), helper: row.does}
			e := want.execute(t, 30_000)
			if e.ended == row.endless {
				t.Fatalf("ended %v after %d instructions", e.ended, e.insns)
			}
			calls = 0
			p := &processor{code: code, mem: new(space), helper: row.does}
			cfg := p.config()
			f := &cfg.Images[0].Funcs[1]
			f.TailCalls, f.Frame.Landing = []image.TailCallSite{site}, landing
			cfg.WatchAfter, cfg.MaxSteps = row.watch, 100_000
			cfg.Helper = func(r *Regs) (Helper, bool) { return row.h, r.RIP == helperAt }
			res, err := Count(context.Background(), p, cfg)
			if err != nil {
				t.Fatal(err)
			}
			if !row.endless {
				p.same(t, want)
				if got := numbers(res); res.Endless != nil || got != e.String() {
					t.Errorf("%s, want %s; endless: %+v", got, e, res.Endless)
				}
				if n := res.RefusedLimit.Uint64(); n != 1 || res.RefusedBounds.Sign()+res.RefusedEmpty.Sign() != 0 {
					t.Errorf("%d refused by the limit", n)
				}
				return
			}
			if res.Endless == nil {
				t.Fatal("not found to be endless")
			}
			state := fmt.Sprintf("rsp = %#x", topAt-0x100-8*(3+strings.Count(row.setup, "6a 00")))
			if row.state != "" {
				state = row.state + "; " + state
			}
			en := res.Endless
			if got := strings.Join(en.State, "; "); got != state || strings.Join(en.Events, "; ") != row.events || en.Cut != row.cut {
				t.Errorf("state %s, want %s; events %q", got, state, en.Events)
			}
			if en.Function != "f400000:f410000" || en.Landing != otherAt+image.Addr(landing) || en.Tails.Int64() != 1 {
				t.Errorf("%+v", en)
			}
		})
	}
}

// TestUndecided: what the analysis cannot follow is no answer.
func TestUndecided(t *testing.T) {
	for name, code := range map[string]string{
		"a string instruction": "f3 a4", "32-bit addresses": "67 48 8b 07", "fs": "64 48 8b 07", "a trap": "0f 0b", "int3": "cc",
		"a vector register": "0f 28 c1", "a control register": "0f 20 c0", "flags of nobody": "74 00", "flags on the stack": "9c 58",
		"carry of nobody": "48 11 d0", "a bit beyond its operand": "48 0f a3 07", // bt [rdi], rax
	} {
		p := &processor{code: map[uint64][]byte{codeAt: append(unhex(t, code), 0xc3)}, mem: new(space)}
		if _, err := Count(context.Background(), p, p.config()); !errors.Is(err, ErrUndecided) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What is read must be there.
	for name, code := range map[string]string{"no memory": "48 8b 04 25 00 00 00 10", "no stack": "48 8b 84 24 00 00 10 00"} {
		p := &processor{code: map[uint64][]byte{codeAt: append(unhex(t, code), 0xc3)}, mem: new(space)}
		if _, err := Count(context.Background(), p, p.config()); err == nil || !strings.Contains(err.Error(), "no memory at") {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := &processor{code: map[uint64][]byte{codeAt: {0x90, 0xc3}}, mem: new(space)}
	cfg := p.config()
	p.r.RIP++
	if _, err := Count(context.Background(), p, cfg); err == nil || !strings.Contains(err.Error(), "is no function's entry") {
		t.Errorf("not at an entry: %v", err)
	}
}

// TestFlagsOfCalls: what a call leaves in the flags is no function of what there was before it.
func TestFlagsOfCalls(t *testing.T) {
	main := append(unhex(t, "48 83 f8 01 e8"), binary.LittleEndian.AppendUint32(nil, uint32(otherAt-(codeAt+9)))...) // cmp rax, 1; call
	for _, then := range []string{"74 00 c3", "0f 94 c0 c3"} {                                                       // je; sete al
		p := &processor{code: map[uint64][]byte{codeAt: append(main, unhex(t, then)...), otherAt: unhex(t, "48 83 f9 01 c3")}, mem: new(space)}
		if _, err := Count(context.Background(), p, p.config()); !errors.Is(err, ErrUndecided) {
			t.Errorf("%s: %v", then, err)
		}
	}
}

// TestOverlap: places overlap where they share a byte.
func TestOverlap(t *testing.T) {
	mem := func(kind locKind, at uint64, w uint8) loc { return loc{kind: kind, at: at, w: w} }
	for _, row := range []struct {
		a, b loc
		want bool
	}{
		{mem(locMem, 16, 8), mem(locMem, 16, 8), true}, {mem(locMem, 16, 8), mem(locMem, 24, 1), false}, {mem(locMem, 16, 8), mem(locMem, 23, 1), true},
		{mem(locMem, 16, 8), mem(locMem, 8, 8), false}, {mem(locMem, 16, 8), mem(locMem, 9, 8), true}, {mem(locMem, 16, 1), mem(locMem, 8, 16), true},
		{mem(locMem, 16, 8), mem(locStack, 16, 8), false}, {regLoc(x86.RAX), regLoc(x86.RAX), true}, {regLoc(x86.RAX), regLoc(x86.RCX), false},
	} {
		if row.a.overlap(row.b) != row.want || row.b.overlap(row.a) != row.want {
			t.Errorf("%v and %v: %v", row.a, row.b, !row.want)
		}
	}
}

// TestBounds: a count that needs just what it may is made, one that needs one more is not.
func TestBounds(t *testing.T) {
	code, h, does := randomProgram(5)
	count := func(change func(*Config)) (*Result, error) {
		p := &processor{code: code, mem: new(space), helper: does, gs: wordsAt}
		cfg := p.config()
		cfg.Helper = func(r *Regs) (Helper, bool) { return h, r.RIP == helperAt }
		change(&cfg)
		return Count(context.Background(), p, cfg)
	}
	free, err := count(func(*Config) {})
	if err != nil || free.Summaries < 2 || free.Bytes < 1000 {
		t.Fatalf("%v, %d summaries of %d bytes", err, free.Summaries, free.Bytes)
	}
	for name, set := range map[string]func(c *Config, less int){
		"steps":     func(c *Config, less int) { c.MaxSteps = free.Steps - uint64(less) },
		"summaries": func(c *Config, less int) { c.MaxSummaries = free.Summaries - less },
		"bytes":     func(c *Config, less int) { c.MaxBytes = free.Bytes - less },
	} {
		if got, err := count(func(c *Config) { set(c, 0) }); err != nil || numbers(got) != numbers(free) {
			t.Errorf("%s: as many as are needed: %v", name, err)
		}
		if _, err := count(func(c *Config) { set(c, 1) }); !errors.Is(err, ErrUndecided) {
			t.Errorf("%s: one less: %v", name, err)
		}
	}
}

// TestCancelled: a count ends with its context, and says why.
func TestCancelled(t *testing.T) {
	why := errors.New("no more time")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(why)
	// mov ecx, 10000; sub rcx, 1; jne
	p := &processor{code: map[uint64][]byte{codeAt: unhex(t, "b9 10270000 48 83 e9 01 75 fa c3")}, mem: new(space)}
	if _, err := Count(ctx, p, p.config()); !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
}

// TestMoments: a count that looks for a moment of a run ends there, with what was done until then, whatever it need
// not execute on the way.
func TestMoments(t *testing.T) {
	looked, skipped := 0, uint64(0)
	for seed := range uint64(30) {
		code, h, does := randomProgram(seed)
		truth := &processor{code: code, mem: new(space), helper: does, gs: wordsAt}
		e := truth.execute(t, 100_000)
		for k := int(seed) % 7; k < len(e.moments); k += 1 + len(e.moments)/25 {
			m := e.moments[k]
			skip, same := 0, 0
			for _, o := range e.moments[:k] {
				if o.at == m.at && slices.Equal(o.path, m.path) {
					if skip++; o.r == m.r && o.top == m.top {
						same++
					}
				}
			}
			for _, find := range []Moment{
				{Path: m.path, At: m.at, Skip: skip},
				{Path: m.path, At: m.at, Skip: same, Accept: func(r *Regs, load func(image.Addr, uint8) uint64) bool {
					v := load(image.Addr(m.r.R[x86.RSP]), 8)
					return *r == m.r && v == m.top
				}},
			} {
				p := &processor{code: code, mem: new(space), helper: does, gs: wordsAt}
				cfg := p.config()
				cfg.Helper = func(r *Regs) (Helper, bool) { return h, r.RIP == helperAt }
				cfg.Find = &find
				res, err := Count(context.Background(), p, cfg)
				if err != nil {
					t.Fatal(err)
				}
				if looked++; !res.Found || res.Insns.Uint64() != m.insns || res.Final != m.r {
					t.Fatalf("seed %d, skip %d %d of %v: moment %d of %d at %#x after %x: found %v after %d instructions, want %d",
						seed, skip, same, find.Accept == nil, k, len(e.moments), uint64(m.at), m.path, res.Found, res.Insns, m.insns)
				}
				skipped += res.Hits
			}
		}
	}
	if looked < 500 || skipped < 500 {
		t.Errorf("%d moments were looked for, %d calls not executed", looked, skipped)
	}
}
