// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package object_test

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/fixtures/flood"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/object"
	"github.com/tcsim/tcsim/scenarios/runner"
)

const folder = "../../fixtures/objects/"

func open(t testing.TB, name string) *object.File {
	t.Helper()
	f, err := object.Open(folder+name, object.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// outcome is what one run gave.
type outcome struct {
	Return, Taken, Refused int
	Broken                 string
}

func play(t *testing.T, b *scenarios.Built, target string) []outcome {
	t.Helper()
	tg, err := jit.TargetByName(target)
	if err != nil {
		t.Fatal(err)
	}
	c, err := runner.Compile(b, tg)
	if err != nil {
		t.Fatal(err)
	}
	s, err := runner.Open(c, runner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	res, err := s.Play(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var out []outcome
	for i := range res.Runs {
		r := &res.Runs[i]
		o := outcome{Return: int(r.Return), Taken: int(r.Counts.Taken)}
		for _, n := range r.Counts.Refused {
			o.Refused += int(n)
		}
		if r.Violation != nil {
			o = outcome{Broken: string(r.Violation.Invariant)}
		}
		out = append(out, o)
	}
	return out
}

// TestRun runs the objects of fixtures/objects on the packets there. A 6.18 kernel answered the
// same for an IPv4/UDP packet on all of them and an IPv6 packet on the dispatcher; the other rows
// follow from the sources.
func TestRun(t *testing.T) {
	packets, err := object.Packets(folder + "packets.pcap")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		file, entry string
		packets     [][]byte
		targets     string
		want        []outcome
	}{
		{"hierarchy.o", "", nil, "6.12,7.2", []outcome{{2, 33, 35, ""}}},
		{"hierarchy.o", "", nil, "5.10,6.1", []outcome{{Broken: "limit"}}},
		{"globals.o", "socket", nil, "5.10,6.1,6.12,7.2", []outcome{{1139, 0, 0, ""}}},
		{"dispatcher.o", "", packets, "5.10,6.1,6.12,7.2", []outcome{
			{0, 2, 0, ""}, {0, 2, 0, ""}, {0, 2, 0, ""}, {2, 1, 1, ""}, {2, 0, 1, ""}, {2, 1, 1, ""}, {2, 0, 0, ""}, {2, 1, 0, ""},
		}},
		{"dispatcher.o", "handle_arp", packets[:1], "6.12", []outcome{{2, 0, 1, ""}}},
		{"xdp.o", "xdp", packets, "5.10,6.1,6.12,7.2", []outcome{
			{1, 1, 0, ""}, {2, 1, 0, ""}, {3, 1, 0, ""}, {2, 0, 1, ""}, {2, 0, 0, ""}, {2, 0, 0, ""}, {2, 0, 0, ""}, {0, 0, 0, ""},
		}},
	} {
		for _, target := range strings.Split(tc.targets, ",") {
			t.Run(tc.file+"/"+tc.entry+"/"+target, func(t *testing.T) {
				b, err := open(t, tc.file).Scenario(object.Options{Entry: tc.entry, Packets: tc.packets})
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(tc.want, play(t, b, target)); d != "" {
					t.Error(d)
				}
			})
		}
	}
}

// TestFile looks at what was read: functions, globals and slots.
func TestFile(t *testing.T) {
	f := open(t, "globals.o")
	got := map[string]string{}
	for _, v := range f.Values {
		got[f.Maps[v.Map].Name] = string(v.Data)
	}
	le := binary.LittleEndian
	want := map[string]string{
		".data":   string(le.AppendUint64(nil, 1000)),
		".bss":    strings.Repeat("\x00", 40),
		".rodata": string(le.AppendUint32(nil, 3)), ".rodata.str1.1": "0123456789\x00",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error("contents: " + d)
	}
	var funcs []string
	for _, fn := range f.Programs[0].Funcs {
		funcs = append(funcs, fn.Name)
	}
	if d := cmp.Diff([]string{"sum", "note", "scale"}, funcs); d != "" {
		t.Error("functions: " + d)
	}
	d := open(t, "dispatcher.o")
	slots := map[uint32]string{}
	for _, s := range d.Slots {
		slots[s.Key] = d.Programs[s.Program].Name
	}
	if diff := cmp.Diff(map[uint32]string{0: "handle_policy", 1: "handle_ipv4", 3: "handle_arp"}, slots); diff != "" {
		t.Error("slots: " + diff)
	}
}

// TestCORE resolves relocations with the file's own types and with those of another file.
func TestCORE(t *testing.T) {
	for types, want := range map[string]int{"": 11, folder + "core_types.o": 1 + 1600} {
		f, err := object.Open(folder+"core.o", object.ReadOptions{BTF: types})
		if err != nil {
			t.Fatal(err)
		}
		b, err := f.Scenario(object.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]outcome{{Return: want}}, play(t, b, "6.12")); d != "" {
			t.Errorf("types %q: %s", types, d)
		}
	}
	for _, types := range []string{"nonesuch", folder + "packets.pcap", "/bin/true"} {
		if f, err := object.Open(folder+"core.o", object.ReadOptions{BTF: types}); err == nil {
			t.Errorf("types %q: %v", types, f.LeftOut())
		}
	}
}

// TestEntry chooses the program to run.
func TestEntry(t *testing.T) {
	for _, tc := range []struct{ file, entry, want string }{
		{"dispatcher.o", "", ""},
		{"dispatcher.o", "tc", "section \"tc\" has several programs: from_container"},
		{"dispatcher.o", "nonesuch", "no section and no program \"nonesuch\": there are from_container"},
		{"xdp.o", "xdp/udp", ""},
		{"hierarchy.o", "", ""}, // the only one, though it is in an array
	} {
		_, err := open(t, tc.file).Scenario(object.Options{Entry: tc.entry})
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s --entry %q: %v", tc.file, tc.entry, err)
		}
	}
}

// TestBadFiles expects clear errors for what is no object file of ours.
func TestBadFiles(t *testing.T) {
	good, err := os.ReadFile(folder + "dispatcher.o")
	if err != nil {
		t.Fatal(err)
	}
	with := func(at int, b ...byte) []byte {
		c := bytes.Clone(good)
		copy(c[at:], b)
		return c
	}
	for name, tc := range map[string]struct {
		data []byte
		want string
	}{
		"empty":        {nil, "no ELF file"},
		"header only":  {good[:20], "bad ELF file"},
		"half":         {good[:len(good)/2], "bad ELF file"},
		"foreign":      {with(18, byte(elf.EM_X86_64)), "EM_X86_64: expected EM_BPF"},
		"executable":   {with(16, byte(elf.ET_EXEC)), "ET_EXEC"},
		"32 bits":      {with(4, 1), "ELF"},
		"other endian": {with(5, 2), "ELF"},
		"no BTF":       {bytes.ReplaceAll(good, []byte(".BTF"), []byte(".XTF")), "clang -g"},
	} {
		f, err := object.Read(name, tc.data, object.ReadOptions{})
		if f != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, %v, want %q", name, f, err, tc.want)
		}
	}
}

// TestTruncated cuts an object file at every place: there is an error or, where only a table that
// nothing needs is cut, a file.
func TestTruncated(t *testing.T) {
	for _, name := range []string{"hierarchy.o", "xdp.o"} {
		good, err := os.ReadFile(folder + name)
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; n < len(good); n += 13 {
			if f, err := object.Read(name, good[:n], object.ReadOptions{}); err == nil {
				t.Errorf("%s: %d of %d bytes give %d programs", name, n, len(good), len(f.Programs))
			}
		}
	}
}

func TestPackets(t *testing.T) {
	pcap, err := os.ReadFile(folder + "packets.pcap")
	if err != nil {
		t.Fatal(err)
	}
	got, err := object.ReadPcap(pcap)
	if err != nil || len(got) != 8 || len(got[0]) != 60 || got[4][12] != 0x86 {
		t.Fatalf("%d packets: %v", len(got), err)
	}
	swapped := bytes.Clone(pcap[:40])
	for at := 0; at < 40; at += 4 {
		binary.BigEndian.PutUint32(swapped[at:], binary.LittleEndian.Uint32(pcap[at:]))
	}
	if p, err := object.ReadPcap(append(swapped, pcap[40:100]...)); err != nil || len(p) != 1 {
		t.Errorf("big endian: %d packets: %v", len(p), err)
	}
	if p, err := object.Packets("00:11 22"); err != nil || !bytes.Equal(p[0], []byte{0, 0x11, 0x22}) {
		t.Errorf("hex: %x %v", p, err)
	}
	bad := map[string]string{
		"no pcap file and":   strings.Repeat("x", 24),
		"are no pcap file":   "x",
		"no byte order":      "\x0a\x0d\x0d\x0a" + strings.Repeat("\x00", 24),
		"link type 113":      string(pcap[:20]) + "\x71\x00\x00\x00",
		"ends in its header": string(pcap[:30]),
		"packet 1: 60 bytes": string(pcap[:50]),
		"no packets":         string(pcap[:24]),
	}
	for want, data := range bad {
		if p, err := object.ReadPcap([]byte(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d packets, %v, want %q", len(p), err, want)
		}
		path := filepath.Join(t.TempDir(), "p")
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := object.Packets(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("file: %v, want %q", err, want)
		}
	}
}

// TestHex reads packets as tools print them.
func TestHex(t *testing.T) {
	want := "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff\x08\x00"
	for name, text := range map[string]string{
		"digits":  "00112233445566778899aabbccddeeff0800",
		"colons":  "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:08:00",
		"C":       "0x00,0x11,0x22,0x33,0x44,0x55,0x66,0x77, 0x88,0x99,0xaa,0xbb,0xcc,0xdd,0xee,0xff,0x08,0x00",
		"tcpdump": "\t0x0000:  0011 2233 4455 6677 8899 aabb ccdd eeff  ..\"3DUfw........\n\t0x0010:  0800                                     ..\n",
		"xxd":     "00000000: 0011 2233 4455 6677 8899 aabb ccdd eeff  ..\"3DUfw........\n00000010: 0800                                     ..\n",
		"hexdump": "00000000  00 11 22 33 44 55 66 77  88 99 aa bb cc dd ee ff  |..\"3DUfw........|\n00000010  08 00                                             |..|\n00000012\n",
		"lines":   "0011 2233 4455 6677\n8899 aabb ccdd eeff 0800\n",
	} {
		if p, err := object.ReadHex(text); err != nil || string(p) != want {
			t.Errorf("%s: %x %v", name, p, err)
		}
	}
	for _, text := range []string{"", "0", "zz", "0011 22 3"} {
		if p, err := object.ReadHex(text); err == nil {
			t.Errorf("%q: %x", text, p)
		}
	}
}

// TestPcapNG reads blocks of either byte order, and says what is wrong with others.
func TestPcapNG(t *testing.T) {
	block := func(bo binary.AppendByteOrder, kind uint32, body ...byte) []byte {
		b := bo.AppendUint32(bo.AppendUint32(nil, kind), uint32(len(body)+12))
		return bo.AppendUint32(append(b, body...), uint32(len(body)+12))
	}
	words := func(bo binary.AppendByteOrder, w ...uint32) (b []byte) {
		for _, x := range w {
			b = bo.AppendUint32(b, x)
		}
		return b
	}
	for _, bo := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		section := block(bo, 0x0a0d0d0a, words(bo, 0x1a2b3c4d, 1<<16, 0xffffffff, 0xffffffff)...)
		link := block(bo, 1, append(bo.AppendUint16(bo.AppendUint16(nil, 1), 0), words(bo, 0)...)...)
		other := block(bo, 1, append(bo.AppendUint16(bo.AppendUint16(nil, 113), 0), words(bo, 0)...)...)
		enhanced := block(bo, 6, append(words(bo, 0, 0, 0, 3, 3), 1, 2, 3, 0)...)
		short := block(bo, 6, append(words(bo, 0, 0, 0, 3, 9), 1, 2, 3, 0)...)
		simple := block(bo, 3, append(words(bo, 2), 8, 9, 0, 0)...)
		got, err := object.ReadPcap(bytes.Join([][]byte{section, link, enhanced, block(bo, 5, words(bo, 1, 2, 3)...), simple}, nil))
		if d := cmp.Diff([][]byte{{1, 2, 3}, {8, 9}}, got); d != "" || err != nil {
			t.Errorf("%v: %v %s", bo, err, d)
		}
		for want, parts := range map[string][][]byte{
			"interface 0 of 0":  {section, enhanced},
			"link type 113":     {section, other, simple},
			"only 3 of its 9":   {section, link, short},
			"no packets":        {section, link},
			"ends in its head":  {section, link[:9]},
			"the file has 30 m": {section, link, enhanced[:30]},
		} {
			if got, err := object.ReadPcap(bytes.Join(parts, nil)); got != nil || err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v: %d packets, %v, want %q", bo, len(got), err, want)
			}
		}
	}
}

// FuzzRead expects of any bytes a file that compiles or errors, or an error, and no panic.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"hierarchy.o", "dispatcher.o", "globals.o", "xdp.o", "config.o", "maps.o", "loops.o", "mangle.o"} {
		data, err := os.ReadFile(folder + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)*2/3])
	}
	target, err := jit.TargetByName("6.12")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(flood.One(func(t *testing.T, data []byte) {
		file, err := object.Read("fuzz.o", data, object.ReadOptions{})
		if (file == nil) == (err == nil) {
			t.Fatalf("file %v with error %v", file, err)
		}
		if err != nil {
			return
		}
		if b, err := file.Load(nil); err == nil {
			_, _ = runner.Compile(b, target)
		}
		for i := range file.Programs {
			if len(file.Programs[i].Insns) > 4096 {
				return
			}
			b, err := file.Scenario(object.Options{Entry: file.Programs[i].Name})
			if err == nil {
				_, _ = runner.Compile(b, target)
			}
		}
	}))
}

// FuzzPcap expects packets inside the file, or an error.
func FuzzPcap(f *testing.F) {
	data, err := os.ReadFile(folder + "packets.pcap")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:30])
	f.Add([]byte("\x0a\x0d\x0d\x0a\x1c\x00\x00\x00\x4d\x3c\x2b\x1a\x01\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x1c\x00\x00\x00"))
	f.Fuzz(flood.One(func(t *testing.T, data []byte) {
		p, err := object.ReadPcap(data)
		if (p == nil) == (err == nil) {
			t.Fatalf("%d packets with error %v", len(p), err)
		}
	}))
}

// FuzzBTF: types that are broken are an error of the file, not of the object.
func FuzzBTF(f *testing.F) {
	data, err := os.ReadFile(folder + "hierarchy.o")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("\x9f\xeb\x01\x00\x18\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00"))
	f.Add([]byte("\x9f\xeb\x01\x00\x18\x00\x00\x00\x00\x00\x00\x00\x0c\x00\x00\x00\x0c\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02\x01\x00\x00\x00\x00"))
	name := filepath.Join(f.TempDir(), "types")
	f.Fuzz(flood.One(func(t *testing.T, types []byte) {
		if err := os.WriteFile(name, types, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := object.Read("hierarchy.o", data, object.ReadOptions{BTF: name})
		if (file == nil) == (err == nil) {
			t.Fatalf("file %v with error %v", file, err)
		}
	}))
}
