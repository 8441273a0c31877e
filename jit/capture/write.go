// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/outfile"
)

// Format is the version that Write writes. Versions from 1 on are read.
const Format = 3

// Write writes a capture as gzip'd JSON lines. The same file gives the same bytes. Header.Format and
// Header.Scenarios are ignored: they follow from what is written.
func Write(w io.Writer, f *File) error {
	z := gzip.NewWriter(w)
	enc := json.NewEncoder(z)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(headerLine(&f.Header, len(f.Scenarios))); err != nil {
		return err
	}
	for i := range f.Scenarios {
		if err := enc.Encode(scenarioLine(&f.Scenarios[i])); err != nil {
			return err
		}
	}
	if err := enc.Encode(symbolLine(&f.Symbols)); err != nil {
		return err
	}
	return z.Close()
}

// WriteFile writes a capture to a file, see outfile.Write.
func WriteFile(path string, f *File) error {
	var text bytes.Buffer
	if err := Write(&text, f); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return outfile.Write(path, text.Bytes())
}

// The types below are the lines of the format as encoding/json writes them.

type outHeader struct {
	Type          string            `json:"type"`
	Format        int               `json:"format"`
	Set           string            `json:"set"`
	Variant       string            `json:"variant"`
	Release       string            `json:"release"`
	Version       string            `json:"version"`
	Cmdline       string            `json:"cmdline"`
	Model         string            `json:"cpu_model"`
	Vendor        string            `json:"cpu_vendor"`
	CPUs          int               `json:"cpus"`
	Flags         string            `json:"cpu_flags"`
	Bugs          string            `json:"cpu_bugs"`
	Vuln          map[string]string `json:"vulnerabilities"`
	Config        map[string]string `json:"config"`
	Sysctl        map[string]string `json:"sysctl"`
	CallBase      hexAddr           `json:"bpf_call_base"`
	Offsets       *outOffsets       `json:"offsets,omitempty"`
	Context       map[string]int16  `json:"context,omitempty"`
	Scenarios     int               `json:"scenarios"`
	DefaultInputs []hexAddr         `json:"default_inputs,omitempty"`
	RunData       hexText           `json:"run_data,omitempty"`
}

type outOffsets struct {
	MaxEntries int32 `json:"map_max_entries"`
	Ptrs       int32 `json:"array_ptrs"`
	BPFFunc    int32 `json:"prog_bpf_func"`
}

type outScenario struct {
	Type        string       `json:"type"`
	Name        string       `json:"name"`
	Category    string       `json:"category"`
	ProgType    bpf.ProgType `json:"prog_type"`
	Found       int          `json:"found,omitempty"`
	Source      string       `json:"source,omitempty"`
	Object      []byte       `json:"object,omitempty"`
	Maps        []outMap     `json:"maps"`
	Progs       []outProg    `json:"progs"`
	ProgArrays  [][3]int     `json:"prog_arrays,omitempty"`
	Inputs      [][2]any     `json:"inputs,omitempty"`
	Run         *outRun      `json:"run,omitempty"`
	RunTraced   *outRun      `json:"run_traced,omitempty"`
	Played      []outPlayed  `json:"played,omitempty"`
	Trampolines []outTramp   `json:"trampolines,omitempty"`
	Error       string       `json:"error,omitempty"`
}

type outMap struct {
	Name       string      `json:"name"`
	Type       bpf.MapType `json:"type"`
	KeySize    uint32      `json:"key_size"`
	ValueSize  uint32      `json:"value_size"`
	MaxEntries uint32      `json:"max_entries"`
	Frozen     hexText     `json:"frozen,omitempty"`
	Inner      int         `json:"inner,omitempty"`
	Addr       hexAddr     `json:"addr,omitempty"`
	ValueAddr  hexAddr     `json:"value_addr,omitempty"`
}

type outRun struct {
	Prog    int       `json:"prog"`
	Skipped string    `json:"skipped,omitempty"`
	Error   string    `json:"error,omitempty"`
	Retval  uint32    `json:"retval"`
	Out     []hexAddr `json:"out,omitempty"`
}

type outPlayed struct {
	Action int      `json:"action"`
	Error  string   `json:"error,omitempty"`
	Retval uint32   `json:"retval"`
	Values [][3]any `json:"values,omitempty"`
}

// hexAddr is a number as the format writes addresses.
type hexAddr uint64

// MarshalJSON implements json.Marshaler.
func (a hexAddr) MarshalJSON() ([]byte, error) {
	return strconv.AppendQuote(nil, strconv.FormatUint(uint64(a), 16)), nil
}

// hexText are bytes as the format writes them.
type hexText []byte

// MarshalText implements encoding.TextMarshaler.
func (b hexText) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, b), nil }

func hexAddrs(v []uint64) []hexAddr {
	var out []hexAddr
	for _, x := range v {
		out = append(out, hexAddr(x))
	}
	return out
}

func headerLine(h *Header, scenarios int) outHeader {
	k := &h.Kernel
	out := outHeader{
		Type: "header", Format: Format, Set: h.Set, Variant: h.Variant, Release: k.Release, Version: k.Version,
		Cmdline: k.Cmdline, Model: k.CPUModel, Vendor: k.CPUVendor, CPUs: h.CPUs, Flags: strings.Join(k.CPUFlags, " "),
		Bugs: strings.Join(k.CPUBugs, " "), Vuln: noNil(k.Vulnerabilities), Config: noNil(k.Config), Sysctl: noNil(h.Sysctl),
		CallBase: hexAddr(h.CallBase), Scenarios: scenarios, DefaultInputs: hexAddrs(h.DefaultInputs), RunData: h.RunData,
	}
	if o := h.Offsets; o != nil {
		out.Offsets = &outOffsets{o.MapMaxEntries, o.ArrayPtrs, o.ProgBPFFunc}
	}
	if h.Context != nil {
		out.Context = map[string]int16{}
		for name, at := range h.Context.Fields() {
			out.Context[name] = *at
		}
	}
	return out
}

func noNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func scenarioLine(s *Scenario) outScenario {
	out := outScenario{
		Type: "scenario", Name: s.Name, Category: s.Category, ProgType: s.ProgType, Source: s.Source, Object: s.Object,
		Maps: []outMap{}, Progs: []outProg{}, Run: runLine(s.Run), RunTraced: runLine(s.RunTraced), Error: s.Error,
	}
	if s.Found {
		out.Found = 1
	}
	for _, m := range s.Maps {
		out.Maps = append(out.Maps, outMap{
			m.Name, m.Type, m.KeySize, m.ValueSize, m.MaxEntries, hexText(m.Frozen), m.Inner, hexAddr(m.Addr), hexAddr(m.ValueAddr),
		})
	}
	for i := range s.Progs {
		out.Progs = append(out.Progs, progLine(&s.Progs[i]))
	}
	for _, e := range s.ProgArrays {
		out.ProgArrays = append(out.ProgArrays, [3]int{e.Map, int(e.Key), e.Prog})
	}
	for _, in := range s.Inputs {
		out.Inputs = append(out.Inputs, [2]any{in.N, hexAddr(in.Value)})
	}
	for _, r := range s.Played {
		p := outPlayed{Action: r.Action, Error: r.Error, Retval: r.Retval}
		for _, v := range r.Values {
			p.Values = append(p.Values, [3]any{v.Map, hexText(v.Key), hexText(v.Value)})
		}
		out.Played = append(out.Played, p)
	}
	for i := range s.Trampolines {
		out.Trampolines = append(out.Trampolines, trampLine(&s.Trampolines[i]))
	}
	return out
}

func runLine(r *Run) *outRun {
	if r == nil {
		return nil
	}
	return &outRun{r.Prog, r.Skipped, r.Error, r.Retval, hexAddrs(r.Out)}
}

func symbolLine(s *Symbols) any {
	names := map[string]hexAddr{}
	for n, a := range s.Addr {
		names[n] = hexAddr(a)
	}
	return struct {
		Type    string              `json:"type"`
		Symbols map[string]hexAddr  `json:"symbols"`
		Aliases map[string][]string `json:"aliases,omitempty"`
	}{"symbols", names, s.Aliases}
}
