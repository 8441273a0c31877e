// SPDX-License-Identifier: GPL-2.0-only

package x86_test

import (
	"testing"

	"github.com/tcsim/tcsim/fixtures/flood"
	"github.com/tcsim/tcsim/jit/x86"
)

// TestCache patches code in place, as text pokes do, and moves it: what the cache returns must be
// what Decode returns, every time.
func TestCache(t *testing.T) {
	var c x86.Cache
	for n, im := range loadCaptures(t) {
		if n%40 != 0 {
			continue
		}
		for _, pc := range []x86.Addr{im.addr, 0x1000} {
			for off := 0; off < len(im.code); {
				at := pc + x86.Addr(off)
				want, err := x86.Decode(im.code[off:], at)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := c.Decode(im.code[off:], at); err != nil || got != want {
					t.Fatalf("%s offset %d: %v %v, want %v", im.where, off, got, err, want)
				}
				off += int(want.Len)
			}
		}
	}
	nop, jmp := unhex(t, "0f 1f 44 00 00"), unhex(t, "e9 00 01 00 00")
	for n := range 4 {
		code, want := nop, "nop dword ptr [rax+rax*1]"
		if n%2 == 1 {
			code, want = jmp, "jmp 0x2105"
		}
		if i, err := c.Decode(code, 0x2000); err != nil || i.String() != want {
			t.Errorf("round %d: %v %v, want %s", n, i.String(), err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"f30f1efa", "670fb940d6", "f0480fb111", "c4e2f9f7c9", "6548c13c2500ba030005",
		"48b8efcdab8967452301", "a1efcdab8967452301", "f348ab", "66662e0f1f840000000000", "c8100000", "3effe0", "cd03"} {
		f.Add(unhex(f, s))
	}
	var cache x86.Cache
	f.Fuzz(flood.One(func(t *testing.T, code []byte) {
		i, err := x86.Decode(code, 0xffffffffc0000000)
		if err != nil {
			if i != (x86.Inst{}) {
				t.Fatalf("%x: instruction together with error %v", code, err)
			}
			return
		}
		if i.Len == 0 || int(i.Len) > len(code) || i.Len > x86.MaxInstLen {
			t.Fatalf("%x: length %d", code, i.Len)
		}
		if i.String() == "" || i.Op == "" {
			t.Fatalf("%x: no text", code)
		}
		if again, err := x86.Decode(code[:i.Len], i.PC); err != nil || again != i {
			t.Fatalf("%x: the bytes after the instruction matter: %v %v, %v", code, i, again, err)
		}
		for range 2 {
			if c, err := cache.Decode(code, i.PC); err != nil || c != i {
				t.Fatalf("%x: cache has %+v %v, want %+v", code, c, err, i)
			}
		}
		if i.Known && !i.IsNop && i.HasMem && (i.Load || i.Store) && i.Mem.Size == 0 {
			t.Fatalf("%x %s: access of unknown size", code, i.String())
		}
	}))
}

func BenchmarkCache(b *testing.B) {
	var code []byte
	for n, im := range loadCaptures(b) {
		if n%500 == 0 {
			code = append(code, im.code...)
		}
	}
	var cache x86.Cache
	var n int
	for b.Loop() {
		for c := code; len(c) > 0; n++ {
			i, err := cache.Decode(c, 0)
			if err != nil {
				b.Fatal(err)
			}
			c = c[i.Len:]
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "insns/s")
}
