// SPDX-License-Identifier: GPL-2.0-only

package measured

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/tcsim/tcsim/jit/x86"
)

// Write returns a file that Read accepts, of sequences whose code, data and stack are at the same places. Passes
// are not in it, so that it knows no states.
func Write(core, date string, sequences []Sequence) ([]byte, error) {
	f := measuredFile{Core: core, Date: date, Unit: "core cycles per trip"}
	for i := range sequences {
		s := &sequences[i]
		state := map[string]string{
			"code_base": fmt.Sprintf("%#x", uint64(s.At)), "rsp": fmt.Sprintf("%#x", s.Regs[x86.RSP]),
			"data": s.Data.text(), "stack": s.Stack.text(),
		}
		if f.EntryState == nil {
			f.EntryState = state
		}
		if !maps.Equal(state, f.EntryState) {
			return nil, fmt.Errorf("sequence %s: its memory is not where that of %s is", s.Name, sequences[0].Name)
		}
		f.Sequences = append(f.Sequences, s.file())
	}
	out, err := json.MarshalIndent(f, "", " ")
	return append(out, '\n'), err
}

// text is a span as first..last.
func (s Span) text() string {
	return fmt.Sprintf("%#x..%#x", uint64(s.Addr), uint64(s.Addr)+uint64(s.Size)-1)
}

// file is the JSON form of a sequence.
func (s *Sequence) file() sequenceFile {
	f := sequenceFile{
		Name: s.Name, Kind: s.Kind, Description: s.Description, StraightLine: s.StraightLine, Code: hex.EncodeToString(s.Code),
		Reg: map[string]string{}, Mem: [][]string{}, InstructionsPerTrip: s.InstructionsPerTrip,
		CyclesPerCopy: milli(s.Median / float64(max(s.Copies, 1))),
	}
	f.Loop.Start, f.Loop.End, f.Loop.Copies, f.Loop.Trips = s.Start, s.End, s.Copies, s.Trips
	for r, v := range s.Regs {
		if r := x86.Reg(r); r != x86.RSP && r != x86.R12 {
			f.Reg[r.String()] = fmt.Sprintf("%#x", v)
		}
	}
	for _, w := range s.Mem {
		f.Mem = append(f.Mem, []string{fmt.Sprintf("%#x", uint64(w.Addr)), fmt.Sprintf("%#x", w.Value)})
	}
	f.Cycles.Median, f.Cycles.P10, f.Cycles.P90, f.Cycles.Min = s.Median, s.P10, s.P90, s.P10
	return f
}
