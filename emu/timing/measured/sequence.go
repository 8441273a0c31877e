// SPDX-License-Identifier: GPL-2.0-only

package measured

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/tcsim/tcsim/jit/x86"
)

// File is a set of code sequences with their cycles on real hardware (measured.json).
type File struct {
	Core      string // description of the machine
	Date      string
	Sequences []Sequence
}

// Sequence is one measured block of code: a loop entered at offset 0.
type Sequence struct {
	Name, Kind, Description string
	StraightLine            bool
	Code                    []byte
	At                      x86.Addr // where Code is to lie, entered at its first byte
	// Data and Stack are the memory that the code expects, zero but for Mem.
	Data, Stack Span
	// Start and End are the offsets of the loop body; Copies how often the described sequence is
	// repeated in it; Trips the trips of one timed run.
	Start, End, Copies, Trips int
	InstructionsPerTrip       int
	// Regs is the state at entry, by register number; rsp holds the address of the return address.
	Regs [16]uint64
	// Mem are 64-bit words stored before the first run.
	Mem []MemWord
	// Median, P10 and P90 are core cycles per trip over the repetitions.
	Median, P10, P90 float64
	// States are the states of the hardware that its passes were in, if there was more than one pass.
	States []State
}

// Span is a range of memory: its address and its length in bytes.
type Span struct {
	Addr x86.Addr
	Size int
}

// holds reports whether n bytes at a lie in the span.
func (s Span) holds(a x86.Addr, n int) bool {
	return a >= s.Addr && uint64(a-s.Addr)+uint64(n) <= uint64(s.Size)
}

// maxSpan bounds the data and the stack of a file, in bytes.
const maxSpan = 1 << 24

// MemWord is an initial 64-bit value in memory.
type MemWord struct {
	Addr  x86.Addr
	Value uint64
}

// Where measured sequences expect code, data and stack unless the file's entry_state says otherwise.
const (
	CodeBase  x86.Addr = 0x10000000
	DataBase  x86.Addr = 0x20000000
	StackBase x86.Addr = 0x30000000
	AreaSize           = 0x40000 // bytes of data and of stack
	EntryRSP  uint64   = 0x3001ffe8
)

// entryRegs are the registers at entry unless the file or a sequence lists others; r12 is Trips.
var entryRegs = [16]uint64{
	x86.RAX: 0, x86.RCX: 1, x86.RDX: 2, x86.RBX: 3, x86.RSP: EntryRSP, x86.RBP: 0x3001f000,
	x86.RSI: 0x20001000, x86.RDI: 0x20000000, x86.R8: 8, x86.R9: 9, x86.R10: 10, x86.R11: 11,
	x86.R13: 13, x86.R14: 14, x86.R15: 15,
}

// measuredFile is the JSON form.
type measuredFile struct {
	Core       string            `json:"core"`
	Date       string            `json:"date"`
	Unit       string            `json:"unit"`
	Method     string            `json:"method"`
	EntryState map[string]string `json:"entry_state"`
	Sequences  []sequenceFile    `json:"sequences"`
}

type sequenceFile struct {
	Name         string `json:"name"`
	Kind         string `json:"kind"`
	Description  string `json:"description"`
	StraightLine bool   `json:"straight_line"`
	Code         string `json:"code"`
	Loop         struct {
		Start    int    `json:"start"`
		End      int    `json:"end"`
		Copies   int    `json:"copies"`
		ClosedBy string `json:"closed_by"`
		Trips    int    `json:"trips"`
	} `json:"loop"`
	Reg                 map[string]string `json:"reg"`
	Mem                 [][]string        `json:"mem"`
	InstructionsPerTrip int               `json:"instructions_per_trip"`
	Cycles              struct {
		Median      float64   `json:"median"`
		Min         float64   `json:"min"`
		P10         float64   `json:"p10"`
		P90         float64   `json:"p90"`
		PassMedians []float64 `json:"pass_medians"`
	} `json:"cycles"`
	CyclesPerCopy float64 `json:"cycles_per_copy"`
	RepsKept      int     `json:"reps_kept"`
	Reps          int     `json:"reps"`
}

// sequence reads and checks one entry and reports all its mistakes.
func (m *measuredReader) sequence(n int, entry entry) (s Sequence, ok bool) {
	e := &m.elements[n]
	var f sequenceFile
	if !m.decode(e, &f, fmt.Sprintf("sequence %d: ", n)) {
		return s, false
	}
	before := len(m.errs)
	bad := func(field, format string, args ...any) {
		m.bad(e.at(field), "sequence %d (%q): %w", n, f.Name, fmt.Errorf(format, args...))
	}
	s = Sequence{
		Name: f.Name, Kind: f.Kind, Description: f.Description, StraightLine: f.StraightLine,
		At: entry.code, Data: entry.data, Stack: entry.stack, Regs: entry.regs,
		Start: f.Loop.Start, End: f.Loop.End, Copies: f.Loop.Copies, Trips: f.Loop.Trips,
		InstructionsPerTrip: f.InstructionsPerTrip,
		Median:              f.Cycles.Median, P10: f.Cycles.P10, P90: f.Cycles.P90,
		States: StatesOf(f.Cycles.PassMedians),
	}
	if f.Name == "" || f.Kind == "" {
		bad("name", "name and kind must not be empty")
	}
	var err error
	if s.Code, err = hex.DecodeString(f.Code); err != nil {
		bad("code", "code: %w", err)
	} else if s.Start < 0 || s.End <= s.Start || s.End > len(s.Code) {
		bad("loop", "loop %d to %d is not inside the %d bytes of code", s.Start, s.End, len(s.Code))
	}
	if s.Copies < 1 || s.Trips < 1 {
		bad("loop", "copies %d and trips %d must be positive", s.Copies, s.Trips)
	}
	if s.InstructionsPerTrip < 0 {
		bad("instructions_per_trip", "instructions_per_trip %d must not be negative", s.InstructionsPerTrip)
	}
	if !(s.P10 > 0 && s.P10 <= s.Median && s.Median <= s.P90) {
		bad("cycles", "cycles: p10 %v, median %v and p90 %v must be positive and ascending", s.P10, s.Median, s.P90)
	}
	s.Regs[x86.R12] = uint64(max(s.Trips, 0))
	for _, name := range slices.Sorted(maps.Keys(f.Reg)) {
		if err := setReg(&s.Regs, name, f.Reg[name]); err != nil {
			bad("reg", "%w", err)
		}
	}
	for i, w := range f.Mem {
		if err := s.addMem(w); err != nil {
			bad("mem", "mem %d: %w", i, err)
		}
	}
	return s, len(m.errs) == before
}

func (s *Sequence) addMem(w []string) error {
	if len(w) != 2 {
		return fmt.Errorf("%d values instead of address and value", len(w))
	}
	a, err := strconv.ParseUint(w[0], 0, 64)
	if err != nil {
		return err
	}
	v, err := strconv.ParseUint(w[1], 0, 64)
	if err != nil {
		return err
	}
	if !s.Data.holds(x86.Addr(a), 8) && !s.Stack.holds(x86.Addr(a), 8) {
		return fmt.Errorf("address %#x is neither data nor stack", a)
	}
	s.Mem = append(s.Mem, MemWord{Addr: x86.Addr(a), Value: v})
	return nil
}

// EntryRegs are the registers at entry of a sequence of which nothing else is said.
func EntryRegs() [16]uint64 { return entryRegs }
