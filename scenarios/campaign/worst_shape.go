// SPDX-License-Identifier: GPL-2.0-only

package campaign

import (
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/scenarios"
)

// Shape is a program that tail calls itself from the end of a chain of calls: what its callers use of
// the stack stays at each tail call.
type Shape struct {
	// Callers is the number of functions above the one that makes the tail call, which stay.
	Callers int `json:"callers"`
	// First is the BPF stack of the entry function, Other that of each other caller, Last that of the
	// function with the tail call, in bytes. Last is the entry's if there are no callers.
	First int `json:"first"`
	Other int `json:"other"`
	Last  int `json:"last"`
	// Saved is how many of r6 to r9 each function uses.
	Saved int `json:"saved"`
	// Throws says that the entry function may throw an exception, so that it saves all registers, r12 too.
	Throws bool `json:"throws,omitempty"`
	// Arena says that the program has an arena, so that each frame saves r12 (6.9 and later).
	Arena bool `json:"arena,omitempty"`
	// Counted says that each function has a may_goto, whose counter of 8 bytes, 16 with a time (6.15 and later), lies
	// below the stack that the verifier has measured (do_misc_fixups, kernel/bpf/verifier.c).
	Counted bool `json:"counted,omitempty"`
	// Looped says that each caller has a bpf_loop that is inlined (5.19 and later), for which 24 bytes lie there, too
	// (optimize_bpf_loop). The last function has none: its callback would be a frame more.
	Looped bool `json:"looped,omitempty"`
	// Replaces says that what runs first is another program, with as many callers, that makes no tail calls and so may use
	// all 512 bytes of BPF stack: a function of it is replaced by a program like this one, in which the tail calls begin.
	Replaces bool `json:"replaces,omitempty"`
	// Above is the BPF stack of that program's entry function, in bytes.
	Above int `json:"above,omitempty"`
	// Traced says that a program is attached to the end of every function, so that each call goes through a
	// trampoline with a frame of its own.
	Traced bool `json:"traced,omitempty"`
}

// plain reports whether nothing comes on top of the frames.
func (s Shape) plain() bool {
	return !s.Throws && !s.Arena && !s.Counted && !s.Looped && !s.Replaces && !s.Traced
}

// text is the shape as a scenario.
func (s Shape) text() string {
	var b strings.Builder
	b.WriteString("version: 1\nname: worst_stack\nabout: Made by tcsim worst.\n")
	b.WriteString("maps:\n  jmp_table: {type: prog_array, slots: {0: p}}\n")
	if s.Arena {
		b.WriteString("  pages: {type: arena, max_entries: 1}\n")
	}
	b.WriteString("programs:\n")
	s.program(&b, "p")
	if s.Replaces {
		s.program(&b, "ext")
		s.above(&b)
	}
	attached := s.attached()
	for i := range attached {
		fmt.Fprintf(&b, "  after%d: |\n    r0 = 0\n    exit\n", i)
	}
	b.WriteString("runs:\n")
	for i, to := range attached {
		fmt.Fprintf(&b, "  - attach: {fexit: %s, by: after%d}\n", to, i)
	}
	first := "p"
	if s.Replaces {
		b.WriteString("  - replace: {\"above:last\": ext}\n")
		first = "above"
	}
	fmt.Fprintf(&b, "  - {run: %s, packet: 64}\n", first)
	return b.String()
}

// attached are the functions to which programs are attached, as attach has them: all that a trampoline can stand before.
func (s Shape) attached() (out []string) {
	if !s.Traced {
		return nil
	}
	chain := func(program, function string, n int) {
		out = append(out, program)
		for i := 1; i < n; i++ {
			out = append(out, fmt.Sprintf("%s, function: %s%d", program, function, i))
		}
	}
	chain("p", "f", s.Callers+1)
	if s.Replaces {
		chain("ext", "f", s.Callers+1)
		chain("above", "g", s.Callers)
	}
	return out
}

// program writes the chain of calls that ends with a tail call.
func (s Shape) program(b *strings.Builder, name string) {
	fmt.Fprintf(b, "  %s: |\n", name)
	for i := 0; i <= s.Callers; i++ {
		if i > 0 {
			fmt.Fprintf(b, "    f%d:\n", i)
		}
		size := s.Other
		switch {
		case i == s.Callers:
			size = s.Last
		case i == 0:
			size = s.First
		}
		if i == 0 && s.Arena {
			b.WriteString("    r2 = pages ll\n")
		}
		if i == 0 && s.Throws { // never: the packet has another size
			b.WriteString("    r7 = *(u32 *)(r1 + 0)\n    if r7 == 4711 goto thr\n")
		}
		s.frame(b, i, size)
		if i < s.Callers {
			fmt.Fprintf(b, "    call f%d\n", i+1)
		} else {
			b.WriteString("    r2 = jmp_table ll\n    r3 = 0\n    call 12\n")
		}
		b.WriteString("    r0 = 0\n    exit\n")
		if i == 0 && s.Throws {
			b.WriteString("    thr:\n    r1 = 3\n    call bpf_throw\n    r0 = 0\n    exit\n")
		}
	}
	if s.Looped && s.Callers > 0 {
		b.WriteString("    round:\n    r0 = 0\n    exit\n")
	}
}

// frame writes what gives function i its frame, with so many bytes of stack; r1 stays the context.
func (s Shape) frame(b *strings.Builder, i, size int) {
	if size > 0 {
		fmt.Fprintf(b, "    *(u64 *)(r10 - %d) = 0\n", size)
	}
	if s.Counted {
		fmt.Fprintf(b, "    may_goto on%d\n    r0 = 0\n    on%d:\n", i, i)
	}
	for r := range s.Saved {
		fmt.Fprintf(b, "    r%d = %d\n", 6+r, i)
	}
	if s.Looped && i < s.Callers {
		b.WriteString("    r9 = r1\n    r1 = 1\n    r2 = round ll\n    r3 = 0\n    r4 = 0\n    call 181\n    r1 = r9\n")
	}
}

// above writes the program whose function is replaced. The replaced one may change the packet: only then may what
// tail calls take its place.
func (s Shape) above(b *strings.Builder) {
	b.WriteString("  above:\n    asm: |\n")
	write := func(text string) { b.WriteString(strings.ReplaceAll(text, "    ", "      ")) }
	for i := range s.Callers {
		var code strings.Builder
		size := s.Other
		if i == 0 {
			size = s.Above
		}
		switch {
		case i > 0:
			fmt.Fprintf(&code, "    g%d:\n", i)
		case s.Arena:
			code.WriteString("    r2 = pages ll\n")
		}
		s.frame(&code, i, size)
		callee := fmt.Sprintf("g%d", i+1)
		if i+1 == s.Callers {
			callee = "last"
		}
		fmt.Fprintf(&code, "    call %s\n    r0 = 0\n    exit\n", callee)
		write(code.String())
	}
	if s.Looped {
		write("    round:\n    r0 = 0\n    exit\n")
	}
	b.WriteString("    functions:\n      last:\n        global: true\n        asm: |\n")
	b.WriteString("          r2 = 0\n          call bpf_skb_pull_data\n          r0 = 1\n          exit\n")
}

// Scenario returns the shape as a scenario and its text.
func (s Shape) Scenario() (*scenarios.Built, string, error) {
	text := s.text()
	sc, err := scenarios.Load("worst_stack.yaml", []byte(text))
	if err != nil {
		return nil, "", fmt.Errorf("BUG: shape %+v: %w", s, err)
	}
	b, err := scenarios.Build(sc)
	return b, text, err
}
