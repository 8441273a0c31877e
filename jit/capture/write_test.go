// SPDX-License-Identifier: GPL-2.0-only

package capture_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/kernels"
)

// TestWrite reads what it wrote, of captures that have every field of format 1.
func TestWrite(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	for _, name := range []string{"extra-6.12-off", "extra-7.2-default", "extra-5.10-off"} {
		t.Run(name, func(t *testing.T) {
			want, err := capture.LoadFS(fixtures.FS, "kernels/"+name+".jsonl.gz")
			if err != nil {
				t.Fatal(err)
			}
			got := rewrite(t, want)
			if got.Header.Format != capture.Format {
				t.Errorf("format %d, want %d", got.Header.Format, capture.Format)
			}
			opts := cmp.Options{
				cmp.AllowUnexported(capture.Func{}), cmpopts.EquateEmpty(),
				cmpopts.IgnoreFields(capture.Header{}, "Format"), cmpopts.IgnoreFields(capture.File{}, "Name"),
			}
			if d := cmp.Diff(want, got, opts); d != "" {
				t.Errorf("(-read +read again)\n%.4000s", d)
			}
		})
	}
}

func rewrite(t *testing.T, f *capture.File) *capture.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out.jsonl.gz")
	if err := capture.WriteFile(path, f); err != nil {
		t.Fatal(err)
	}
	got, err := capture.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestWriteNewer covers what format 1 does not have.
func TestWriteNewer(t *testing.T) {
	want, err := capture.LoadFS(fixtures.FS, "kernels/extra-6.1-off.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(want.Scenarios, func(s capture.Scenario) bool { return len(s.Trampolines) > 0 })
	want.Scenarios = want.Scenarios[i : i+1]
	want.Header.Offsets = &kernels.Offsets{MapMaxEntries: 1, ArrayPtrs: 2, ProgBPFFunc: 3}
	s := &want.Scenarios[0]
	s.Source = "version: 1\nname: \"<x>\"\n"
	s.Played = []capture.Played{{Action: 2, Retval: 1 << 31, Values: []capture.MapValue{{Map: 0, Key: []byte{1, 2}, Value: []byte{3}}}}, {Action: 3, Error: "EINVAL"}}
	want.Header.Scenarios = 1
	want.Header.Context = new(kernels.ContextLayout)
	n := int16(0)
	for _, to := range want.Header.Context.Fields() {
		n++
		*to = n
	}
	tracer := slices.IndexFunc(s.Progs, func(p capture.Prog) bool { return p.Attach != nil })
	s.Trampolines[0].Attached = []int{tracer}
	s.Progs[0].Type = bpf.XDP
	s.Progs[0].Attach = &capture.Attach{Kind: capture.KindReplace, Prog: 0, Func: 1}
	for _, object := range []bool{false, true} {
		if object {
			s.Source, s.Object = "", []byte("\x7fELF\x00")
		}
		got := rewrite(t, want)
		opts := cmp.Options{cmp.AllowUnexported(capture.Func{}), cmpopts.EquateEmpty(), cmpopts.IgnoreFields(capture.Header{}, "Format"), cmpopts.IgnoreFields(capture.File{}, "Name"), cmpopts.IgnoreFields(capture.Scenario{}, "Line")}
		if d := cmp.Diff(want, got, opts); d != "" {
			t.Errorf("(-written +read)\n%.4000s", d)
		}
	}
	var a, b bytes.Buffer
	if err := errors.Join(capture.Write(&a, want), capture.Write(&b, want)); err != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Errorf("not the same bytes twice: %v", err)
	}
}

func TestWriteFileLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := capture.WriteFile(filepath.Join(dir, "no", "dir"), &capture.File{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := capture.WriteFile(filepath.Join(dir, "taken"), &capture.File{}); err == nil {
		t.Error("a directory was replaced")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	// What is no regular file is not replaced by one.
	link := filepath.Join(dir, "link")
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	if err := os.Symlink("/dev/full", link); err != nil {
		t.Fatal(err)
	}
	if err := capture.WriteFile(link, &capture.File{}); err == nil {
		t.Error("a full device takes a capture")
	}
	if info, err := os.Stat(link); err != nil || info.Mode().IsRegular() {
		t.Errorf("the device is now %v, %v", info.Mode(), err)
	}
	// A link to a file stays one.
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link2")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink(file, link), capture.WriteFile(link, &capture.File{})); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Size() == 0 {
		t.Errorf("the file was not written: %v", err)
	}
}
