// SPDX-License-Identifier: GPL-2.0-only

package timing

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tcsim/tcsim/emu/timing/rows"
	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit/x86"
)

// tableFile is an instruction table in fixtures/uarch.
type tableFile struct {
	Forms []struct {
		ID   string
		Arch map[string]struct {
			Fused int            `json:"uops_fused"`
			Ports map[string]int `json:"ports"`
			TP    float64        `json:"tp_measured"`
		}
	}
}

// TestTables checks every row of every core: the generated tables hold what the files say, ports
// parse and belong to a scheduler, specials and analogues name rows that exist.
func TestTables(t *testing.T) {
	files := make([]tableFile, 3)
	for n, name := range []string{"uarch/instructions.json", "uarch/instructions_glc.json", "uarch/zen5/instructions.json"} {
		raw, err := fixtures.FS.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &files[n]); err != nil {
			t.Fatal(name, err)
		}
	}
	key := map[string]string{"glc": "ADL-P", "icl": "ICL", "skx": "SKX", "zen5": "ZEN5"}
	every := map[string]map[string]bool{}
	for _, c := range Cores() {
		var scheduled portSet
		for _, s := range c.Back.Schedulers {
			scheduled |= parsePorts(s.Ports)
		}
		rows := map[string]bool{}
		every[c.Name] = rows
		forms := c.forms
		for _, file := range files {
			for _, w := range file.Forms {
				want, ok := w.Arch[key[c.Name]]
				if !ok {
					continue
				}
				if len(forms) == 0 {
					t.Fatalf("%s: no row for %s", c.Name, w.ID)
				}
				f := forms[0]
				forms = forms[1:]
				if f.id != w.ID || int(f.slots) != want.Fused || f.tp != math.Round(100*want.TP)/100 || len(strings.Fields(f.ports)) != len(want.Ports) {
					t.Errorf("%s: row %+v differs from %s %+v", c.Name, f, w.ID, want)
				}
				for _, w := range strings.Fields(f.ports) {
					set, _, _ := strings.Cut(w, "*")
					if p := parsePorts(set); p&^scheduled != 0 {
						t.Errorf("%s: form %s: ports %s are in no scheduler", c.Name, f.id, set)
					}
				}
				if rows[f.id] {
					t.Errorf("%s: form %s twice", c.Name, f.id)
				}
				rows[f.id] = true
			}
		}
		if len(forms) != 0 {
			t.Errorf("%s: %d rows are in no file", c.Name, len(forms))
		}
		checkReferences(t, c, rows)
	}
	for a, row := range analogues {
		if !every["glc"][row] || every["icl"][a] && every["skx"][a] && every["glc"][a] {
			t.Errorf("analogue %s of %s: row missing, or not needed", a, row)
		}
	}
}

// checkReferences checks what a core's other tables say about its rows and the model's limits.
func checkReferences(t *testing.T, c *Core, rows map[string]bool) {
	t.Helper()
	for _, s := range c.Special {
		if !rows[s.ID] || s.Source == "" {
			t.Errorf("%s: special %q has no row or no source", c.Name, s.ID)
		}
	}
	if !slices.IsSorted(c.Branch.History) || c.Branch.History[len(c.Branch.History)-1] > histRing {
		t.Errorf("%s: history %v", c.Name, c.Branch.History)
	}
	if c.Memory.StoreBuffer >= trackRing {
		t.Errorf("%s: store buffer of %d is larger than the ring", c.Name, c.Memory.StoreBuffer)
	}
}

// formIDs are the forms of instructions as the tables name them.
var formIDs = []struct {
	want string
	code []byte
}{
	{"mov_r64_r64", []byte{0x48, 0x89, 0xd8}},
	{"mov_m32_imm", []byte{0xc7, 0x45, 0xfc, 0, 0, 0, 0}},
	{"mov_r64_imm32", []byte{0x48, 0xc7, 0xc0, 1, 0, 0, 0}},
	{"movabs_r64_imm64", []byte{0x48, 0xb8, 1, 0, 0, 0, 0, 0, 0, 0}},
	{"movzx_r32_m8", []byte{0x0f, 0xb6, 0x07}},
	{"movsxd_r64_r32", []byte{0x48, 0x63, 0xc0}},
	{"add_r64_imm8", []byte{0x48, 0x81, 0xc0, 1, 0, 0, 0}},
	{"add_r64_imm32", []byte{0x48, 0x81, 0xc0, 0, 1, 0, 0}},
	{"add_m64_imm8", []byte{0x48, 0x83, 0x00, 0x01}},
	{"cmp_m32_imm8", []byte{0x83, 0x38, 0x21}},
	{"shl_r64_cl", []byte{0x48, 0xd3, 0xe0}},
	{"shl_r64_imm8", []byte{0x48, 0xd1, 0xe0}},
	{"shlx_r64", []byte{0xc4, 0xe2, 0xf1, 0xf7, 0xc0}},
	{"imul_r64_r64_imm32", []byte{0x48, 0x6b, 0xc0, 0x03}},
	{"lea_r64_b_i_d8", []byte{0x48, 0x8d, 0x44, 0x18, 0x08}},
	{"lea_r64_b_is", []byte{0x48, 0x8d, 0x04, 0x58}},
	{"lea_r64_r_d32", []byte{0x48, 0x8d, 0x0d, 2, 0, 0, 0}},
	{"push_imm8", []byte{0x6a, 0x00}},
	{"call_m64", []byte{0xff, 0x17}},
	{"jmp_r64", []byte{0xff, 0xe1}},
	{"jnb_rel8", []byte{0x73, 0x10}},
	{"jz_rel32", []byte{0x0f, 0x84, 0, 0, 0, 0}},
	{"nop_66", []byte{0x66, 0x90}},
	{"nop_m", []byte{0x0f, 0x1f, 0x44, 0, 0}},
	{"endbr64", []byte{0xf3, 0x0f, 0x1e, 0xfa}},
	{"lock_xadd_m64", []byte{0xf0, 0x48, 0x0f, 0xc1, 0x07}},
	{"lock_cmpxchg_m64", []byte{0xf0, 0x48, 0x0f, 0xb1, 0x0f}},
	{"xchg_m64", []byte{0x48, 0x87, 0x07}},
	{"xchg_r64_r64", []byte{0x48, 0x87, 0xd8}},
	{"cmovcc_r64_r64", []byte{0x48, 0x0f, 0x44, 0xc3}},
	{"setcc_r8", []byte{0x0f, 0x94, 0xc0}},
	{"setbe_r8", []byte{0x0f, 0x97, 0xc0}},
	{"cmovbe_r64_m64", []byte{0x48, 0x0f, 0x46, 0x07}},
	{"shld_r64_r64_imm8", []byte{0x48, 0x0f, 0xa4, 0xd8, 0x03}},
	{"shrd_r32_r32_cl", []byte{0x0f, 0xad, 0xd8}},
	{"shlx_m64", []byte{0xc4, 0xe2, 0xf1, 0xf7, 0x07}},
	{"imul_r64_m64_imm32", []byte{0x48, 0x6b, 0x07, 0x03}},
	{"lea_r32_b_d8", []byte{0x8d, 0x40, 0x08}},
	{"lea_r64_d32", []byte{0x48, 0x8d, 0x04, 0x25, 0, 0x10, 0, 0}},
	{"movzx_r32_r8h", []byte{0x0f, 0xb6, 0xc4}},
	{"pop_m64", []byte{0x8f, 0x07}},
	{"adc_m64_r64", []byte{0x48, 0x11, 0x07}},
	{"jrcxz_rel8", []byte{0xe3, 0x10}},
	{"bt_r64_imm8", []byte{0x48, 0x0f, 0xba, 0xe0, 0x05}},
	{"xadd_m64_r64", []byte{0x48, 0x0f, 0xc1, 0x07}},
	{"lock_inc_m64", []byte{0xf0, 0x48, 0xff, 0x07}},
}

// TestFormID names the forms of instructions as the tables do, and finds their rows.
func TestFormID(t *testing.T) {
	for _, c := range formIDs {
		i, err := x86.Decode(c.code, 0x1000)
		if err != nil {
			t.Fatal(c.want, err)
		}
		if got := rows.Of(&i); got != c.want {
			t.Errorf("% x (%s): form %s, want %s", c.code, &i, got, c.want)
		}
		if _, err := newLowering(builtin["glc"]()).lower(&i); err != nil {
			t.Errorf("%s: %v", c.want, err)
		}
	}
}

// TestStoreTrack compares the store tracker with a map of bytes.
func TestStoreTrack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		track := newStoreTrack()
		owner := map[x86.Addr]uint64{} // last store of each byte
		at := map[uint64]x86.Addr{}
		for n := range rapid.IntRange(1, 60).Draw(t, "steps") {
			addr := x86.Addr(rapid.IntRange(0x100, 0x120).Draw(t, "addr"))
			size := uint8(1 << rapid.IntRange(0, 3).Draw(t, "log size"))
			if rapid.Bool().Draw(t, "store") {
				num := track.next
				track.add(addr, size)
				at[num] = addr
				for b := range x86.Addr(size) {
					owner[addr+b] = num
				}
				continue
			}
			want, youngest := fromCache, uint64(0)
			for b := range x86.Addr(size) {
				youngest = max(youngest, owner[addr+b])
			}
			if youngest != 0 {
				want = fromStore
				if at[youngest] == addr {
					want = fromExact
				}
				for b := range x86.Addr(size) {
					if owner[addr+b] != youngest {
						want = fromSeveral
					}
				}
			}
			got, s := track.find(addr, size)
			if got != want {
				t.Fatalf("step %d: load of %d at %#x: source %d, want %d", n, size, uint64(addr), got, want)
			}
			if want != fromCache && s.addr != at[youngest] {
				t.Fatalf("step %d: store at %#x, want %#x", n, uint64(s.addr), uint64(at[youngest]))
			}
		}
	})
}

// TestCalendar compares bookings with a plain list of busy cycles.
func TestCalendar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCalendar(&builtin["glc"]().Back)
		type slot struct {
			p uint8
			t Cycle
		}
		busy := map[slot]bool{}
		now := Cycle(0)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now += Cycle(rapid.SampledFrom([]int{0, 0, 1, 2, 70, 5000}).Draw(t, "advance"))
			c.advance(now)
			p := rapid.SampledFrom([]uint8{0, 6, 11}).Draw(t, "port")
			from := now + Cycle(rapid.IntRange(0, 300).Draw(t, "from"))
			want := from
			for busy[slot{p, want}] {
				want++
			}
			if got := c.book(p, from); got != want {
				t.Fatalf("port %d from %d at %d: booked %d, want %d", p, from, now, got, want)
			}
			busy[slot{p, want}] = true
			pending, waiting := map[uint8]int32{}, int32(0)
			for s := range busy {
				if s.t >= now {
					pending[s.p]++
				}
			}
			for _, l := range c.pending {
				waiting += l / loadOne
			}
			if want := pending[0] + pending[6] + pending[11]; want != waiting {
				t.Fatalf("at %d: %d wait, want %d", now, waiting, want)
			}
			if want := pending[0]+pending[6] >= 112 || pending[11] >= 72; c.full() != want {
				t.Fatalf("at %d: full is %v with %v waiting", now, !want, pending)
			}
		}
		c.advance(now + 2*calWindow)
		for n := range 72 {
			if c.full() {
				t.Fatalf("full with %d waiting", n)
			}
			c.book(11, c.now)
		}
		if !c.full() {
			t.Fatal("not full")
		}
	})
}

// TestPredictorLearns a repeating random sequence, and does not learn one that does not repeat.
func TestPredictorLearns(t *testing.T) {
	run := func(period int) (wrong int) {
		p := newPredictor(&builtin["glc"]().Branch)
		seed := uint64(1)
		bits := make([]bool, period)
		for n := range bits {
			seed = seed*6364136223846793005 + 1442695040888963407
			bits[n] = seed>>63 != 0
		}
		const total = 30000
		for n := range total {
			next := x86.Addr(0x1002)
			if bits[n%period] {
				next = 0x2000
			}
			o := p.resolve(0x1000, 0x1002, next)
			if n > total*3/4 && o.wrong {
				wrong++
			}
		}
		return wrong
	}
	if w := run(500); w > 100 {
		t.Errorf("period 500: %d of 7500 wrong in the last quarter", w)
	}
	if w := run(30000); w < 3000 || w > 4500 {
		t.Errorf("no period: %d of 7500 wrong in the last quarter", w)
	}
}

// TestReturnStack overflows and underflows as a ring does.
func TestReturnStack(t *testing.T) {
	p := newPredictor(&Branches{ReturnStack: 4})
	for n := range 6 {
		p.call(x86.Addr(n))
	}
	var got []x86.Addr
	for {
		a, ok := p.ret()
		if !ok {
			break
		}
		got = append(got, a)
	}
	if diff := cmp.Diff([]x86.Addr{5, 4, 3, 2}, got); diff != "" {
		t.Error(diff)
	}
}
