// SPDX-License-Identifier: GPL-2.0-only

package timing

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/jit/x86"
)

// Measured is a set of code sequences with their cycles on real hardware (measured.json).
type Measured struct {
	Core      string // description of the machine
	Date      string
	Sequences []Sequence
}

// Sequence is one measured block of code: a loop entered at offset 0.
type Sequence struct {
	Name, Kind, Description string
	StraightLine            bool
	Code                    []byte
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
}

// MemWord is an initial 64-bit value in memory.
type MemWord struct {
	Addr  x86.Addr
	Value uint64
}

// Where measured sequences expect code, data and stack (entry_state in measured.json). The memory
// of data and stack is zero unless a sequence lists values.
const (
	MeasuredCode  x86.Addr = 0x10000000
	MeasuredData  x86.Addr = 0x20000000
	MeasuredStack x86.Addr = 0x30000000
	MeasuredSpan           = 0x40000 // bytes of data and of stack
	MeasuredRSP   uint64   = 0x3001ffe8
)

// entryRegs are the registers at entry unless a sequence lists others (entry_state); r12 is Trips.
var entryRegs = [16]uint64{
	x86.RAX: 0, x86.RCX: 1, x86.RDX: 2, x86.RBX: 3, x86.RSP: MeasuredRSP, x86.RBP: 0x3001f000,
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

// ReadMeasured reads measured sequences. The error lists every mistake: name is the file's name in
// it. Nothing is returned together with an error.
func ReadMeasured(name string, r io.Reader) (*Measured, error) {
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var f measuredFile
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("%s:%s: %w", name, position(raw, err, d.InputOffset()), err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s:%s: data behind the object", name, lineCol(raw, d.InputOffset()))
	}
	m := &Measured{Core: f.Core, Date: f.Date}
	var errs []error
	seen := map[string]bool{}
	for n := range f.Sequences {
		s, err := f.Sequences[n].sequence()
		if err == nil && seen[s.Name] {
			err = errors.New("name used before")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: sequence %d (%q): %w", name, n, f.Sequences[n].Name, err))
			continue
		}
		seen[s.Name] = true
		m.Sequences = append(m.Sequences, s)
	}
	if len(f.Sequences) == 0 {
		errs = append(errs, fmt.Errorf("%s: no sequences", name))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return m, nil
}

// position finds where a JSON error happened.
func position(raw []byte, err error, at int64) string {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		at = syntax.Offset
	case errors.As(err, &typ):
		at = typ.Offset
	}
	return lineCol(raw, at)
}

func lineCol(raw []byte, at int64) string {
	text := string(raw[:min(max(at, 0), int64(len(raw)))])
	line := 1 + strings.Count(text, "\n")
	return fmt.Sprintf("%d:%d", line, len(text)-strings.LastIndex(text, "\n"))
}

// sequence checks one entry and reports all its mistakes.
func (f *sequenceFile) sequence() (Sequence, error) {
	s := Sequence{
		Name: f.Name, Kind: f.Kind, Description: f.Description, StraightLine: f.StraightLine,
		Start: f.Loop.Start, End: f.Loop.End, Copies: f.Loop.Copies, Trips: f.Loop.Trips,
		InstructionsPerTrip: f.InstructionsPerTrip, Regs: entryRegs,
		Median: f.Cycles.Median, P10: f.Cycles.P10, P90: f.Cycles.P90,
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if f.Name == "" || f.Kind == "" {
		bad("name and kind must not be empty")
	}
	var err error
	if s.Code, err = hex.DecodeString(f.Code); err != nil {
		bad("code: %w", err)
	} else if s.Start < 0 || s.End <= s.Start || s.End > len(s.Code) {
		bad("loop %d to %d is not inside the %d bytes of code", s.Start, s.End, len(s.Code))
	}
	if s.Copies < 1 || s.Trips < 1 {
		bad("copies %d and trips %d must be positive", s.Copies, s.Trips)
	}
	if !(s.P10 > 0 && s.P10 <= s.Median && s.Median <= s.P90) {
		bad("cycles: p10 %v, median %v and p90 %v must be positive and ascending", s.P10, s.Median, s.P90)
	}
	s.Regs[x86.R12] = uint64(max(s.Trips, 0))
	names := make([]string, 0, len(f.Reg))
	for n := range f.Reg {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		if err := s.setReg(n, f.Reg[n]); err != nil {
			errs = append(errs, err)
		}
	}
	for n, w := range f.Mem {
		if err := s.addMem(w); err != nil {
			bad("mem %d: %w", n, err)
		}
	}
	return s, errors.Join(errs...)
}

func (s *Sequence) setReg(name, text string) error {
	for r := x86.RAX; r <= x86.R15; r++ {
		if r.String() != name {
			continue
		}
		v, err := strconv.ParseUint(text, 0, 64)
		if err != nil {
			return fmt.Errorf("reg %s: %w", name, err)
		}
		s.Regs[r] = v
		return nil
	}
	return fmt.Errorf("reg %q: not a 64-bit register", name)
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
	for _, base := range []x86.Addr{MeasuredData, MeasuredStack} {
		if a >= uint64(base) && a <= uint64(base)+MeasuredSpan-8 {
			s.Mem = append(s.Mem, MemWord{Addr: x86.Addr(a), Value: v})
			return nil
		}
	}
	return fmt.Errorf("address %#x is neither data nor stack", a)
}
