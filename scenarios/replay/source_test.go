// SPDX-License-Identifier: GPL-2.0-only

package replay_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/scenarios/replay"
	"github.com/tcsim/tcsim/scenarios/runner"
)

const (
	libraryCapture = "live/6.18-library.jsonl.gz"
	vmCapture      = "live/6.18-vm.jsonl.gz"
)

// reread writes a capture and opens it again.
func reread(t *testing.T, f *capture.File) *capture.Source {
	t.Helper()
	var text bytes.Buffer
	if err := capture.Write(&text, f); err != nil {
		t.Fatal(err)
	}
	src, err := capture.Read(&text, "changed")
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// replayAll replays every scenario of a capture.
func replayAll(t *testing.T, src *capture.Source) []*replay.Replay {
	t.Helper()
	target, err := src.Header.Target()
	if err != nil {
		t.Fatal(err)
	}
	r, err := replay.New(runner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out []*replay.Replay
	for i := range src.Len() {
		c, err := replay.Capture(src, target, i)
		if err != nil {
			t.Fatal(err)
		}
		res, err := r.Run(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, res)
	}
	return out
}

// TestReplaySource plays the scenario library on a kernel's own images: all that the kernel accepted
// are as the library expects and as the kernel ran them.
func TestReplaySource(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	for _, tc := range []struct {
		file                     string
		played, byKernel, hooked int
		refused                  []string // programs, by one of which scenarios are skipped
	}{
		{libraryCapture, 50, 48, 0, []string{"frame_pointer", "ext", "fentry", "fexit", "throwing_exception_cb_extension", "locked"}},
		{vmCapture, 64, 0, 11, []string{"frame_pointer", "locked"}},
	} {
		t.Run(tc.file, func(t *testing.T) {
			src, err := capture.OpenFS(fixtures.FS, tc.file, "library")
			if err != nil {
				t.Fatal(err)
			}
			played, byKernel, hooked := 0, 0, 0
			for _, res := range replayAll(t, src) {
				prog, refused := strings.CutPrefix(res.Skipped, "the kernel refused program ")
				switch {
				case refused && slices.Contains(tc.refused, prog):
				case res.Skipped != "":
					t.Errorf("%s: skipped: %s", res.Scenario, res.Skipped)
				case res.Result == nil:
					t.Errorf("%s: not played from its source", res.Scenario)
				default:
					played++
					if res.KernelRan {
						byKernel++
					}
					if strings.HasPrefix(res.Scenario, "tramp_") {
						hooked++
					}
					for _, w := range res.Wrong {
						t.Errorf("%s: %s", res.Scenario, w)
					}
				}
			}
			if played != tc.played || byKernel != tc.byKernel || hooked != tc.hooked {
				t.Errorf("played %d, %d of them as the kernel, %d with trampolines", played, byKernel, hooked)
			}
		})
	}
}

// TestReplaySourceTells changes one thing each and expects that it is noticed.
func TestReplaySourceTells(t *testing.T) {
	change := func(name string, f func(sc *capture.Scenario)) *replay.Replay {
		t.Helper()
		from := libraryCapture
		if strings.HasPrefix(name, "tramp_") {
			from = vmCapture
		}
		file, err := capture.LoadFS(fixtures.FS, from)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(file.Scenarios, func(s capture.Scenario) bool { return s.Name == name })
		file.Scenarios = file.Scenarios[i : i+1]
		f(&file.Scenarios[0])
		return replayAll(t, reread(t, file))[0]
	}
	// patch replaces code of the first function that has it, in both states.
	patch := func(sc *capture.Scenario, old, new string) {
		for p := range sc.Progs {
			for f := range sc.Progs[p].Funcs {
				fn := &sc.Progs[p].Funcs[f]
				if at := bytes.Index(fn.Code(capture.Empty), []byte(old)); at >= 0 {
					copy(fn.Code(capture.Empty)[at:], new)
					if fn.Recorded(capture.Populated) {
						copy(fn.Code(capture.Populated)[at:], new)
					}
					return
				}
			}
		}
		t.Fatalf("no code % x", old)
	}
	for _, tc := range []struct {
		what, scenario, want string
		change               func(sc *capture.Scenario)
	}{
		{"return value", "hierarchy", "the kernel 7", func(sc *capture.Scenario) { sc.Played[0].Retval = 7 }},
		{"map value", "hierarchy", "the kernel's", func(sc *capture.Scenario) { sc.Played[0].Values[0].Value[0]++ }},
		{"failed run", "hierarchy", "EINVAL", func(sc *capture.Scenario) { sc.Played[0].Error = "EINVAL" }},
		// cmp qword ptr [rax], 33 in the tail call sequence
		{"limit of 34", "hierarchy", "limit", func(sc *capture.Scenario) { patch(sc, "\x48\x83\x38\x21", "\x48\x83\x38\x22") }},
		{"no limit", "hierarchy", "expected no violation", func(sc *capture.Scenario) { patch(sc, "\x48\x83\x38\x21\x73", "\x48\x83\x38\x21\x70") }},
		// add qword ptr [rax], 1
		{"no count", "hierarchy", "limit", func(sc *capture.Scenario) { patch(sc, "\x48\x83\x00\x01", "\x48\x83\x00\x00") }},
		{"poked otherwise", "hierarchy", "poked it otherwise", func(sc *capture.Scenario) {
			fn := &sc.Progs[0].Funcs[1]
			i := bytes.IndexByte(fn.Code(capture.Populated), 0xe9)
			fn.Code(capture.Populated)[i+1] ^= 4
		}},
		{"value of an earlier run", "tailcall_6", "run 1: ", func(sc *capture.Scenario) {
			sc.Played[0].Values = append(sc.Played[0].Values, capture.MapValue{Map: 0, Key: make([]byte, 4), Value: []byte{9, 9, 9, 9}})
		}},
		{"refused update", "tailcall_1", "ENOENT, the kernel: EBUSY", func(sc *capture.Scenario) {
			i := slices.IndexFunc(sc.Played, func(p capture.Played) bool { return p.Error != "" })
			sc.Played[i].Error = "EBUSY"
		}},
		{"object's return value", "hierarchy.o", "the kernel 7", func(sc *capture.Scenario) { sc.Played[0].Retval = 7 }},
		{"object's limit", "hierarchy.o", "limit", func(sc *capture.Scenario) { patch(sc, "\x48\x83\x38\x21", "\x48\x83\x38\x22") }},
		// mov rax, [rbp-x] before the traced function is called: its count
		{"trampoline forgets rax", "tramp_bpf2bpf_both", "expected no violation", func(sc *capture.Scenario) {
			for i := range sc.Trampolines {
				code := sc.Trampolines[i].Image
				at := bytes.LastIndex(code, []byte("\x48\x8b\x85"))
				copy(code[at:], "\x31\xc0\x0f\x1f\x44\x00\x00")
			}
		}},
		{"no instruction", "hierarchy", "unrecognized instruction", func(sc *capture.Scenario) { patch(sc, "\x48\x83\x38\x21", "\x06\x06\x06\x06") }},
		{"no address", "hierarchy", "cannot be set up", func(sc *capture.Scenario) { sc.Progs[0].Funcs[0].Addr = 1 << 63 }},
		{"no room", "tramp_context", "overlap", func(sc *capture.Scenario) { sc.Trampolines[0].Addr = sc.Progs[0].Funcs[0].Addr }},
		{"trampoline without an end", "tramp_context", "expected no violation, found ", func(sc *capture.Scenario) {
			for i := range sc.Trampolines {
				copy(sc.Trampolines[i].Image[19:], "\xeb\xfe")
			}
		}},
		{"no trampoline", "tramp_context", "", func(sc *capture.Scenario) { sc.Trampolines[0].Error = "not readable" }},
	} {
		t.Run(tc.what, func(t *testing.T) {
			res := change(tc.scenario, tc.change)
			if tc.want == "" {
				if !strings.Contains(res.Skipped, "no image of a trampoline: not readable") {
					t.Errorf("skipped: %q", res.Skipped)
				}
				return
			}
			if text := strings.Join(res.Wrong, "\n"); !strings.Contains(text, tc.want) {
				t.Errorf("wrong: %q, expected %q", text, tc.want)
			}
		})
	}
}

// TestSourceMismatch refuses captures whose programs are not those of their source.
func TestSourceMismatch(t *testing.T) {
	file, err := capture.LoadFS(fixtures.FS, libraryCapture)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(sc *capture.Scenario){
		"instructions": func(sc *capture.Scenario) { sc.Progs[0].Insns[0].Imm++ },
		"slots":        func(sc *capture.Scenario) { sc.ProgArrays = nil },
		"map":          func(sc *capture.Scenario) { sc.Maps[0].MaxEntries++ },
		"no YAML":      func(sc *capture.Scenario) { sc.Source = "{" },
	} {
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(file.Scenarios, func(s capture.Scenario) bool { return s.Name == "chain33" })
			one := *file
			one.Scenarios = []capture.Scenario{file.Scenarios[i].Order()}
			sc := &one.Scenarios[0]
			full := file.Scenarios[i]
			sc.Progs, sc.Maps = slices.Clone(full.Progs), slices.Clone(full.Maps)
			sc.Progs[0].Insns = slices.Clone(sc.Progs[0].Insns)
			change(sc)
			src := reread(t, &one)
			target, err := src.Header.Target()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := replay.Capture(src, target, 0); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// TestSessionOfCapture draws the stack of a captured scenario.
func TestSessionOfCapture(t *testing.T) {
	src, err := capture.OpenFS(fixtures.FS, libraryCapture, "library")
	if err != nil {
		t.Fatal(err)
	}
	target, err := src.Header.Target()
	if err != nil {
		t.Fatal(err)
	}
	picked, err := replay.Select(src, "hierarchy")
	if err != nil {
		t.Fatal(err)
	}
	c, err := replay.Capture(src, target, picked[0])
	if err != nil {
		t.Fatal(err)
	}
	r, err := replay.New(runner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s, err := r.Session(c.(*replay.Sourced))
	if err != nil {
		t.Fatal(err)
	}
	at, err := stack.ParseAt("tailcall:33")
	if err != nil {
		t.Fatal(err)
	}
	if d, err := s.Stack(context.Background(), 1, at); err != nil || len(d) != 1 {
		t.Errorf("%d drawings, %v", len(d), err)
	}
	if why, err := r.Unsafe(context.Background(), c); why != "" || err != nil {
		t.Errorf("unsafe: %s, %v", why, err)
	}
}
