// SPDX-License-Identifier: GPL-2.0-only

package live_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/capture/live"
	"github.com/tcsim/tcsim/jit/conform"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
)

// open returns the running kernel, or skips: most machines that run tests do not let them load
// programs. The same code is tested in a virtual machine, see jit/capture/vm.
func open(t *testing.T) *live.Kernel {
	t.Helper()
	k, err := live.Open(options())
	var missing live.Missing
	if errors.As(err, &missing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

// TestCapture has the running kernel compile programs of the captures again. What does not depend on
// the kernel is as it was, and what the kernel made conforms if there is a target for it.
func TestCapture(t *testing.T) {
	k := open(t)
	src, err := capture.OpenFS(fixtures.FS, "kernels/6.18-host.jsonl.gz", "6.18-host")
	if err != nil {
		t.Fatal(err)
	}
	step := 20
	if testing.Short() {
		step = 100
	}
	var orders, want []capture.Scenario
	for i := 0; i < src.Len(); i += step {
		sc, err := src.Scenario(i)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, *sc)
		orders = append(orders, sc.Order())
	}
	f, err := k.Capture(context.Background(), orders, nil)
	if err != nil {
		t.Fatal(err)
	}
	same := strings.HasPrefix(f.Header.Kernel.Release, "6.18.")
	for i := range want {
		if e := f.Scenarios[i].Error; e != "" {
			t.Errorf("%s: %s", want[i].Name, e)
		}
		for j := range want[i].Progs {
			w, g := &want[i].Progs[j], &f.Scenarios[i].Progs[j]
			if same && (w.LoadError == "") != (g.LoadError == "") {
				t.Errorf("%s: %s: load error %q, was %q", want[i].Name, w.Name, g.LoadError, w.LoadError)
			}
			if g.LoadError == "" && w.LoadError == "" && w.Tag != g.Tag {
				t.Errorf("%s: %s: tag %s, was %s", want[i].Name, w.Name, g.Tag, w.Tag)
			}
			if g.LoadError == "" && len(g.InsnMap) == 0 {
				t.Errorf("%s: %s: no places of instructions", want[i].Name, w.Name)
			}
		}
	}
	conforms(t, f)
}

// conforms checks a capture by writing and reading it and compiling its programs.
func conforms(t *testing.T, f *capture.File) {
	t.Helper()
	path := t.TempDir() + "/live.jsonl.gz"
	if err := capture.WriteFile(path, f); err != nil {
		t.Fatal(err)
	}
	src, err := capture.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	target, err := f.Header.Target()
	if err != nil {
		t.Skipf("no target for this kernel: %v", err)
	}
	if target.Evidence == design.BySource {
		t.Skipf("the bytes of target %s are not known well enough", target.Name)
	}
	r, err := conform.Compare(src, conform.Options{Keep: 3})
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() || r.Total().Total == 0 {
		t.Errorf("%s: identical %v, facts %v\n%+v", target.Name, r.Total(), r.Facts, r.Mismatches)
	}
}

// TestFound captures programs that are loaded already, in use and with filled prog arrays, by id and all.
func TestFound(t *testing.T) {
	k := open(t)
	f, err := capture.LoadFS(fixtures.FS, "live/6.18-library.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(f.Scenarios, func(s capture.Scenario) bool { return s.Name == "hierarchy" })
	mine := f.Scenarios[i].Order()
	l, err := k.Load(&mine)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Record(); err != nil {
		t.Fatal(err)
	}
	if err := l.Fill(); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Found(live.Choice{IDs: []uint32{1 << 30}}); err == nil {
		t.Error("found a program that does not exist")
	}
	all, err := k.Found(live.Choice{All: true})
	if err != nil {
		t.Fatal(err)
	}
	found, _ := foundAt(all, mine.Progs[0].Funcs[0].Addr)
	if found == nil {
		t.Fatal("the program is not among all")
	}
	_, number, _ := strings.Cut(found.Name, "#")
	id, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	one, err := k.Found(live.Choice{IDs: []uint32{uint32(id)}})
	if err != nil {
		t.Fatal(err)
	}
	found, slots := foundAt(one, mine.Progs[0].Funcs[0].Addr)
	if found == nil || len(one.Scenarios) != 1 || len(one.Scenarios[0].Progs) != 1 || slots == 0 {
		t.Fatalf("found %v with %d slots by id", found, slots)
	}
	for j := range found.Funcs {
		if d := cmp.Diff(mine.Progs[0].Funcs[j].Code(capture.Populated), found.Funcs[j].Code(capture.Empty)); d != "" {
			t.Errorf("function %d: (-loaded +found)\n%s", j, d)
		}
	}
	if len(found.TailCalls) != 1 || found.Funcs[1].Name != "sub" {
		t.Errorf("tail calls %v in %v", found.TailCalls, found.Funcs[1].Name)
	}
	conforms(t, one)
}

// foundAt returns the program whose code is at an address, which no other program on the machine has
// while it is loaded, and how many slots of prog arrays were found with it.
func foundAt(f *capture.File, at image.Addr) (*capture.Prog, int) {
	for i := range f.Scenarios {
		sc := &f.Scenarios[i]
		for j := range sc.Progs {
			if p := &sc.Progs[j]; p.LoadError == "" && p.Funcs[0].Addr == at {
				return p, len(sc.ProgArrays)
			}
		}
	}
	return nil, 0
}

// TestOffsets compares the kernel's own offsets with those of the table.
func TestOffsets(t *testing.T) {
	k := open(t)
	target, err := jit.TargetFor(k.Header.Kernel)
	if err != nil {
		t.Skip(err)
	}
	if d := cmp.Diff(target.Offsets, *k.Header.Offsets); d != "" {
		t.Errorf("(-table +kernel)\n%s", d)
	}
}

// TestInterrupt ends a capture early.
func TestInterrupt(t *testing.T) {
	k := open(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if f, err := k.Capture(ctx, make([]capture.Scenario, 1), nil); !errors.Is(err, context.Canceled) || f != nil {
		t.Errorf("got %v, %v", f, err)
	}
}

func TestParseConfig(t *testing.T) {
	got, err := live.ParseConfig([]byte("#\n# CONFIG_MITIGATION_SLS is not set\nCONFIG_BPF_JIT=y\nCONFIG_HZ=250\nCONFIG_CC_VERSION_TEXT=\"gcc 1\"\nCONFIG_USB=m\n"))
	want := map[string]string{"CONFIG_MITIGATION_SLS": "n", "CONFIG_BPF_JIT": "y", "CONFIG_HZ": "250", "CONFIG_CC_VERSION_TEXT": "gcc 1"}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, d)
	}
	for _, bad := range []string{"", "no options\n", "\x1f\x8bno gzip"} {
		if got, err := live.ParseConfig([]byte(bad)); err == nil {
			t.Errorf("%q gives %v", bad, got)
		}
	}
}

// TestEndlessConfig: a device in place of a configuration is not read to its end.
func TestEndlessConfig(t *testing.T) {
	open(t)
	if _, err := live.Open(live.Options{Config: "/dev/zero"}); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Error(err)
	}
}

// TestContextLayout compares where the kernel's own types have the fields of contexts with the table.
func TestContextLayout(t *testing.T) {
	k := open(t)
	target, err := jit.TargetFor(k.Header.Kernel)
	if err != nil {
		t.Skip(err)
	}
	if k.Header.Context == nil {
		t.Fatal("no layout of contexts")
	}
	got := kernels.NewContext(*k.Header.Context)
	want := kernels.Context{SKB: maps.Clone(target.Context.SKB), XDP: target.Context.XDP}
	delete(want.SKB, 84) // napi_id, for which types are not enough
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-table +kernel)\n%s", d)
	}
}
