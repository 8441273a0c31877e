// SPDX-License-Identifier: GPL-2.0-only

package x86_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit/x86"
)

// capImage is the code of one captured function in one state, or of a trampoline.
type capImage struct {
	where string
	addr  x86.Addr
	code  []byte
	refs  []capRef
	// starts are offsets at which instructions begin according to the capture.
	starts []int
}

// capRef is a position-dependent operand as the capture's own decoder found it.
type capRef struct {
	Func, Off, Imm int
	Kind, Target   string
}

type capProg struct {
	Funcs []struct {
		Addr  string
		Image map[string]string
	}
	InsnMap   [][4]int                  `json:"insn_map"`
	TailCalls []struct{ Func, Off int } `json:"tail_calls"`
	Refs      map[string][]capRef
}

type capLine struct {
	Type, Name  string
	Progs       []capProg
	Trampolines []struct {
		Addr, Image string
		Refs        []capRef
	}
}

// captures returns all images of all captures, read once; under -short those of the newest kernel.
var captures = sync.OnceValues(func() ([]capImage, error) {
	pattern := "kernels/*.jsonl.gz"
	if testing.Short() {
		pattern = "kernels/*7.2-off.jsonl.gz"
	}
	names, err := fs.Glob(fixtures.FS, pattern)
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("no captures: %v", err)
	}
	var images []capImage
	for _, name := range names {
		f, err := fixtures.FS.Open(name)
		if err != nil {
			return nil, err
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, err
		}
		sc := bufio.NewScanner(z)
		sc.Buffer(nil, 64<<20)
		for sc.Scan() {
			var l capLine
			if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			images = append(images, l.images(name)...)
		}
		if err := sc.Err(); err != nil {
			return nil, err
		}
	}
	return images, nil
})

func (l *capLine) images(file string) []capImage {
	var out []capImage
	for p, prog := range l.Progs {
		for f, fn := range prog.Funcs {
			var starts []int
			for _, m := range prog.InsnMap {
				if m[2] == f {
					starts = append(starts, m[3])
				}
			}
			for _, tc := range prog.TailCalls {
				if tc.Func == f {
					starts = append(starts, tc.Off)
				}
			}
			addr, _ := strconv.ParseUint(fn.Addr, 16, 64)
			for state, code := range fn.Image {
				c, _ := hex.DecodeString(code)
				im := capImage{where: fmt.Sprintf("%s %s prog %d func %d %s", file, l.Name, p, f, state),
					addr: x86.Addr(addr), code: c, starts: starts}
				for _, r := range prog.Refs[state] {
					if r.Func == f {
						im.refs = append(im.refs, r)
					}
				}
				out = append(out, im)
			}
		}
	}
	for n, t := range l.Trampolines {
		addr, _ := strconv.ParseUint(t.Addr, 16, 64)
		c, _ := hex.DecodeString(t.Image)
		out = append(out, capImage{where: fmt.Sprintf("%s %s trampoline %d", file, l.Name, n),
			addr: x86.Addr(addr), code: c, refs: t.Refs})
	}
	return out
}

func loadCaptures(t testing.TB) []capImage {
	t.Helper()
	images, err := captures()
	if err != nil {
		t.Fatal(err)
	}
	return images
}

// TestDecodeCaptures decodes everything that the captured kernels emitted from the first byte to
// the last, and checks instruction boundaries and position-dependent operands against the
// captures' own decoder.
func TestDecodeCaptures(t *testing.T) {
	var images, insns, refs, bad int
	unknown := map[string]string{}
	for _, im := range loadCaptures(t) {
		images++
		at := map[int]x86.Inst{}
		for off := 0; off < len(im.code); {
			i, err := x86.Decode(im.code[off:], im.addr+x86.Addr(off))
			if err != nil {
				t.Fatalf("%s: offset %d: %v", im.where, off, err)
			}
			if !i.Known {
				unknown[i.Op] = fmt.Sprintf("%s offset %d: %s", im.where, off, i.String())
			}
			at[off] = i
			insns++
			off += int(i.Len)
		}
		for _, s := range im.starts {
			if _, ok := at[s]; !ok && s != len(im.code) {
				t.Errorf("%s: offset %d is not the start of an instruction", im.where, s)
			}
		}
		for _, r := range im.refs {
			refs++
			if err := checkRef(at, r); err != nil {
				if bad++; bad < 20 {
					t.Errorf("%s: %v", im.where, err)
				}
			}
		}
	}
	for _, op := range sorted(unknown) {
		t.Errorf("attributes of %s are not known: %s", op, unknown[op])
	}
	if images == 0 || insns == 0 || refs == 0 {
		t.Fatalf("%d images, %d instructions, %d operands: nothing was checked", images, insns, refs)
	}
	t.Logf("%d images, %d instructions, %d operands, %d wrong", images, insns, refs, bad)
}

func sorted(m map[string]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func checkRef(at map[int]x86.Inst, r capRef) error {
	i, ok := at[r.Off]
	if !ok {
		return fmt.Errorf("no instruction at %d for %v", r.Off, r)
	}
	v, _ := strconv.ParseUint(r.Target, 16, 64)
	target := x86.Addr(v)
	var good bool
	switch r.Kind {
	case "call":
		good = i.Branch == x86.BranchCall && i.Target == target
	case "jmp":
		good = i.Branch == x86.BranchJump && i.Target == target
	case "jcc":
		good = i.Branch == x86.BranchCond && i.Target == target
	case "gs":
		good = i.HasMem && i.Mem.Seg == x86.SegGS && !i.Mem.RIPRel && x86.Addr(i.Mem.Disp) == target
	case "gs-rip":
		good = i.HasMem && i.Mem.Seg == x86.SegGS && i.Mem.RIPRel && i.Next()+x86.Addr(i.Mem.Disp) == target
	case "rip":
		good = i.HasMem && i.Mem.Seg == x86.SegNone && i.Mem.RIPRel && i.Next()+x86.Addr(i.Mem.Disp) == target
	case "movabs", "imm", "abs", "abs64", "imm64":
		imm, ok := i.Imm()
		good = ok && i.Op == "mov" && x86.Addr(imm) == target
	}
	if !good || r.Imm <= r.Off || r.Imm >= r.Off+int(i.Len) {
		return fmt.Errorf("%s at %d for %+v", i.String(), r.Off, r)
	}
	return nil
}

// objdump returns the lines of a linear disassembly of code, or skips the test.
func objdump(t *testing.T, code []byte, addr x86.Addr) []string {
	t.Helper()
	tool, err := exec.LookPath("objdump")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("objdump is missing: install binutils")
		}
		t.Skip("objdump is not installed")
	}
	file := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(file, code, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, "-D", "-b", "binary", "-m", "i386:x86-64", "-M", "intel", "-w", "--insn-width=15",
		"--adjust-vma="+fmt.Sprintf("%#x", uint64(addr)), file).Output()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, l := range strings.Split(string(out), "\n") {
		if strings.Count(l, "\t") >= 2 {
			lines = append(lines, l)
		}
	}
	return lines
}

// TestDecodeAgainstObjdump compares the text of every distinct instruction of the captures with
// what GNU binutils print, apart from spelling: case, blanks, a zero displacement.
func TestDecodeAgainstObjdump(t *testing.T) {
	seen := map[string]bool{}
	var all []string
	for _, im := range loadCaptures(t) {
		for off := 0; off < len(im.code); {
			i, err := x86.Decode(im.code[off:], im.addr)
			if err != nil {
				t.Fatal(err)
			}
			b := string(im.code[off : off+int(i.Len)])
			if !seen[b] {
				seen[b] = true
				all = append(all, b)
			}
			off += int(i.Len)
		}
	}
	sort.Strings(all)
	const addr = 0xffffffffc0000000
	code := []byte(strings.Join(all, ""))
	lines := objdump(t, code, addr)
	if len(lines) != len(all) {
		t.Errorf("objdump has %d instructions, we have %d", len(lines), len(all))
	}
	off, bad := 0, 0
	for n := 0; n < min(len(lines), len(all)) && bad < 20; n++ {
		i, err := x86.Decode([]byte(all[n]), addr+x86.Addr(off))
		if err != nil {
			t.Fatal(err)
		}
		off += int(i.Len)
		f := strings.SplitN(lines[n], "\t", 3)
		want := gnuText(f[2])
		if got := ourText(&i); got != want {
			bad++
			t.Errorf("% x: %q, objdump %q", all[n], got, want)
		}
	}
	t.Logf("%d distinct instructions", len(all))
}

func gnuText(s string) string {
	s, _, _ = strings.Cut(s, "#")
	s = strings.ToLower(strings.Join(strings.Fields(s), ""))
	s = strings.ReplaceAll(s, "+0x0]", "]")
	s = strings.ReplaceAll(s, "movabs", "mov")
	for _, redundant := range []string{"rex", "cs"} {
		s = strings.TrimPrefix(s, redundant)
	}
	if strings.HasSuffix(s, ",1") { // the shift forms without an immediate byte
		s = s[:len(s)-1] + "0x1"
	}
	if _, tail, ok := strings.Cut(s, "rip+0xffffffff"); ok { // with a segment, it does not print the sign
		v, _ := strconv.ParseUint(tail[:8], 16, 32)
		s = strings.Replace(s, "+0xffffffff"+tail[:8], fmt.Sprintf("-%#x", 1<<32-v), 1)
	}
	if s == "xchgax,ax" {
		return "nop"
	}
	if n := strings.Index(s, "gs:0x"); n >= 0 { // gs:0x10 for gs:[0x10]
		end := strings.IndexByte(s[n:], ',')
		if end < 0 {
			end = len(s) - n
		}
		s = s[:n] + "gs:[" + s[n+3:n+end] + "]" + s[n+end:]
	}
	return s
}

func ourText(i *x86.Inst) string {
	return strings.ReplaceAll(i.String(), " ", "")
}

func BenchmarkDecode(b *testing.B) {
	var code bytes.Buffer
	for n, im := range loadCaptures(b) {
		if n%500 == 0 {
			code.Write(im.code)
		}
	}
	var n int
	for b.Loop() {
		c := code.Bytes()
		for len(c) > 0 {
			i, err := x86.Decode(c, 0)
			if err != nil {
				b.Fatal(err)
			}
			n++
			c = c[i.Len:]
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "insns/s")
}
