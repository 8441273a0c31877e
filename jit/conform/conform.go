// SPDX-License-Identifier: GPL-2.0-only

package conform

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"sync"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/capture/adapt"
	"github.com/tcsim/tcsim/jit/crash"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/parts"
	"github.com/tcsim/tcsim/jit/verify"
)

// Options of Compare. The zero value chooses the target from the capture, works on two CPUs and
// keeps no mismatches.
type Options struct {
	Target   *jit.Target           // nil: chosen from the header
	Workers  int                   // 0: two
	Keep     int                   // how many mismatches to describe; all are counted
	Done     <-chan struct{}       // when it is closed, what is compared by then is reported; may be nil
	Progress func(done, total int) // called after each scenario, from any goroutine; may be nil
	Work     *parts.Work           // whose units scenarios are; nil compares all of them
}

// Count says how many of a number of things were as they should be.
type Count struct{ Same, Total int }

// All reports whether nothing differs.
func (c Count) All() bool { return c.Same == c.Total }

// String returns "same/total".
func (c Count) String() string { return fmt.Sprintf("%d/%d", c.Same, c.Total) }

func (c *Count) add(same bool) {
	c.Total++
	if same {
		c.Same++
	}
}

func (c *Count) join(d Count) { c.Same += d.Same; c.Total += d.Total }

// Report is the outcome of comparing our compiler's output with one capture.
type Report struct {
	File   string
	Target *jit.Target
	// Images counts functions, once for each state of the prog arrays, by category.
	Images map[string]Count
	// States counts the same functions by state.
	States [capture.NumStates]Count
	// Facts counts what Analyse and Compile say about programs besides their code, and the capture
	// too: kind and place of each tail call, place of each instruction and call.
	Facts Count
	// Refused counts the programs that the kernel did not accept, NotJITed those that it accepted
	// but its JIT gave up on.
	Refused, NotJITed int
	// Trampolines counts the trampolines of traced functions, each with the patched instruction of its
	// function. The functions themselves are among Images, in state Traced.
	Trampolines Count
	// Mismatches are the first Options.Keep ones in the order of the file.
	Mismatches []Mismatch
}

// Images returns the sum over all categories.
func (r *Report) Total() Count {
	var sum Count
	for _, c := range r.Images {
		sum.join(c)
	}
	return sum
}

// OK reports whether everything is identical.
func (r *Report) OK() bool { return r.Total().All() && r.Facts.All() && r.Trampolines.All() }

// Mismatch is one function that differs, or a program that cannot be compiled.
type Mismatch struct {
	Scenario string
	Line     int // of the capture file
	Prog     int
	Func     int // -1: the program as a whole
	State    capture.State
	Reason   string // one line
	Listing  string // both codes, aligned; empty if there is nothing to show
}

// Compare compiles every accepted program of a capture from its xlated form, at the addresses that
// it had, and compares the code in every state with the kernel's. It fails if the capture is
// malformed or if no target matches it.
func Compare(src *capture.Source, opts Options) (*Report, error) {
	t, err := opts.Target, error(nil)
	if t == nil {
		if t, err = src.Header.Target(); err != nil {
			return nil, fmt.Errorf("%s: no target: %w", src.Name, err)
		}
	}
	if t, err = adapt.To(src, t); err != nil {
		return nil, err
	}
	if t, err = rebind(t); err != nil {
		return nil, err
	}
	c := &conformer{src: src, target: t, symbols: src.Symbols.Table(), opts: opts, first: opts.Work.Reserve(src.Len())}
	results := c.run()
	r := &Report{File: src.Name, Target: t, Images: map[string]Count{}}
	var errs capture.Mistakes
	names := map[string]int{}
	kept := 0
	for i := range results {
		res := &results[i]
		if c.opts.Work.Part() && res.Name != "" && res.err == nil {
			res.Mismatches = res.Mismatches[:min(len(res.Mismatches), opts.Keep-kept)] // more are in no sum
			kept += len(res.Mismatches)
			parts.Do(c.opts.Work, c.first+i, func() *result { return res })
		}
		if res.Name == "" && res.err == nil {
			continue // not compared any more, or elsewhere
		}
		if res.err != nil {
			var m capture.Mistakes
			if errors.As(res.err, &m) && len(errs) < capture.MaxMistakes {
				errs = append(errs, m...)
			}
			continue
		}
		if first, dup := names[res.Name]; dup {
			errs = append(errs, capture.Mistake{File: src.Name, Line: i + 2, Path: "name", Msg: fmt.Sprintf("%q is also the name in line %d", res.Name, first)})
		}
		names[res.Name] = i + 2
		r.join(res, opts.Keep)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return r, nil
}

// rebind has a target's emitter make code for the target as it has become.
func rebind(t *jit.Target) (*jit.Target, error) {
	if t.Emitter == nil {
		return t, nil
	}
	return t.Of(t)
}

// result is the outcome for one scenario.
type result struct {
	err         error
	Name        string                   `json:"name"`
	Category    string                   `json:"category"`
	States      [capture.NumStates]Count `json:"states"`
	Facts       Count                    `json:"facts"`
	Refused     int                      `json:"refused,omitempty"`
	NotJITed    int                      `json:"not_jited,omitempty"`
	Trampolines Count                    `json:"trampolines"`
	Mismatches  []Mismatch               `json:"mismatches,omitempty"`
}

func (r *Report) join(s *result, keep int) {
	sum := r.Images[s.Category]
	for i, c := range s.States {
		r.States[i].join(c)
		sum.join(c)
	}
	r.Images[s.Category] = sum
	r.Facts.join(s.Facts)
	r.Refused += s.Refused
	r.NotJITed += s.NotJITed
	r.Trampolines.join(s.Trampolines)
	for _, m := range s.Mismatches {
		if len(r.Mismatches) < keep {
			r.Mismatches = append(r.Mismatches, m)
		}
	}
}

type conformer struct {
	src     *capture.Source
	target  *jit.Target
	symbols *capture.SymbolTable
	opts    Options
	first   int // unit of Options.Work
}

// run compares all scenarios and returns their results in order.
func (c *conformer) run() []result {
	workers := c.opts.Workers
	if workers == 0 {
		workers = 2
	}
	results := make([]result, c.src.Len())
	var (
		wg         sync.WaitGroup
		mu         sync.Mutex
		next, done int
		broken     *crash.Panic
	)
	for range workers {
		wg.Go(func() {
			for {
				select {
				case <-c.opts.Done:
					return
				default:
				}
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(results) {
					return
				}
				p := c.guarded(i, &results[i])
				mu.Lock()
				broken = cmp.Or(broken, p)
				done++
				n := done
				mu.Unlock()
				if c.opts.Progress != nil {
					c.opts.Progress(n, len(results))
				}
			}
		})
	}
	wg.Wait()
	if broken != nil {
		panic(broken)
	}
	return results
}

// guarded compares scenario i and returns its panic, nil if there was none.
func (c *conformer) guarded(i int, res *result) (p *crash.Panic) {
	defer func() {
		if v := recover(); v != nil {
			p = crash.New(fmt.Sprintf("scenario in line %d of %s", i+2, c.src.Name), v)
		}
	}()
	if c.opts.Work.Mine(c.first + i) {
		c.scenario(i, res)
	} else if other, ok := parts.Given[result](c.opts.Work, c.first+i); ok {
		*res = other
	}
	return nil
}

// job is the comparison of one scenario.
type job struct {
	*conformer
	s        *capture.Scenario
	res      *result
	images   []*image.Image     // nil: refused or not compiled
	verified []*verify.Verified // nil: refused or not analysed
}

func (c *conformer) scenario(i int, res *result) {
	s, err := c.src.Scenario(i)
	if err != nil {
		res.err = err
		return
	}
	res.Name, res.Category = s.Name, s.Category
	j := &job{conformer: c, s: s, res: res, images: make([]*image.Image, len(s.Progs)), verified: make([]*verify.Verified, len(s.Progs))}
	states := []capture.State{capture.Empty}
	if hasProgArray(s) {
		states = append(states, capture.Populated, capture.Deleted)
	}
	for n := range s.Progs {
		j.compile(n, states)
	}
	if s.Found {
		j.update(capture.Populated)
		j.attached()
		j.compare(capture.Empty)
		return
	}
	j.compare(capture.Empty)
	if len(states) > 1 {
		j.update(capture.Populated)
		j.compare(capture.Populated)
	}
	j.traced()
	if len(states) > 1 {
		j.update(capture.Deleted)
		j.compare(capture.Deleted)
	}
	j.replaced()
	for n, img := range j.images {
		if img != nil {
			j.facts(n, img)
		}
	}
}

func hasProgArray(s *capture.Scenario) bool {
	for i := range s.Maps {
		if s.Maps[i].Type == bpf.ProgArray {
			return true
		}
	}
	return false
}

func (j *job) mismatch(m Mismatch) {
	m.Scenario, m.Line = j.s.Name, j.s.Line
	if len(j.res.Mismatches) < j.opts.Keep {
		j.res.Mismatches = append(j.res.Mismatches, m)
	}
}

// notJITed is how captures name a program that was accepted and has no image.
const notJITed = "not JITed"

// compile compiles program n. One that cannot be compiled differs in all states.
func (j *job) compile(n int, states []capture.State) {
	p := &j.s.Progs[n]
	switch {
	case p.LoadError != "" && bytes.Contains([]byte(p.LoadError), []byte(notJITed)):
		j.res.NotJITed++
		return
	case p.LoadError != "":
		j.res.Refused++
		return
	}
	img, err := j.build(n)
	if err == nil && len(img.Funcs) != len(p.Funcs) {
		err = fmt.Errorf("%d functions, the kernel has %d", len(img.Funcs), len(p.Funcs))
	}
	if err != nil {
		for _, s := range states {
			j.res.States[s].Total += len(p.Funcs)
		}
		j.mismatch(Mismatch{Prog: n, Func: -1, Reason: err.Error()})
		return
	}
	j.images[n] = img
}

func (j *job) build(n int) (*image.Image, error) {
	prog, err := j.s.Xlated(n, &j.src.Header, j.symbols)
	if err != nil {
		return nil, err
	}
	t, err := j.blindTarget(n)
	if err != nil {
		return nil, err
	}
	v, err := verify.Analyse(prog, &t.Kernel)
	if err != nil {
		return nil, err
	}
	j.verified[n] = v
	return jit.Compile(v, t, j.s.Env(n, &j.src.Header, j.symbols))
}

// update pokes the prog arrays of the scenario from state Empty to Populated or back.
func (j *job) update(to capture.State) {
	var images []*image.Image
	for _, img := range j.images {
		if img != nil {
			images = append(images, img)
		}
	}
	for _, e := range j.s.ProgArrays {
		target := j.images[e.Prog]
		if target == nil {
			continue
		}
		landing, ok := target.Landing()
		if !ok {
			continue
		}
		var sites []image.PokeSite
		for _, img := range images {
			sites = append(sites, img.PokeSites(e.Map, e.Key)...)
		}
		old, now := image.Addr(0), landing
		if to == capture.Deleted {
			old, now = landing, 0
		}
		plan, err := j.target.UpdatePlan(sites, old, now)
		if err == nil {
			err = image.ApplyPatches(plan, images...)
		}
		if err != nil {
			j.mismatch(Mismatch{Prog: e.Prog, Func: -1, State: to, Reason: err.Error()})
		}
	}
}

// compare compares all functions in one state.
func (j *job) compare(s capture.State) {
	for n, img := range j.images {
		if img == nil {
			continue
		}
		for f := range img.Funcs {
			want, got := j.s.Progs[n].Funcs[f].Code(s), img.Funcs[f].Code
			same := bytes.Equal(want, got)
			j.res.States[s].add(same)
			if !same && len(j.res.Mismatches) < j.opts.Keep {
				j.mismatch(Mismatch{
					Prog: n, Func: f, State: s, Reason: firstDifference(want, got),
					Listing: listing(&img.Funcs[f], img.Program, want),
				})
			}
		}
	}
}

func firstDifference(want, got []byte) string {
	at := 0
	for at < len(want) && at < len(got) && want[at] == got[at] {
		at++
	}
	text := func(b []byte) string {
		if at >= len(b) {
			return "the end"
		}
		return fmt.Sprintf("%x", b[at:min(at+16, len(b))])
	}
	return fmt.Sprintf("differs at offset %d: the kernel has %s, we have %s (%d and %d bytes)", at, text(want), text(got), len(want), len(got))
}

// facts compares what the compiler knows of its image with what the capture recorded.
func (j *job) facts(n int, img *image.Image) {
	p := &j.s.Progs[n]
	note := func(fn int, same bool, format string, args ...any) {
		j.res.Facts.add(same)
		if !same {
			j.mismatch(Mismatch{Prog: n, Func: fn, Reason: fmt.Sprintf(format, args...)})
		}
	}
	if j.src.Header.Blinds() && len(p.Funcs) > 1 {
		return // its records are of other instructions
	}
	var found []capture.TailCall
	for f := range img.Funcs {
		for _, t := range img.Funcs[f].TailCalls {
			found = append(found, capture.TailCall{Func: f, Off: t.Start, Direct: t.Direct})
		}
	}
	for i, want := range p.TailCalls {
		// A record says what was asked of the kernel; the code has the last word.
		want.Direct = want.Direct && !p.LeavesAt(want.Func, want.Off)
		if i >= len(found) {
			note(want.Func, false, "tail call at %d is missing", want.Off)
			continue
		}
		note(want.Func, found[i] == want, "tail call %+v, the kernel has %+v", found[i], want)
	}
	for _, extra := range found[min(len(found), len(p.TailCalls)):] {
		note(extra.Func, false, "the kernel has no tail call %+v", extra)
	}
	for _, m := range p.InsnMap {
		f := &img.Funcs[m.Func]
		i := int(m.Xlated - f.FirstInsn)
		if p.Hidden(m.Func) {
			i = int(m.Xlated)
		}
		if i < 0 || i >= len(f.InsnOff) {
			note(m.Func, false, "insn %d is in another function", m.Xlated)
			continue
		}
		// The capture counts the prologue as the first instruction's.
		same := f.InsnOff[i] == m.Off || m.Off == 0 && i == 0
		note(m.Func, same, "insn %d is at %d, the kernel has it at %d", m.Xlated, f.InsnOff[i], m.Off)
	}
	for _, want := range p.Refs[capture.Empty] {
		if want.Kind != "call" {
			continue
		}
		same := false
		for _, got := range img.Funcs[want.Func].Calls {
			same = same || got.Off == want.Off && got.Target == want.Target
		}
		note(want.Func, same, "no call of %#x (%s) at %d", uint64(want.Target), want.Sym, want.Off)
	}
}
