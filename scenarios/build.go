// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/scenarios/asm"
)

// Built is a scenario as the kernel would get it: programs in submitted form (helpers by number,
// calls by distance, maps by index, before the verifier's rewrites) and what happens to them.
type Built struct {
	Scenario *Scenario
	Maps     []bpf.Map // in file order; every Program refers to them by index
	Programs []bpf.Program
	Slots    []Slot   // contents of prog arrays before the first run
	Values   []Stored // contents of other maps before the first run
	Actions  []Action // what the runs section says, in order
	// Extensions are the programs that replace a function at some time: indexes into Programs.
	Extensions []int
	// Inner are the contents of maps of maps.
	Inner []Inner
	// Adapt makes the scenario for one target, where what is built does not depend on it alone; nil if
	// all targets are given the same.
	Adapt func(*jit.Target) *Built
	// Places say where each slot of each program stands in the scenario file, whose lines are Lines; nil if there
	// is none.
	Places [][]Pos
	Lines  []string
}

// For returns the scenario for a target: b itself where all get the same.
func (b *Built) For(t *jit.Target) *Built {
	if b.Adapt == nil {
		return b
	}
	return b.Adapt(t)
}

// Inner is a map in a map of maps.
type Inner struct {
	Map   int // index into Built.Maps
	Key   []byte
	Inner int // likewise
}

// Slot is a program in a prog array.
type Slot struct {
	Map     int // index into Built.Maps
	Key     uint32
	Program int // index into Built.Programs
}

// Stored is a part of a map value.
type Stored struct {
	Map  int // index into Built.Maps
	Key  []byte
	Off  int // of Data in the value, in bytes
	Data []byte
}

// ActionKind says what an Action does.
type ActionKind uint8

// The kinds of actions.
const (
	ActRun    ActionKind = iota // run Program
	ActInsert                   // put Program into slot Key of prog array Map, whatever is there
	ActStore                    // write Data into the value of Key of Map
	ActDelete                   // delete Key of Map
	// ActReplace makes calls of function Func of program Replaced calls of Program, which is -1 to end
	// that. Map is -1.
	ActReplace
	ActAttach // trace function Func of Program by By, see Action.Trace
)

// Action is one thing that happens in a scenario.
type Action struct {
	Kind  ActionKind
	Event *Event // where it comes from

	Program int    // ActRun, ActInsert, ActAttach: index into Built.Programs
	Packet  []byte // ActRun: the packet; nil if the scenario gives none
	Context []ContextField
	// Raw is the context of a program that sees neither packets nor fields of one, as it is in memory: the
	// arguments of a traced function, struct pt_regs …; the rest is zero.
	Raw []byte

	// Interrupt is nil for none. ActRun only.
	Interrupt *Moment

	Replaced, Func int // ActReplace; Func also for ActAttach: index into the Funcs of the traced program

	Map  int    // index into Built.Maps
	Key  []byte // of the map's key size
	Off  int    // ActStore: where in the value Data goes
	Data []byte

	Trace emit.TraceKind // ActAttach
	By    int            // ActAttach: index into Built.Programs
}

// ContextField is a 4-byte field of the context structure as programs see it, such as mark of
// struct __sk_buff.
type ContextField struct {
	Name  string
	Off   int // in the user-visible structure, in bytes
	Value uint32
}

// builder checks a scenario and translates it.
type builder struct {
	*source
	sc    *Scenario
	out   *Built
	index map[string]int // of programs, the first of a name
	funcs int            // functions translated so far: makes saved register values distinct
	// tracing are the programs that trace; inTracing says that the present one does.
	tracing   map[string]bool
	inTracing bool
}

// entries returns the effective number of entries of a map.
func (m *Map) entries() uint32 {
	if m.MaxEntries != 0 {
		return m.MaxEntries
	}
	n := uint32(1)
	for _, e := range m.Slots {
		if k, err := asm.ParseInt(e.Name); err == nil && k >= 0 && k < math.MaxUint32 {
			n = max(n, uint32(k)+1)
		}
	}
	for _, e := range m.Values {
		if v, err := parseKeyOffset(e.Name); err == nil && v.Int >= 0 && v.Int < math.MaxUint32 {
			n = max(n, uint32(v.Int)+1)
		}
	}
	return n
}

func (m *Map) keySize() uint32 {
	if m.Type == Arena {
		return m.KeySize
	}
	return cmp.Or(m.KeySize, 4)
}

func (m *Map) valueSize() uint32 {
	if m.Type == Arena {
		return m.ValueSize
	}
	return cmp.Or(m.ValueSize, 4)
}

// maxMapBytes bounds the memory of one map: scenarios need little, mistakes ask for much.
const maxMapBytes = 1 << 26

// maps checks the maps section.
func (b *builder) maps() {
	d := decoder{b.source}
	for i := range b.sc.Maps {
		e := &b.sc.Maps[i]
		m := &e.Value
		if d.checkName("map", e.Name, e.Pos) && reserved(e.Name) {
			b.failf(e.Pos, "%q cannot name a map: it means something else in steps", e.Name)
		}
		b.mapSizes(e)
		b.out.Maps = append(b.out.Maps, bpf.Map{
			Name: e.Name, Type: m.Type.Number(),
			KeySize: m.keySize(), ValueSize: m.valueSize(), MaxEntries: m.entries(), Special: &bpf.Special{},
		})
		for _, slot := range m.Slots {
			b.slot(i, e, slot)
		}
		for _, v := range m.Values {
			b.value(i, e, v)
		}
	}
}

func (b *builder) mapSizes(e *Entry[Map]) {
	m := &e.Value
	key, value, n := uint64(m.keySize()), uint64(m.valueSize()), uint64(m.entries())
	switch {
	case m.Type == Arena:
		b.arena(e)
	case m.Type == ProgArray && (key != 4 || value != 4):
		b.failf(e.Pos, "%s: a prog_array has keys and values of 4 bytes", e.Name)
	case m.Type != Hash && key != 4:
		b.failf(e.Pos, "%s: expected key_size 4 (only a hash may differ), found %d", e.Name, key)
	case !slices.Contains([]uint64{1, 2, 4, 8}, key):
		b.failf(e.Pos, "%s: expected key_size 1, 2, 4 or 8, found %d", e.Name, key)
	case value > 1<<15 || value*n > maxMapBytes || n > maxMapBytes:
		b.failf(e.Pos, "%s: expected at most %d bytes of values and 32768 in each, found %d entries of %d", e.Name, maxMapBytes, n, value)
	}
}

// arena checks an arena: it has pages only, and one is all that there can be.
func (b *builder) arena(e *Entry[Map]) {
	m := &e.Value
	const most = 1 << 20 // SZ_4G / PAGE_SIZE, arena_map_alloc of kernel/bpf/arena.c
	if m.KeySize != 0 || m.ValueSize != 0 || len(m.Slots) > 0 || len(m.Values) > 0 {
		b.failf(e.Pos, "%s: an arena has pages, max_entries of them: no key_size, value_size, slots or values", e.Name)
	}
	if m.entries() > most {
		b.failf(e.Pos, "%s: expected at most %d pages, found %d", e.Name, most, m.entries())
	}
	if i := slices.IndexFunc(b.sc.Maps, func(o Entry[Map]) bool { return o.Value.Type == Arena }); b.sc.Maps[i].Name != e.Name {
		b.failf(e.Pos, "%s: a second arena: expected one in a scenario", e.Name)
	}
}

// keyFits checks that an array of map e has key k.
func (b *builder) keyFits(e *Entry[Map], k int64, pos Pos) bool {
	n := e.Value.entries()
	if k < 0 || k > math.MaxUint32 || e.Value.Type != Hash && k >= int64(n) {
		b.failf(pos, "expected a key from 0 to %d in %s, found %d", n-1, e.Name, k)
		return false
	}
	return true
}

// parseKeyOffset reads "key" or "key+offset" into Int and Off.
func parseKeyOffset(text string) (v Value, err error) {
	v.Text = text
	key, off, found := strings.Cut(text, "+")
	if v.Int, err = asm.ParseInt(key); err != nil || !found {
		return v, err
	}
	v.Off, err = parseOffset(off, math.MaxInt16)
	return v, err
}

// slot checks one initial program of map i.
func (b *builder) slot(i int, e *Entry[Map], slot Entry[Name]) {
	if e.Value.Type != ProgArray {
		b.failf(slot.Pos, "slots belong to a prog_array; %s has values", e.Name)
		return
	}
	k, err := asm.ParseInt(slot.Name)
	if err != nil {
		b.failf(slot.Pos, "%v", err)
		return
	}
	if p := b.programIndex(slot.Value); b.keyFits(e, k, slot.Pos) && p >= 0 {
		b.out.Slots = append(b.out.Slots, Slot{i, uint32(k), p})
	}
}

// value checks one initial value of map i.
func (b *builder) value(i int, e *Entry[Map], v Entry[Int]) {
	if e.Value.Type == ProgArray {
		b.failf(v.Pos, "values do not belong to a prog_array; %s has slots", e.Name)
		return
	}
	at, err := parseKeyOffset(v.Name)
	if err != nil {
		b.failf(v.Pos, "%v", err)
		return
	}
	at.Pos = v.Pos
	if size, ok := b.width(&at, e); ok && b.keyFits(e, at.Int, v.Pos) {
		b.out.Values = append(b.out.Values, Stored{
			Map: i, Key: littleEndian(at.Int, int(e.Value.keySize())), Off: int(at.Off),
			Data: littleEndian(v.Value.V, size),
		})
	}
}

// width returns how many bytes of a value of map e the location v means.
func (b *builder) width(v *Value, e *Entry[Map]) (size int, ok bool) {
	size = defaultWidth(v, int(e.Value.valueSize()))
	if int(v.Off)+size > int(e.Value.valueSize()) {
		b.failf(v.Pos, "%s lies outside the %d bytes of a value of %s", v.Text, e.Value.valueSize(), e.Name)
		return 0, false
	}
	return size, true
}

// defaultWidth is the width of a location in a value of so many bytes: as written, else the widest
// integer that fits.
func defaultWidth(v *Value, valueSize int) int {
	if v.Size != 0 {
		return v.Size
	}
	size := 8
	for size > max(valueSize-int(v.Off), 1) {
		size /= 2
	}
	return size
}

func littleEndian(v int64, size int) []byte {
	return binary.LittleEndian.AppendUint64(nil, uint64(v))[:size]
}

// programIndex returns the index of a program, -1 after recording that there is none.
func (b *builder) programIndex(n Name) int {
	if b.index == nil {
		b.index = make(map[string]int, len(b.sc.Programs))
		for i := len(b.sc.Programs) - 1; i >= 0; i-- {
			b.index[b.sc.Programs[i].Name] = i
		}
	}
	i, ok := b.index[n.Text]
	if ok {
		return i
	}
	if n.Text != "" {
		b.failf(n.Pos, "no program %q: expected %s", n.Text, expected(n.Text, entryNames(b.sc.Programs)))
	}
	return -1
}

func entryNames[T any](m Named[T]) []string {
	var out []string
	for _, e := range m {
		out = append(out, e.Name)
	}
	if out == nil {
		return []string{"nothing, the list is empty"}
	}
	return out
}

// mapEntry returns the map that v refers to and its index, nil after recording what is wrong.
func (b *builder) mapEntry(v *Value) (*Entry[Map], int) {
	if v.Kind != ValueMap {
		b.failf(v.Pos, "expected map[key], found %q", v.Text)
		return nil, -1
	}
	i := b.sc.Maps.Index(v.Map)
	if i < 0 {
		b.failf(v.Pos, "no map %q: expected %s", v.Map, expected(v.Map, entryNames(b.sc.Maps)))
		return nil, -1
	}
	return &b.sc.Maps[i], i
}
