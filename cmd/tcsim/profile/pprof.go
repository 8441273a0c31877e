// SPDX-License-Identifier: GPL-2.0-only

package profile

import (
	"compress/gzip"
	"encoding/binary"
	"io"
	"strings"

	"github.com/tcsim/tcsim/emu/timing"
)

// Fields of the messages (proto/profile.proto of github.com/google/pprof).
const (
	profileSampleType, profileSample, profileMapping, profileLocation = 1, 2, 3, 4
	profileFunction, profileString, profilePeriodType, profilePeriod  = 5, 6, 11, 12
	profileComment, profileDefaultType                                = 13, 14

	valueType, valueUnit = 1, 2

	sampleLocation, sampleValue = 1, 2

	mappingID, mappingStart, mappingLimit, mappingFile   = 1, 2, 3, 5
	mappingHasFunctions, mappingHasFiles, mappingHasLine = 7, 8, 9
	mappingHasInline                                     = 10

	locationID, locationMapping, locationAddress, locationLine = 1, 2, 3, 4

	lineFunction, lineLine = 1, 2

	functionID, functionName, functionSystemName, functionFile = 1, 2, 3, 4
)

// message is a protocol buffer message that grows.
type message []byte

// Kinds of fields on the wire.
const (
	wireVarint = 0
	wireBytes  = 2
)

func (m *message) varint(field int, v uint64) {
	if v != 0 {
		*m = binary.AppendUvarint(binary.AppendUvarint(*m, uint64(field)<<3|wireVarint), v)
	}
}

func (m *message) bytes(field int, b []byte) {
	*m = binary.AppendUvarint(binary.AppendUvarint(*m, uint64(field)<<3|wireBytes), uint64(len(b)))
	*m = append(*m, b...)
}

// packed adds a list of numbers.
func (m *message) packed(field int, vs []uint64) {
	var b []byte
	for _, v := range vs {
		b = binary.AppendUvarint(b, v)
	}
	m.bytes(field, b)
}

// encoder makes a profile: strings, functions and locations are there once.
type encoder struct {
	out       message
	strings   map[string]uint64
	texts     []string
	functions map[functionKey]uint64
	locations map[Frame]uint64
	mapping   uint64
	low, high uint64
}

type functionKey struct{ name, file string }

// WritePProf writes the profile for go tool pprof. The BPF instruction is a frame inlined in its function, so that pprof shows
// instructions, and functions with -noinlines. Between the two is the source line, where it is known; files and lines of
// functions are then those of the source.
func (p *Profile) WritePProf(w io.Writer) error {
	e := &encoder{
		strings: map[string]uint64{}, functions: map[functionKey]uint64{}, locations: map[Frame]uint64{}, mapping: 1, low: ^uint64(0),
	}
	e.text("")
	types := valueTypes()
	for _, t := range types {
		e.out.bytes(profileSampleType, e.valueType(t.name, t.unit))
	}
	for i := range p.Samples {
		s := &p.Samples[i]
		var m message
		var at []uint64
		for _, f := range s.Stack {
			at = append(at, e.location(f))
		}
		m.packed(sampleLocation, at)
		var values []uint64
		for _, t := range types {
			values = append(values, t.of(s))
		}
		m.packed(sampleValue, values)
		e.out.bytes(profileSample, m)
	}
	var m message
	m.varint(mappingID, e.mapping)
	m.varint(mappingStart, e.low&^0xfff)
	m.varint(mappingLimit, e.high|0xfff)
	m.varint(mappingFile, e.text(p.Name))
	for _, has := range []int{mappingHasFunctions, mappingHasFiles, mappingHasLine, mappingHasInline} {
		m.varint(has, 1)
	}
	e.out.bytes(profileMapping, m)
	e.out.bytes(profilePeriodType, e.valueType("cycles", "count"))
	e.out.varint(profilePeriod, 1)
	e.out.varint(profileComment, e.text("cycles on "+p.Core+", as tcsim models it"))
	e.out.varint(profileDefaultType, e.text("cycles"))
	for _, t := range e.texts {
		e.out.bytes(profileString, []byte(t))
	}
	z := gzip.NewWriter(w)
	if _, err := z.Write(e.out); err != nil {
		return err
	}
	return z.Close()
}

// value is one of the numbers that samples have.
type value struct {
	name, unit string
	of         func(*Sample) uint64
}

// valueTypes lists cycles, instructions and the causes of cycles.
func valueTypes() []value {
	out := []value{
		{"cycles", "count", func(s *Sample) uint64 { return uint64(s.Costs.Total()) }},
		{"instructions", "count", func(s *Sample) uint64 { return uint64(s.Executed) }},
	}
	for c := timing.CauseIssue; int(c) < len(timing.Costs{}); c++ {
		name := strings.ReplaceAll(c.String(), " ", "_")
		out = append(out, value{name, "count", func(s *Sample) uint64 { return uint64(s.Costs[c]) }})
	}
	return out
}

// text returns the number of a string.
func (e *encoder) text(s string) uint64 {
	n, ok := e.strings[s]
	if !ok {
		n = uint64(len(e.texts))
		e.strings[s], e.texts = n, append(e.texts, s)
	}
	return n
}

func (e *encoder) valueType(name, unit string) message {
	var m message
	m.varint(valueType, e.text(name))
	m.varint(valueUnit, e.text(unit))
	return m
}

// location returns the number of a frame's place.
func (e *encoder) location(f Frame) uint64 {
	if id, ok := e.locations[f]; ok {
		return id
	}
	id := uint64(len(e.locations) + 1)
	e.locations[f] = id
	e.low, e.high = min(e.low, uint64(f.Addr)), max(e.high, uint64(f.Addr))
	var m message
	m.varint(locationID, id)
	m.varint(locationMapping, e.mapping)
	m.varint(locationAddress, uint64(f.Addr))
	line := func(name, file string, n int) {
		var l message
		l.varint(lineFunction, e.function(name, file))
		l.varint(lineLine, uint64(n))
		m.bytes(locationLine, l)
	}
	source := f.source()
	if f.Insn != "" {
		line(f.Insn, f.File, f.Line)
		if source != "" {
			line(source, f.Source.File, f.Source.Line)
		}
	}
	if source != "" {
		line(f.Func, f.Source.File, f.Source.Line)
	} else {
		line(f.Func, f.File, f.Line)
	}
	e.out.bytes(profileLocation, m)
	return id
}

// function returns the number of a function.
func (e *encoder) function(name, file string) uint64 {
	k := functionKey{name, file}
	if id, ok := e.functions[k]; ok {
		return id
	}
	id := uint64(len(e.functions) + 1)
	e.functions[k] = id
	var m message
	m.varint(functionID, id)
	m.varint(functionName, e.text(name))
	m.varint(functionSystemName, e.text(name))
	m.varint(functionFile, e.text(file))
	e.out.bytes(profileFunction, m)
	return id
}
