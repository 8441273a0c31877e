// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios/edits"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// modules is where the kernel's own code ends and that of programs lies.
const modules = 0xffffffffc0000000

// TestEdgesOfKernel edits captured and imported code before its first call of a helper: what the kernel counts on there is
// demanded of it as of our own code (TestEdges of package runner).
func TestEdgesOfKernel(t *testing.T) {
	e := newEditing(t, 4, edits.Kinds())
	all := e.lines("6.12-off")
	tried := 0
	for _, line := range all[1 : len(all)-1] {
		c := e.bare(all, line)
		if c == nil || c.skip() != "" || len(c.Scenario.Trampolines) > 0 || c.Scenario.ProgType == bpf.Tracing || len(c.Scenario.Progs) > 1 {
			continue
		}
		p := c.testRun().Prog
		f := &c.Scenario.Progs[p].Funcs[0]
		code := f.Code(capture.Empty)
		insns := edits.Disassemble(code, f.Addr)
		at := slices.IndexFunc(insns, func(in x86.Inst) bool { return in.Branch != x86.BranchNone })
		if at < 1 || insns[at].Branch != x86.BranchCall || insns[at].Target >= modules {
			continue
		}
		k := at - 1
		for k > 0 && !insns[k].HasMem && insns[k].Len < 5 {
			k--
		}
		if in := &insns[k]; in.Op != "mov" || in.HasMem || in.Len < 5 {
			continue
		}
		lo := int(insns[k].PC - f.Addr)
		for _, row := range []struct{ name, now, want string }{
			{"nothing", hex.EncodeToString(code[lo : lo+int(insns[k].Len)]), ""},
			{"rsp is no multiple of 8", "4883ec01", "multiple of 8"},
			{"std", "fd", "direction flag"},
			{"cli", "fa", "undecodable"},
			{"popf with AC", "6a009d", "undecodable"},
			{"r12 is lost", "4531e4", "r12"},
			{"rbp is lost", "31ed", "rbp"},
		} {
			now, err := hex.DecodeString(row.now)
			if err != nil {
				t.Fatal(err)
			}
			edited := bytes.Clone(code)
			copy(edited[lo:], append(now, edits.Nops(int(insns[k].Len)-len(now))...))
			text := strings.ReplaceAll(line, hex.EncodeToString(code), hex.EncodeToString(edited))
			bc := e.bare(all, text)
			if bc == nil {
				t.Fatal("it does not decode")
			}
			r, err := e.rp.Run(t.Context(), bc)
			if err != nil {
				t.Fatal(err)
			}
			im, err := e.imported(bc)
			if err != nil {
				t.Fatal(err)
			}
			ran, err := e.rp.RunImported(t.Context(), im)
			if err != nil {
				t.Fatal(err)
			}
			for what, v := range map[string]string{"replay": violated(&r.Run), "import": violated(ran)} {
				if (row.want == "") != (v == "") || !strings.Contains(v, row.want) {
					t.Errorf("%s, %s: %s: %q, want %q", c.Scenario.Name, row.name, what, v, row.want)
				}
			}
		}
		if tried++; tried == 3 {
			return
		}
	}
	t.Errorf("%d scenarios have a helper to call", tried)
}

// violated is what a run violates, "" for nothing.
func violated(r *runner.Run) string {
	if r.Violation == nil {
		return ""
	}
	return r.Violation.String()
}
