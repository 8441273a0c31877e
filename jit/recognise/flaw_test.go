// SPDX-License-Identifier: GPL-2.0-only

package recognise_test

import (
	"bytes"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tcsim/tcsim/fixtures"
	captures "github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
)

// TestSiteFlawsCaptures finds nothing wrong with any tail call of any captured kernel, in any state of
// the prog arrays.
func TestSiteFlawsCaptures(t *testing.T) {
	var sites atomic.Int64
	t.Run("all", func(t *testing.T) {
		eachCapture(t, func(t *testing.T, s *captures.Scenario) {
			for n := range s.Progs {
				for st, funcs := range images(&s.Progs[n]) {
					img, err := recognise.RecogniseImage(funcs)
					must(t, err)
					flaws, err := recognise.SiteFlaws(img, 33)
					must(t, err)
					more, err := recognise.ReloadFlaws(img)
					must(t, err)
					loose, err := recognise.LooseEnds(img)
					must(t, err)
					for _, f := range slices.Concat(flaws, more, loose) {
						t.Errorf("%s prog %d %v: %s+%#x: %s", s.Name, n, st, img.Funcs[f.Func].Name, int(f.Off), f.Text)
					}
					for i := range img.Funcs {
						sites.Add(int64(len(img.Funcs[i].TailCalls)))
					}
				}
			}
		})
	})
	atLeast := int64(10_000)
	if testing.Short() {
		atLeast = 500
	}
	if sites.Load() < atLeast {
		t.Errorf("only %d tail calls were looked at", sites.Load())
	}
}

// firstTailCall is the first tail call of a captured program.
type firstTailCall struct {
	funcs []image.FuncImage
	fn    int
	site  image.TailCallSite
}

// flawless holds what flawed has read, by file and scenario.
var flawless = map[[2]string]firstTailCall{}

// flawed returns the functions of a captured program and its first tail call.
func flawed(t *testing.T, file, scenario string) ([]image.FuncImage, int, image.TailCallSite) {
	t.Helper()
	key := [2]string{file, scenario}
	if found, ok := flawless[key]; ok {
		return slices.Clone(found.funcs), found.fn, found.site
	}
	src, err := captures.OpenFS(fixtures.FS, file, file)
	must(t, err)
	for s, err := range src.All() {
		must(t, err)
		if s.Name != scenario {
			continue
		}
		img, err := recognise.RecogniseImage(images(&s.Progs[0])[captures.Empty])
		must(t, err)
		for i := range img.Funcs {
			if f := &img.Funcs[i]; len(f.TailCalls) > 0 {
				flawless[key] = firstTailCall{img.Funcs, i, f.TailCalls[0]}
				return slices.Clone(img.Funcs), i, f.TailCalls[0]
			}
		}
	}
	t.Fatalf("no tail call in %s", scenario)
	return nil, 0, image.TailCallSite{}
}

// TestSiteFlaws changes single bytes of a kernel's tail call.
func TestSiteFlaws(t *testing.T) {
	for _, tc := range []struct {
		file, scenario string
		at             func(s *image.TailCallSite) image.CodeOff
		old, new       byte
		want           string
	}{
		{"6.12-off", "hier/self/var/n2/r6", func(s *image.TailCallSite) image.CodeOff { return s.Limit - 1 }, 33, 32, "the limit is 32, not 33"},
		{"6.12-off", "hier/self/var/n2/r6", func(s *image.TailCallSite) image.CodeOff { return s.Limit }, 0x73, 0x74, "lets more than that pass"},
		{"6.12-off", "hier/self/var/n2/r6", func(s *image.TailCallSite) image.CodeOff { return s.Bump + 3 }, 1, 2, "it does not add 1"},
		{"6.12-off", "hier/self/var/n2/r6", func(s *image.TailCallSite) image.CodeOff { return s.Bump }, 0x48, 0x40, ""}, // 4 bytes
		{"6.12-off", "hier/self/var/n2/r6", func(s *image.TailCallSite) image.CodeOff { return s.Limit - 4 }, 0x48, 0x40, "it counts in 8 bytes, but the comparison sees 4"},
		{"6.12-off", "hier/self/var/n2/r6", func(s *image.TailCallSite) image.CodeOff { return s.Null }, 0x74, 0x75, "does not check whether the slot is empty"},
		{"6.12-off", "hier/self/var/n2/r6", func(s *image.TailCallSite) image.CodeOff { return s.Null + 1 }, 0x11, 0x12, "it is not checked whether the slot is empty"},
		{"6.12-off", "hier/self/var/n2/r6", func(s *image.TailCallSite) image.CodeOff { return s.Bounds }, 0x76, 0x72, "lets others pass"},
		{"6.12-off", "hier/self/var/n2/r6", func(s *image.TailCallSite) image.CodeOff { return s.Bounds - 1 }, 0x24, 0, "the index is not compared with bpf_map.max_entries"},
		{"6.12-off", "hier/self/var/n2/r6", func(s *image.TailCallSite) image.CodeOff { return s.Unwind }, 0x58, 0x5c, "it loses the stack pointer"},
		{"6.12-off", "hier/self/var/n2/r6", func(s *image.TailCallSite) image.CodeOff { return s.Unwind }, 0x58, 0x5b, "with another rbx than the caller had"},
		{"6.12-off", "hier/self/var/n2/r6", func(s *image.TailCallSite) image.CodeOff { return s.Unwind }, 0x58, 0x5f, "it changes the context"},
		{"6.12-off", "hier/self/var/n2/r6", func(s *image.TailCallSite) image.CodeOff { return s.Unwind }, 0x58, 0x90, "it leaves with rsp at rbp-8"},
		{"6.12-off", "hier/self/var/n2/r6", func(s *image.TailCallSite) image.CodeOff { return s.Jump - 1 }, 0x10, 0x0c, "it enters programs at +0xc"},
		{"6.12-off", "hier/self/var/n2/r6", func(s *image.TailCallSite) image.CodeOff { return s.Jump + 1 }, 0xe1, 0xe2, "something else than the program in the slot"},
		{"6.1-off", "tail/main/var/callee1111/stack8", func(s *image.TailCallSite) image.CodeOff { return s.Bump - 1 }, 1, 3, "it does not add 1"},
		{"6.1-off", "tail/main/var/callee1111/stack8", func(s *image.TailCallSite) image.CodeOff { return s.Unwind + 1 }, 0x5f, 0x5e, "with another r15 than the caller had"},
		{"6.1-off", "tail/main/var/callee1111/stack8", func(s *image.TailCallSite) image.CodeOff { return s.Start }, 0x89, 0x8b, ""},
	} {
		funcs, n, s := flawed(t, "kernels/"+tc.file+".jsonl.gz", tc.scenario)
		f := &funcs[n]
		at := tc.at(&s)
		if f.Code[at] != tc.old {
			t.Errorf("%s: %#x holds %#x, not %#x", tc.want, int(at), f.Code[at], tc.old)
			continue
		}
		f.Code = bytes.Clone(f.Code)
		f.Code[at] = tc.new
		img, err := recognise.RecogniseImage(funcs)
		must(t, err)
		flaws, err := recognise.SiteFlaws(img, 33)
		must(t, err)
		if tc.want == "" && len(flaws) > 0 || tc.want != "" && (len(flaws) == 0 || flaws[0].Func != n || !strings.Contains(flaws[0].Text, tc.want)) {
			t.Errorf("%+v, want %q", flaws, tc.want)
		}
	}
}

// TestSiteFlawsOrder moves the check of the index past the comparison with the limit, which is as good, and past the
// load of the slot, which is not.
func TestSiteFlawsOrder(t *testing.T) {
	for _, tc := range []struct {
		past int // bytes that the check is moved over
		want string
	}{{13, ""}, {21, "it reads the slot before the index is checked"}} {
		funcs, n, s := flawed(t, "kernels/6.12-off.jsonl.gz", "hier/self/var/n2/r6")
		f := &funcs[n]
		const check = 7 // bytes: mov edx, edx; cmp [rsi+24h], edx; jbe
		at, end := int(s.Start), int(s.Start)+check+tc.past
		if int(s.Bounds) != at+5 || int(s.Limit) != at+check+11 {
			t.Fatalf("the site is another: %+v", s)
		}
		f.Code = slices.Concat(f.Code[:at], f.Code[at+check:end], f.Code[at:at+check], f.Code[end:])
		f.Code[end-1] -= byte(tc.past)   // the distance of jbe
		f.Code[s.Limit+1-check] += check // and of jae
		img, err := recognise.RecogniseImage(funcs)
		must(t, err)
		flaws, err := recognise.SiteFlaws(img, 33)
		must(t, err)
		if tc.want == "" && len(flaws) > 0 || tc.want != "" && (len(flaws) != 1 || !strings.HasSuffix(flaws[0].Text, tc.want)) {
			t.Errorf("moved by %d bytes: %+v, want %q", tc.past, flaws, tc.want)
		}
	}
}

// TestSiteFlawsCount counts in a register: what is read through the pointer, which is as good, and the pointer itself.
func TestSiteFlawsCount(t *testing.T) {
	for _, tc := range []struct {
		load []byte // of rdx
		want string
	}{{[]byte{0x48, 0x8b, 0x10}, ""}, {nil, "it does not add 1 to the counter"}} {
		funcs, n, s := flawed(t, "kernels/6.12-off.jsonl.gz", "hier/self/var/n2/r6")
		f := &funcs[n]
		if tc.load == nil { // mov rdx, [rbp-x], as rax is loaded
			start := int(s.Limit) - 11
			tc.load = slices.Concat([]byte{0x48, 0x8b, 0x95}, f.Code[start+3:start+7])
		}
		bump := slices.Concat(tc.load, []byte{0x48, 0x83, 0xc2, 1, 0x48, 0x89, 0x10}) // add rdx, 1; mov [rax], rdx
		for _, jump := range []int{int(s.Bounds), int(s.Limit), int(s.Null)} {
			f.Code = bytes.Clone(f.Code)
			f.Code[jump+1] += byte(len(bump) - 4)
		}
		f.Code = slices.Concat(f.Code[:s.Bump], bump, f.Code[s.Bump+4:])
		img, err := recognise.RecogniseImage(funcs)
		must(t, err)
		flaws, err := recognise.SiteFlaws(img, 33)
		must(t, err)
		if tc.want == "" && len(flaws) > 0 || tc.want != "" && (len(flaws) != 1 || !strings.HasSuffix(flaws[0].Text, tc.want)) {
			t.Errorf("% x: %+v, want %q", bump, flaws, tc.want)
		}
	}
}

// TestReloadFlaws takes away what loads the counter before calls, one by one.
func TestReloadFlaws(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	for _, file := range []string{"kernels/5.10-off.jsonl.gz", "kernels/6.1-off.jsonl.gz", "kernels/6.12-off.jsonl.gz", "kernels/7.3-off.jsonl.gz"} {
		src, err := captures.OpenFS(fixtures.FS, file, file)
		must(t, err)
		tried := 0
		for s, err := range src.All() {
			must(t, err)
			if tried == 20 {
				break
			}
			if !strings.HasPrefix(s.Name, "tail/sub/") {
				continue
			}
			funcs := images(&s.Progs[0])[captures.Empty]
			img, err := recognise.RecogniseImage(funcs)
			must(t, err)
			for i := range img.Funcs {
				for _, call := range img.Funcs[i].Calls {
					load := int(call.Off) - 7 // mov rax, [rbp+disp32]
					code := img.Funcs[i].Code
					if call.Func < 0 || load < 0 || !bytes.HasPrefix(code[load:], []byte{0x48, 0x8b, 0x85}) {
						continue
					}
					for _, instead := range [][]byte{{0x0f, 0x1f, 0x80, 0, 0, 0, 0}, {0x48, 0x8b, 0x85, 0x40, 0, 0, 0}, {0x48, 0x8b, 0x8d, code[load+3], code[load+4], code[load+5], code[load+6]}} {
						funcs[i].Code = bytes.Clone(code)
						copy(funcs[i].Code[load:], instead)
						changed, err := recognise.RecogniseImage(funcs)
						must(t, err)
						flaws, err := recognise.ReloadFlaws(changed)
						must(t, err)
						if len(flaws) != 1 || flaws[0].Off != call.Off {
							t.Errorf("%s: %s: function %d: % x at %#x: %v", file, s.Name, i, instead, load, flaws)
						}
						funcs[i].Code = code
						tried++
					}
				}
			}
		}
		if tried == 0 {
			t.Errorf("%s: no call with a counter", file)
		}
	}
}

// TestEntryMark wants the very nop with which FineIBT replaces endbr64 where functions begin: by it the kernel finds the place
// of the trampolines (is_endbr, arch/x86/include/asm/ibt.h; bpf_arch_text_poke), and with another one patches the nop itself.
func TestEntryMark(t *testing.T) {
	for _, c := range []struct {
		entry string
		rules recognise.EntryRules
		bad   bool
	}{
		{"f30f1efa", recognise.EntryRules{IBT: true}, false},
		{"660f1f00", recognise.EntryRules{IBT: true}, true},
		{"660f1f00", recognise.EntryRules{IBT: true, Poison: emit.Poison(kernels.CFIFine)}, false},
		{"0f1f4000", recognise.EntryRules{IBT: true, Poison: emit.Poison(kernels.CFIFine)}, true},
		{"f30f1efa", recognise.EntryRules{IBT: true, Poison: emit.Poison(kernels.CFIFine)}, true},
		{"0f1f40d6", recognise.EntryRules{IBT: true, Poison: emit.Poison(kernels.CFIFineEAX)}, false},
		{"0f1f40d7", recognise.EntryRules{IBT: true, Poison: emit.Poison(kernels.CFIFineEAXBHI)}, true},
	} {
		code := assemble(t, c.entry+" 0f1f440000 0f1f00 55 4889e5 f30f1efa 31c0 c9 c3")
		fn, err := recognise.Recognise(code, 0xffffffffc0001000, false)
		if err != nil {
			t.Fatal(err)
		}
		c.rules.Design, c.rules.Limit, c.rules.Attached = design.Hier612, 33, true
		flaws, err := recognise.EntryFlaws(&image.Image{Funcs: []image.FuncImage{fn}}, c.rules)
		if err != nil || (len(flaws) > 0) != c.bad {
			t.Errorf("%s, % x: %v, %v", c.entry, c.rules.Poison, flaws, err)
		}
	}
}

// TestDeepestFrame takes the deepest frame that kernels make, 512 bytes, a timed counter of may_goto and a bpf_loop that is
// inlined, and no deeper one. 6.12.117 made one of 544 bytes.
func TestDeepestFrame(t *testing.T) {
	for _, c := range []struct {
		size string
		bad  bool
	}{{"00020000", false}, {"20020000", false}, {"28020000", false}, {"30020000", true}, {"24020000", true}} {
		code := assemble(t, "f30f1efa 0f1f440000 0f1f00 55 4889e5 f30f1efa 4881ec"+c.size+" 31c0 c9 c3")
		fn, err := recognise.Recognise(code, 0xffffffffc0001000, false)
		if err != nil {
			t.Fatal(err)
		}
		rules := recognise.EntryRules{Design: design.Hier612, Limit: 33, IBT: true, Attached: true}
		flaws, err := recognise.EntryFlaws(&image.Image{Funcs: []image.FuncImage{fn}}, rules)
		if err != nil || (len(flaws) > 0) != c.bad {
			t.Errorf("%s: %v, %v", c.size, flaws, err)
		}
	}
}
