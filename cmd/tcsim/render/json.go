// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"encoding/json"
	"github.com/tcsim/tcsim/jit/parts"
	"github.com/tcsim/tcsim/scenarios/campaign"
	"io"

	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/scenarios/callgraph"
	"github.com/tcsim/tcsim/scenarios/verdicts"
)

// Schema names the form of an object and its version; the version changes when a field goes or
// changes its meaning.
type Schema string

// One schema for each command.
const (
	SchemaCapture       Schema = "tcsim.capture/v1"
	SchemaCheckKernel   Schema = "tcsim.check-kernel/v1"
	SchemaCompare       Schema = "tcsim.compare/v1"
	SchemaConform       Schema = "tcsim.conform/v1"
	SchemaCount         Schema = "tcsim.count/v1"
	SchemaDoctor        Schema = "tcsim.doctor/v1"
	SchemaDoctorSources Schema = "tcsim.doctor-sources/v1"
	SchemaExplore       Schema = "tcsim.explore/v1"
	SchemaFuzz          Schema = "tcsim.fuzz/v1"
	SchemaFuzzShard     Schema = campaign.ShardSchema
	SchemaPart          Schema = parts.Schema
	SchemaGraph         Schema = "tcsim.graph/v1"
	SchemaHistory       Schema = "tcsim.history/v1"
	SchemaImport        Schema = "tcsim.import/v1"
	SchemaJIT           Schema = "tcsim.jit/v1"
	SchemaList          Schema = "tcsim.list/v1"
	SchemaMatrix        Schema = "tcsim.matrix/v1"
	SchemaPlugin        Schema = "tcsim.plugin/v1"
	SchemaReplay        Schema = "tcsim.replay/v1"
	SchemaRun           Schema = "tcsim.run/v1"
	SchemaSplat         Schema = "tcsim.splat/v1"
	SchemaStack         Schema = "tcsim.stack/v1"
	SchemaTrace         Schema = "tcsim.trace/v1"
	SchemaVerify        Schema = "tcsim.verify/v1"
	SchemaVersion       Schema = "tcsim.version/v1"
	SchemaVM            Schema = "tcsim.vm/v2"
	SchemaWorst         Schema = "tcsim.worst/v1"
)

// JSON writes the one object of a command. The fields of the objects below are in the order of their
// names.
func JSON(w io.Writer, object any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(object)
}

// Run is the object of tcsim run.
type Run struct {
	Interrupted bool     `json:"interrupted,omitempty"`
	Results     []RunRow `json:"results"`
	Schema      Schema   `json:"schema"`
}

// Verdicts is the object of tcsim verify.
type Verdicts struct {
	Interrupted bool           `json:"interrupted,omitempty"`
	Results     []verdicts.Row `json:"results"`
	Schema      Schema         `json:"schema"`
}

// Trace is the object of tcsim trace, and of the --trace of other commands.
type Trace struct {
	Events json.RawMessage `json:"events"` // as trace.JSON makes them
	Run    Summary         `json:"run"`
	Schema Schema          `json:"schema"`
}

// Pipeline is the object of tcsim trace --pipeline.
type Pipeline struct {
	Core     string               `json:"core"`
	Pipeline []timing.PipelineRow `json:"pipeline"`
	Schema   Schema               `json:"schema"`
}

// Stacks is the object of tcsim stack, and of the --at of other commands.
type Stacks struct {
	Schema Schema    `json:"schema"`
	Stacks []Drawing `json:"stacks"`
}

// Drawing is the stack at one moment.
type Drawing struct {
	At     string        `json:"at"`
	Cycle  int64         `json:"cycle"`
	Event  uint64        `json:"event"`
	Layout *stack.Layout `json:"layout"`
}

// Graph is the object of tcsim graph.
type Graph struct {
	Graph  *callgraph.Graph `json:"graph"`
	Schema Schema           `json:"schema"`
}

// Capture is the object of tcsim capture.
type Capture struct {
	Capture *Captured `json:"capture"`
	Schema  Schema    `json:"schema"`
}

// VM is the object of tcsim vm.
type VM struct {
	Captures    []*Captured `json:"captures"` // one for each kernel
	Interrupted bool        `json:"interrupted,omitempty"`
	Replay      []ReplayRow `json:"replay"`
	Schema      Schema      `json:"schema"`
}

// Conform is the object of tcsim conform.
type Conform struct {
	Captures    []ConformRow `json:"captures"`
	Interrupted bool         `json:"interrupted,omitempty"`
	Schema      Schema       `json:"schema"`
}

// Replay is the object of tcsim replay.
type Replay struct {
	Captures    []ReplayRow `json:"captures"`
	Interrupted bool        `json:"interrupted,omitempty"`
	Schema      Schema      `json:"schema"`
}

// Import is the object of tcsim import.
type Import struct {
	Notes    []string     `json:"notes"`
	Programs []ImportProg `json:"programs"`
	Schema   Schema       `json:"schema"`
}

// ImportProg is a program of a record.
type ImportProg struct {
	Design    string       `json:"design"`
	Format    string       `json:"format"`
	Functions []ImportFunc `json:"functions"`
	Landing   int          `json:"landing"` // -1: none
	Limit     uint32       `json:"limit"`
	Name      string       `json:"name"`
}

// ImportFunc is a function of a record.
type ImportFunc struct {
	Addr      string   `json:"addr,omitempty"` // in hex; "" if it is made up
	Body      int      `json:"body"`           // offset of the code after the prologue
	Calls     int      `json:"calls"`
	Counter   string   `json:"counter"`
	Name      string   `json:"name"`
	Proto     string   `json:"proto,omitempty"`
	Size      int      `json:"size"`
	Stack     int      `json:"stack"` // bytes
	TailCalls []string `json:"tail_calls"`
}

// ImportRun is the object of tcsim import --run.
type ImportRun struct {
	Design  string   `json:"design"`
	Flaws   []string `json:"flaws,omitempty"`
	Notes   []string `json:"notes"`
	OK      bool     `json:"ok"`
	Program string   `json:"program"`
	Run     Summary  `json:"run"`
	Schema  Schema   `json:"schema"`
	With    []string `json:"with"` // the other programs
}

// Doctor is the object of tcsim doctor.
type Doctor struct {
	Checks      []SelfTest `json:"checks"`
	Interrupted bool       `json:"interrupted,omitempty"`
	OK          bool       `json:"ok"` // all of Checks are
	Schema      Schema     `json:"schema"`
}

// SelfTest is one test of tcsim doctor.
type SelfTest struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// Plugin is the object of tcsim plugin.
type Plugin struct {
	Return string `json:"return"` // r0 in hex
	Schema Schema `json:"schema"`
}
