// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures/golden"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/interleave"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// listed is the scenario that compares machine code byte by byte. It sees every edit of 6.12 and is left
// out: what code does has to be enough.
const listed = "verifier_tailcall_jit"

// region is a part of every function in which a mutation looks for bytes.
type region func(f *image.FuncImage) [][2]image.CodeOff

// emitterMutation is a small wrong edit of an emitter, made in everything that it emitted: wherever old is in
// the region, new is put there. Both are hex; ".." is any byte, which stays. One edit of something else
// than code is made by what or by target instead.
type emitterMutation struct {
	target   string
	in       region
	old, new string
	name     string
	what     func(f *image.FuncImage)
	emit     func(t *jit.Target)
	survives string // why no scenario can see it; "" for one that must be killed
}

func span(lo, end image.CodeOff) [][2]image.CodeOff {
	if lo < 0 || end < lo {
		return nil
	}
	return [][2]image.CodeOff{{lo, end}}
}

// The regions.
func prologue(f *image.FuncImage) [][2]image.CodeOff { return span(0, f.Frame.Body) }

func body(f *image.FuncImage) [][2]image.CodeOff {
	return span(f.Frame.Body, image.CodeOff(len(f.Code)))
}

func perSite(of func(s *image.TailCallSite) [][2]image.CodeOff) region {
	return func(f *image.FuncImage) (out [][2]image.CodeOff) {
		for i := range f.TailCalls {
			out = append(out, of(&f.TailCalls[i])...)
		}
		return out
	}
}

func site(s *image.TailCallSite) [][2]image.CodeOff { return span(s.Start, s.End) }

func direct(s *image.TailCallSite) [][2]image.CodeOff {
	if !s.Direct {
		return nil
	}
	return site(s)
}

func indirect(s *image.TailCallSite) [][2]image.CodeOff {
	if s.Direct {
		return nil
	}
	return site(s)
}

func unwind(s *image.TailCallSite) [][2]image.CodeOff { return span(s.Unwind, s.Jump) }

// beforeCall is the load of rax with the counter before a call of a subprogram.
func beforeCall(f *image.FuncImage) (out [][2]image.CodeOff) {
	for _, c := range f.Calls {
		if c.Func >= 0 && c.Off >= 7 {
			out = append(out, span(c.Off-7, c.Off)...)
		}
	}
	return out
}

func eachSite(edit func(s *image.TailCallSite)) func(f *image.FuncImage) {
	return func(f *image.FuncImage) {
		for i := range f.TailCalls {
			if s := &f.TailCalls[i]; s.Direct {
				edit(s)
			}
		}
	}
}

func landing(by image.CodeOff) func(f *image.FuncImage) {
	return func(f *image.FuncImage) {
		if f.Frame.Landing >= 0 {
			f.Frame.Landing += by
		}
	}
}

func emitterMutations() []emitterMutation {
	sites, directs, indirects, unwinds := perSite(site), perSite(direct), perSite(indirect), perSite(unwind)
	return []emitterMutation{
		// The limit.
		{target: "6.12", in: sites, old: "48833821", new: "48833820", name: "limit 32 for 33"},
		{target: "6.12", in: sites, old: "48833821", new: "48833822", name: "limit 34 for 33"},
		{target: "6.12", in: sites, old: "4883382173", new: "4883382177", name: "ja for jae at the limit"},
		{target: "6.12", in: sites, old: "4883382173", new: "4883382172", name: "jb for jae at the limit"},
		{target: "6.12", in: directs, old: "4883382173", new: "4883382177", name: "ja for jae, direct only"},
		{target: "6.12", in: indirects, old: "4883382173", new: "4883382177", name: "ja for jae, indirect only"},
		{target: "6.12", in: sites, old: "4883382173", new: "488338217d", name: "jge for jae at the limit",
			survives: "the counter is 0 to 33, in which signed and unsigned order are the same"},
		{target: "5.10", in: sites, old: "83f82077", new: "83f82177", name: "limit 34 for 33"},
		{target: "5.10", in: sites, old: "83f82077", new: "83f82073", name: "jae for ja at the limit"},
		{target: "6.1", in: sites, old: "83f82173", new: "83f82177", name: "ja for jae at the limit"},
		{target: "6.1", in: sites, old: "83f82173", new: "83f82073", name: "limit 32 for 33"},
		{target: "hier-rfc2", in: sites, old: "83382173", new: "83382177", name: "ja for jae at the limit"},
		{target: "hier-percpu", in: sites, old: "83f82173", new: "83f82177", name: "ja for jae at the limit"},
		{target: "hier-task", in: sites, old: "83382173", new: "83382077", name: "limit 32 and ja, for 33 and jae",
			survives: "above 32 is the same as at least 33; kernels up to 5.16 have it so"},
		{target: "direct-poke", in: sites, old: "83f82077", new: "83f82173", name: "limit 33 and jae, for 32 and ja",
			survives: "at least 33 is the same as above 32; 5.16 made this change"},
		{target: "fp53", in: sites, old: "83f82077", new: "83f82177", name: "limit 34 for 33"},

		// The counter.
		{target: "6.12", in: sites, old: "48830001", new: "48830002", name: "counts 2 for 1"},
		{target: "6.12", in: sites, old: "48830001", new: "48832801", name: "counts down"},
		{target: "6.1", in: sites, old: "83c0018985", new: "83c0028985", name: "counts 2 for 1"},
		{target: "6.1", in: sites, old: "8b85fcffffff", new: "8b85f8ffffff", name: "loads the other half of the counter's word"},
		{target: "hier-task", in: sites, old: "ff00", new: "ff08", name: "counts down"},

		// The prologue.
		{target: "6.12", in: prologue, old: "4831c0", new: "0f1f00", name: "does not clear rax at the entry"},
		{target: "6.12", in: prologue, old: "4831c0", new: "31c090", name: "clears 4 bytes of rax, not 8",
			survives: "a write of 4 bytes clears the upper half"},
		{target: "6.12", in: prologue, old: "4883f82177", new: "4883f82173", name: "jae for ja at value or pointer"},
		{target: "6.12", in: prologue, old: "4883f82177", new: "4883f82176", name: "jbe for ja at value or pointer"},
		{target: "6.12", in: prologue, old: "504889e0", new: "504889e8", name: "pointer to the saved rbp, not the counter"},
		{target: "6.12", in: prologue, old: "4889e5", new: "4889ec", name: "mov rsp, rbp for mov rbp, rsp"},
		{target: "6.1", in: prologue, old: "31c0", new: "6690", name: "does not clear eax at the entry"},
		{target: "6.1", in: prologue, old: "4881ec08000000", new: "4881ec04000000", name: "stack depth unrounded"},
		{target: "6.12", in: prologue, old: "4881ec08000000", new: "4881ec00000000", name: "stack depth 0 for 8"},
		{target: "6.12", in: prologue, old: "4881ec40000000", new: "4881ec38000000", name: "8 bytes of stack missing"},
		{target: "6.12", in: prologue, old: "534155", new: "415553", name: "rbx and r13 pushed in the wrong order"},
		{target: "6.12", in: prologue, old: "41554156", new: "4155 4155", name: "r13 saved for r14"},
		{target: "hier-rfc2", in: prologue, old: "4889e0", new: "4889e8", name: "pointer to the caller's frame"},
		{target: "hier-runctx", in: prologue, old: "488b4708", new: "488b4700", name: "takes the context for the counter's address"},
		{target: "fp53", in: prologue, old: "6a00", new: "6aff", name: "counter starts at -1"},
		{target: "fp53", in: prologue, old: "6a00", new: "6a01", name: "1 pushed for the counter",
			survives: "the counter is the upper half of the word that is pushed"},

		// The unwinding of a tail call.
		{target: "6.12", in: unwinds, old: "4881c4", new: "4881ec", name: "sub for add of the stack depth"},
		{target: "6.12", in: unwinds, old: "4881c440000000", new: "4881c438000000", name: "8 bytes of stack left"},
		{target: "6.1", in: unwinds, old: "58", new: "5b", name: "counter popped into rbx"},
		{target: "5.10", in: unwinds, old: "415f415e", new: "415e415f", name: "r14 and r15 popped in the wrong order"},
		{target: "hier-runctx", in: unwinds, old: "58", new: "59", name: "pointer popped into rcx"},

		// Bounds, empty slots and the jump.
		{target: "6.12", in: indirects, old: "39562476", new: "39562472", name: "jb for jbe at the bounds"},
		{target: "6.12", in: indirects, old: "39562476", new: "3956247e", name: "signed bounds"},
		{target: "6.12", in: indirects, old: "4885c974", new: "4885c975", name: "jnz for jz at the empty slot"},
		{target: "6.12", in: indirects, old: "4885c9", new: "4885d2", name: "tests the index, not the program"},
		{target: "6.12", in: indirects, old: "488b8cd6", new: "488b8c96", name: "slots of 4 bytes, not 8"},
		{target: "6.12", in: indirects, old: "4883c110", new: "4883c10c", name: "lands 4 bytes early"},
		{target: "6.1", in: indirects, old: "4883c10b", new: "4883c10c", name: "lands one byte late"},
		{target: "6.12", in: indirects, old: "488b4930", new: "488b4938", name: "takes another field for the entry"},
		{target: "6.12", in: directs, old: "e9..000000", new: "0f1f440000", name: "no bypass at an empty slot"},

		// Calls.
		{target: "6.12", in: beforeCall, old: "488b85........", new: "488d85........", name: "lea for mov in the reload"},
		{target: "6.1", emit: func(t *jit.Target) { t.Emit.UnroundedReload = true }, name: "depth of the reload unrounded"},
		{target: "6.1", emit: func(t *jit.Target) { t.Emit.Tramp.LosesRAX = true }, name: "trampolines lose rax"},
		{target: "6.12", emit: func(t *jit.Target) { t.Limit = 32 }, name: "MAX_TAIL_CALL_CNT 32"},

		// The epilogue.
		{target: "6.12", in: body, old: "415f415e", new: "415f415f", name: "r15 restored for r14"},

		// Patching.
		{target: "6.12", what: eachSite(func(s *image.TailCallSite) { s.Bypass, s.Jump = s.Jump, s.Bypass }), name: "pokes of bypass and jump swapped"},
		{target: "6.12", in: directs, old: "e90c000000", new: "e90d000000", name: "bypass leads one byte too far"},
		{target: "6.12", what: eachSite(func(s *image.TailCallSite) { s.Jump-- }), name: "jump poked one byte early"},
		{target: "6.12", what: eachSite(func(s *image.TailCallSite) { s.Key++ }), name: "site registered for the next key"},
		{target: "6.12", what: eachSite(func(s *image.TailCallSite) { s.Bypass = s.Jump }), name: "bypass registered where the jump is"},
		{target: "6.12", what: landing(-4), name: "direct jump lands before the frame is made"},
		{target: "6.1", what: landing(1), name: "direct jump lands after the push of the counter"},
		{target: "direct-poke", what: landing(-2), name: "direct jump lands before the counter is pushed"},
	}
}

// apply makes the edit in one image and says how often.
func (m *emitterMutation) apply(t *testing.T, img *image.Image) (n int) {
	t.Helper()
	old, mask := pattern(t, m.old)
	with, keep := pattern(t, m.new)
	if len(old) != len(with) {
		t.Fatalf("%d bytes for %d", len(with), len(old))
	}
	for i := range img.Funcs {
		f := &img.Funcs[i]
		if m.what != nil {
			m.what(f)
			n++
			continue
		}
		for _, r := range m.in(f) {
			code := f.Code[r[0]:r[1]]
			for at := 0; at+len(old) <= len(code); at++ {
				if !matches(code[at:], old, mask) {
					continue
				}
				for k := range with {
					if keep[k] {
						code[at+k] = with[k]
					}
				}
				n++
				at += len(old) - 1
			}
		}
	}
	return n
}

func matches(code, old []byte, mask []bool) bool {
	for k := range old {
		if mask[k] && code[k] != old[k] {
			return false
		}
	}
	return true
}

// pattern reads bytes in hex; set is false for "..".
func pattern(t *testing.T, s string) (b []byte, set []bool) {
	t.Helper()
	s = strings.ReplaceAll(s, " ", "")
	b, err := hex.DecodeString(strings.ReplaceAll(s, ".", "0"))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(s); i += 2 {
		set = append(set, s[i] != '.')
	}
	return b, set
}

// player plays scenarios in one machine.
type player struct{ s *runner.Session }

func (p *player) drop() {
	if p.s != nil {
		_ = p.s.Close() // nothing of it is used any more
		p.s = nil
	}
}

// open loads compiled code into the machine, with budgets that end a run without end soon.
func (p *player) open(c *runner.Compiled) (err error) {
	opt := runner.Options{MaxInsns: 1_000_000, MaxEvents: 100_000}
	if p.s == nil {
		p.s, err = runner.Open(c, opt)
		return err
	}
	old := p.s
	if p.s, err = old.OpenNext(c, opt); err != nil {
		p.s = old // to be dropped
	}
	return err
}

// verdict is what the play of compiled code comes to: what a matrix has in its cell.
func (p *player) verdict(c *runner.Compiled) (v string) {
	defer func() {
		if r := recover(); r != nil {
			v = fmt.Sprint("error: ", r)
		}
		if strings.HasPrefix(v, "error") {
			p.drop()
		}
	}()
	if err := p.open(c); err != nil {
		return "error: " + err.Error()
	}
	res, err := p.s.Play(context.Background())
	switch {
	case err != nil:
		return "error: " + err.Error()
	case res.Violation() != nil:
		v = string(res.Violation().Invariant)
	default:
		v = "ok"
	}
	for i := range res.Runs {
		if res.Runs[i].Killed != "" {
			v = "budget"
		}
	}
	if !res.OK() {
		v += ", not as expected"
	}
	return v
}

// mutated compiles a scenario for the mutation's target and makes the edit; nil if the target lacks
// something.
func (m *emitterMutation) mutated(t *testing.T, b *scenarios.Built) (c *runner.Compiled, edits int) {
	t.Helper()
	tg := target(t, m.target)
	if m.emit != nil {
		other := *tg
		m.emit(&other)
		tg, edits = &other, 1
	}
	c, err := runner.Compile(b, tg)
	if errors.Is(err, kernels.ErrUnsupported) {
		return nil, 0
	}
	if err != nil {
		t.Fatal(err)
	}
	if m.emit != nil {
		return c, edits
	}
	for _, img := range c.Images {
		edits += m.apply(t, img)
	}
	return c, edits
}

// wrongEdit is a mutation of either table.
type wrongEdit struct {
	target, name, survives string
	mutated                func(t *testing.T, b *scenarios.Built) (*runner.Compiled, int)
	explore                bool // schedules are explored, too
}

func wrongEdits() (all []wrongEdit) {
	for _, m := range emitterMutations() {
		all = append(all, wrongEdit{target: m.target, name: m.name, survives: m.survives, mutated: m.mutated})
	}
	for _, m := range variantMutations() {
		all = append(all, wrongEdit{target: m.target, name: m.name, survives: m.survives, mutated: m.mutated, explore: m.poke != nil})
	}
	return all
}

// hunter looks for a scenario that sees an edit.
type hunter struct {
	player
	library []*scenarios.Built
	known   map[string]string // verdicts without an edit
}

// killer returns the first scenario that sees the edit, with what it comes to, and how many edits were
// made until then.
func (h *hunter) killer(t *testing.T, m *wrongEdit) (found string, edits int) {
	t.Helper()
	for _, b := range h.library {
		if b.Scenario.Name == listed {
			continue
		}
		c, n := m.mutated(t, b)
		if edits += n; n == 0 {
			continue
		}
		key := m.target + " " + b.Scenario.Name
		if h.known[key] == "" {
			h.known[key] = h.verdict(compiled(t, b, target(t, m.target)))
		}
		if v := h.verdict(c); v != h.known[key] {
			return fmt.Sprintf("%s (%s)", b.Scenario.Name, v), edits
		}
	}
	if !m.explore {
		return "", edits
	}
	for _, name := range []string{"poke_one_site", "poke_two_sites"} {
		c, _ := m.mutated(t, build(t, name))
		xs, err := interleave.Explore(context.Background(), c, runner.Options{}, interleave.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range xs {
			if x := &xs[i]; x.Wrong() {
				return fmt.Sprintf("explore %s (%s: %s)", name, x.Kind, findings(x)), edits
			}
		}
	}
	return "", edits
}

// TestEmitterMutations makes wrong edits, one at a time, and has the library find them: some scenario that
// was as expected must not be so any more. The file says which was the first. Under -short every sixth edit is made.
func TestEmitterMutations(t *testing.T) {
	h := &hunter{library: library(t), known: map[string]string{}}
	defer h.drop()
	var out strings.Builder
	killed, survived := 0, 0
	for n, m := range wrongEdits() {
		if testing.Short() && n%18 != 0 {
			continue
		}
		t.Run(m.target+"/"+m.name, func(t *testing.T) {
			killer, edits := h.killer(t, &m)
			switch {
			case edits == 0:
				t.Error("there is nothing to edit")
			case strings.Contains(killer, "(error"):
				t.Errorf("a failure, not a finding: %s", killer)
			case killer == "" && m.survives == "":
				t.Errorf("no scenario sees it; %d edits", edits)
			case killer != "" && m.survives != "":
				t.Errorf("killed by %s, although %s", killer, m.survives)
			case killer != "":
				killed++
				fmt.Fprintf(&out, "%s: %s: %s\n", m.target, m.name, killer)
			default:
				survived++
				fmt.Fprintf(&out, "%s: %s: survives: %s\n", m.target, m.name, m.survives)
			}
		})
	}
	t.Logf("%d killed, %d survive", killed, survived)
	if testing.Short() {
		all, err := os.ReadFile("testdata/emitter_mutations.txt")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if !strings.Contains("\n"+string(all), "\n"+line) {
				t.Errorf("not in emitter_mutations.txt: %s", line)
			}
		}
		return
	}
	if killed < 60 {
		t.Errorf("%d mutations are killed, want at least 60", killed)
	}
	golden.Check(t, "testdata/emitter_mutations.txt", out.String())
}

func explored(t testing.TB, b *scenarios.Built, tn string, o interleave.Options) []interleave.Explored {
	t.Helper()
	xs, err := interleave.Explore(context.Background(), compiled(t, b, target(t, tn)), runner.Options{}, o)
	if err != nil {
		t.Fatal(err)
	}
	return xs
}

// findings says in one line what was found.
func findings(x *interleave.Explored) string {
	var words []string
	for name := range x.Failed {
		words = append(words, name)
	}
	slices.Sort(words)
	if x.Update != nil {
		words = append(words, "update:"+string(x.Update.Invariant))
	}
	if x.Later != nil {
		words = append(words, "later:"+string(x.Later.Invariant))
	}
	if x.Before != nil {
		words = append(words, "before:"+string(x.Before.Invariant))
	}
	if !x.Exhaustive {
		words = append(words, "open")
	}
	if len(words) == 0 {
		return "ok"
	}
	return strings.Join(words, " ")
}

// TestExploredUnchanged: what kills an edit of pokes by a schedule finds nothing without an edit.
func TestExploredUnchanged(t *testing.T) {
	for _, tn := range append(slices.Clone(realKernels), "direct-poke") {
		for _, name := range []string{"poke_one_site", "poke_two_sites"} {
			for _, x := range explored(t, build(t, name), tn, interleave.Options{}) {
				if x.Wrong() {
					t.Errorf("%s on %s: %s of %s: %s", name, tn, x.Kind, x.Slot, findings(&x))
				}
			}
		}
	}
}
