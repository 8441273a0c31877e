// SPDX-License-Identifier: GPL-2.0-only

package capture_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
)

// TestOrder packs what a capture was made of, and changes the version.
func TestOrder(t *testing.T) {
	f, err := capture.LoadFS(fixtures.FS, "live/6.18-library.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	var want []capture.Scenario
	for i := range f.Scenarios {
		want = append(want, f.Scenarios[i].Order())
	}
	text, err := capture.PackOrder(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := capture.UnpackOrder(text)
	if err != nil {
		t.Fatal(err)
	}
	again, err := capture.PackOrder(got)
	if err != nil || !bytes.Equal(text, again) {
		t.Errorf("%v: packing again gives something else\n%s", err, cmp.Diff(want, got))
	}
	other := bytes.Clone(text)
	other[0] ^= 1
	for name, bad := range map[string][]byte{"another version": other, "none": []byte(`{"Scenarios":[]}`)} {
		if got, err := capture.UnpackOrder(bad); !errors.Is(err, capture.ErrOrder) || got != nil {
			t.Errorf("%s: %d scenarios, %v", name, len(got), err)
		}
	}
	if got, err := capture.UnpackOrder(text[:len(text)/2]); err == nil || got != nil {
		t.Errorf("half an order: %d scenarios, %v", len(got), err)
	}
}

// TestOrderOfLoad: what a program is loaded with is in the order, in a file, and in what is compiled of both.
func TestOrderOfLoad(t *testing.T) {
	exit := []bpf.Insn{{Op: bpf.OpMov}, {Op: bpf.OpExit}}
	s := capture.Scenario{Name: "one", ProgType: bpf.Tracing, Progs: []capture.Prog{{
		Name: "p", Insns: exit, Funcs: []capture.Func{{Name: "p"}}, LoadError: "EPERM",
		AttachType: 23, AttachTo: "sched_switch", Sleepable: true, Frags: true,
	}}}
	ordered := s.Order()
	var text bytes.Buffer
	if err := capture.Write(&text, &capture.File{Header: capture.Header{Format: capture.Format}, Scenarios: []capture.Scenario{s}}); err != nil {
		t.Fatal(err)
	}
	src, err := capture.Read(&text, "one")
	if err != nil {
		t.Fatal(err)
	}
	read, err := src.Scenario(0)
	if err != nil {
		t.Fatal(err)
	}
	for from, s := range map[string]*capture.Scenario{"order": &ordered, "file": read} {
		p := s.Submitted(0)
		if p.AttachType != 23 || p.AttachTo != "sched_switch" || !p.Sleepable || !p.Frags {
			t.Errorf("%s: %+v", from, p)
		}
	}
}
