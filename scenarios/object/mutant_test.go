// SPDX-License-Identifier: GPL-2.0-only

package object_test

import (
	"bytes"
	"debug/elf"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/verify/rewrite"
	"github.com/tcsim/tcsim/scenarios/object"
)

// mutants is how many damaged files are read: 2,000 in CI, 30,000 with TCSIM_MUTANTS=30000.
func mutants(t *testing.T) int {
	n := 2000
	if v := os.Getenv("TCSIM_MUTANTS"); v != "" {
		if _, err := fmt.Sscan(v, &n); err != nil {
			t.Fatal(err)
		}
	} else if testing.Short() {
		n = 300
	}
	return n
}

// TestMutants reads object files with damage in the ELF headers, in BTF and in instructions: each is read and
// analysed, or refused with a message. None may panic.
func TestMutants(t *testing.T) {
	paths, err := filepath.Glob("../../fixtures/objects/*.o")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no object files: %v", err)
	}
	target, err := jit.TargetByName("6.12")
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(14, 8))
	read, accepted := 0, 0
	for n := range mutants(t) {
		path := paths[n%len(paths)]
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		what := damage(rnd, data)
		func() {
			defer func() {
				if r := recover(); r != nil {
					t.Errorf("mutant %d of %s (%s): panic: %v\n%s", n, filepath.Base(path), what, r, debug.Stack())
				}
			}()
			f, err := object.Read("mutant.o", data, object.ReadOptions{})
			if err != nil {
				return
			}
			read++
			b, err := f.Load(nil)
			if err != nil {
				return
			}
			b = b.For(target)
			for i := range b.Programs {
				if out, err := rewrite.Program(&b.Programs[i], &target.Kernel); err == nil {
					accepted++
					if _, err := verify.Analyse(out, &target.Kernel); err != nil {
						t.Errorf("mutant %d of %s (%s): program %s is accepted, and its rewritten form is not: %v", n, filepath.Base(path), what, out.Name, err)
					}
				}
			}
		}()
	}
	t.Logf("%d of %d files could be read, %d programs accepted", read, mutants(t), accepted)
	if read == 0 || accepted == 0 {
		t.Error("all mutants are refused at once: the damage is too great to test anything")
	}
}

// damage changes one to four bytes of one part of a file.
func damage(rnd *rand.Rand, data []byte) string {
	from, to, name := 0, len(data), "anywhere"
	f, err := elf.NewFile(bytes.NewReader(data))
	if err == nil && rnd.IntN(8) != 0 {
		for range 20 {
			s := f.Sections[rnd.IntN(len(f.Sections))]
			if s.Type == elf.SHT_NOBITS || s.Size == 0 || len(s.Name) > 6 && s.Name[:7] == ".debug_" {
				continue
			}
			from, to, name = int(s.Offset), int(s.Offset+s.Size), s.Name
			break
		}
	} else if rnd.IntN(2) == 0 {
		to, name = 64, "header"
	}
	at := 0
	for range 1 + rnd.IntN(4) {
		at = from + rnd.IntN(to-from)
		switch rnd.IntN(3) {
		case 0:
			data[at] ^= 1 << rnd.IntN(8)
		case 1:
			data[at] = byte(rnd.Uint32())
		default:
			data[at] = [...]byte{0, 0xff, 0x7f, 0x80, 1}[rnd.IntN(5)]
		}
	}
	return fmt.Sprintf("%s, last at %#x", name, at)
}

// TestReservedFields: what a kernel refuses is not dropped on the way from the file.
func TestReservedFields(t *testing.T) {
	data, err := os.ReadFile("../../fixtures/objects/maps.o")
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	target, err := jit.TargetByName("6.12")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_EXECINSTR == 0 {
			continue
		}
		for at := s.Offset; at < s.Offset+s.Size; at += bpf.InsnSize {
			if in := bpf.DecodeInsn(data[at:]); in.Op != bpf.OpMovReg && in.Op != bpf.OpMov {
				continue
			}
			bad := bytes.Clone(data)
			bad[at+2] = 5 // off
			g, err := object.Read("bad.o", bad, object.ReadOptions{})
			if err != nil {
				continue
			}
			b, err := g.Load(nil)
			if err != nil {
				t.Fatal(err)
			}
			refused := false
			for i := range b.Programs {
				_, err := rewrite.Program(&b.Programs[i], &target.Kernel)
				refused = refused || err != nil
			}
			if !refused {
				t.Errorf("a mov at %#x with offset 5 is accepted", at)
			}
			if found++; found == 20 {
				return
			}
		}
	}
	if found == 0 {
		t.Error("no mov found")
	}
}

// TestHexContexts: a context is hex or a file of bytes.
func TestHexContexts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctx")
	if err := os.WriteFile(path, []byte{5, 0, 0xff}, 0o600); err != nil {
		t.Fatal(err)
	}
	for arg, want := range map[string][]byte{"05 00 ff": {5, 0, 0xff}, path: {5, 0, 0xff}} {
		got, err := object.Contexts(arg)
		if err != nil || len(got) != 1 || !bytes.Equal(got[0], want) {
			t.Errorf("%q: %x, %v; want %x", arg, got, err, want)
		}
	}
	if _, err := object.Contexts("nonesuch"); err == nil {
		t.Error("a file that does not exist is a context")
	}
}
