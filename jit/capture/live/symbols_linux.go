// SPDX-License-Identifier: GPL-2.0-only

package live

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
)

// symbolTable is /proc/kallsyms without BPF programs.
type symbolTable struct {
	addr  map[string]image.Addr
	names map[image.Addr][]string // in the order of the file
}

// inside are the variables inside which the JIT uses something (call depth tracking until 6.14).
var inside = []string{"const_pcpu_hot", "pcpu_hot"}

// insideSize bounds the offset in such a variable: it is one cache line.
const insideSize = 64

func readSymbols(path string) (*symbolTable, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t := &symbolTable{addr: map[string]image.Addr{}, names: map[image.Addr][]string{}}
	shown := false
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		w := strings.Fields(lines.Text())
		if len(w) < 3 || len(w) > 3 && w[3] == "[bpf]" {
			continue
		}
		a, err := strconv.ParseUint(w[0], 16, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", path, lines.Text(), err)
		}
		shown = shown || a != 0
		if _, ok := t.addr[w[2]]; !ok {
			t.addr[w[2]] = image.Addr(a)
		}
		t.names[image.Addr(a)] = append(t.names[image.Addr(a)], w[2])
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if !shown {
		return nil, errors.New("/proc/kallsyms shows no addresses (kernel.kptr_restrict, CAP_SYSLOG)")
	}
	return t, nil
}

// name returns the symbol at an address, "" if there is none.
func (t *symbolTable) name(a image.Addr) string {
	if n := t.names[a]; len(n) > 0 && a != 0 {
		for _, s := range n {
			if !strings.HasPrefix(s, "__pi_") { // a second name of code that also runs before the kernel is at its place
				return s
			}
		}
		return n[0]
	}
	for _, n := range inside {
		if at, ok := t.addr[n]; ok && a > at && a < at+insideSize {
			return fmt.Sprintf("%s+%#x", n, uint64(a-at))
		}
	}
	return ""
}

// Symbols returns the symbols that captured scenarios refer to.
func (k *Kernel) Symbols(scenarios []capture.Scenario) capture.Symbols {
	out := capture.Symbols{Addr: map[string]image.Addr{}, Aliases: map[string][]string{}}
	note := func(sym string) {
		name, _, _ := strings.Cut(sym, "+")
		a, ok := k.symbols.addr[name]
		if !ok || strings.Contains(sym, ":") {
			return
		}
		out.Addr[name] = a
		for _, n := range k.symbols.names[a] {
			if n != name && !slices.Contains(out.Aliases[name], n) {
				out.Aliases[name] = append(out.Aliases[name], n)
			}
		}
	}
	for i := range scenarios {
		for j := range scenarios[i].Trampolines {
			for _, r := range scenarios[i].Trampolines[j].Refs {
				note(r.Sym)
			}
		}
		for j := range scenarios[i].Progs {
			p := &scenarios[i].Progs[j]
			for _, refs := range p.Refs {
				for _, r := range refs {
					note(r.Sym)
				}
			}
			for _, in := range p.Xlated {
				if in.Op == bpf.OpCall && in.Src != bpf.PseudoCall {
					note(k.symbols.name(k.Header.CallBase + image.Addr(int64(in.Imm))))
				}
			}
		}
	}
	return out
}
