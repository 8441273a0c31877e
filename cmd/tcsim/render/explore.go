// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"encoding/json"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/scenarios/interleave"
)

// Explored is what tcsim explore found on one target; with one target it is the object.
type Explored struct {
	Error       string           `json:"error,omitempty"` // why the target cannot be explored
	Interrupted bool             `json:"interrupted,omitempty"`
	Scenario    string           `json:"scenario"`
	Schema      Schema           `json:"schema,omitempty"`
	Target      string           `json:"target"`
	Updates     []ExploredUpdate `json:"updates"`
}

// ExploredTargets is the object of tcsim explore with several targets.
type ExploredTargets struct {
	Interrupted bool       `json:"interrupted,omitempty"`
	Scenario    string     `json:"scenario"`
	Schema      Schema     `json:"schema"`
	Targets     []Explored `json:"targets"`
}

// ExploredUpdate is one update of a slot against one run. Numbers of schedules are decimal, of any size.
type ExploredUpdate struct {
	Alone      *check.Violation          `json:"alone,omitempty"` // of the run without the update
	Classes    int                       `json:"classes"`
	Complete   int                       `json:"complete,omitempty"` // if not exhaustive: all with fewer changes than this
	Before     *check.Violation          `json:"earlier_violation,omitempty"`
	Exhaustive bool                      `json:"exhaustive"`
	Failed     map[string]ExploredFailed `json:"failed"` // by invariant
	From       string                    `json:"from"`
	Kind       interleave.UpdateKind     `json:"kind"`
	Later      *check.Violation          `json:"later_violation,omitempty"`
	OK         bool                      `json:"ok"`
	Program    string                    `json:"program"`
	Run        int                       `json:"run"`
	Schedules  string                    `json:"schedules"`
	Shortest   *ExploredFailure          `json:"shortest,omitempty"`
	Slot       string                    `json:"slot"`
	Steps      []string                  `json:"steps"`
	Then       []ExploredThen            `json:"then,omitempty"`
	To         string                    `json:"to"`
	Unbounded  bool                      `json:"unbounded,omitempty"`
	Update     *check.Violation          `json:"update_violation,omitempty"`
}

// ExploredThen is an update that follows during the same run.
type ExploredThen struct {
	From string                `json:"from"`
	Kind interleave.UpdateKind `json:"kind"`
	Slot string                `json:"slot"`
	To   string                `json:"to"`
}

// ExploredFailed counts schedules that fail.
type ExploredFailed struct {
	Schedules string `json:"schedules"`
	Classes   int    `json:"classes"`
}

// ExploredFailure is the shortest schedule that fails.
type ExploredFailure struct {
	Events    json.RawMessage            `json:"events,omitempty"`
	Insns     uint64                     `json:"instructions"`
	Schedules string                     `json:"schedules"` // of the same class
	Stack     *stack.Layout              `json:"stack"`
	Steps     []interleave.ScheduledStep `json:"steps"`
	Violation *check.Violation           `json:"violation"`
}

// ExploredUpdates makes the rows of one target.
func ExploredUpdates(found []interleave.Explored) []ExploredUpdate {
	var out []ExploredUpdate
	for i := range found {
		out = append(out, exploredUpdate(&found[i]))
	}
	return out
}

func exploredUpdate(x *interleave.Explored) ExploredUpdate {
	u := ExploredUpdate{
		Alone: x.Alone, Classes: x.All.Classes, Complete: x.Complete, Before: x.Before, Exhaustive: x.Exhaustive, Failed: map[string]ExploredFailed{},
		From: x.From, Kind: x.Kind, Later: x.Later, OK: x.OK(), Program: x.Program, Run: x.Run, Schedules: x.All.Schedules.String(),
		Slot: x.Slot, Steps: x.Steps, To: x.To, Unbounded: x.Unbounded, Update: x.Update,
	}
	for _, then := range x.Then {
		u.Then = append(u.Then, ExploredThen{then.From, then.Kind, then.Slot, then.To})
	}
	for name, n := range x.Failed {
		u.Failed[name] = ExploredFailed{n.Schedules.String(), n.Classes}
	}
	if f := x.Failure; f != nil {
		u.Shortest = &ExploredFailure{Violation: f.Violation, Insns: f.Insns, Steps: f.Steps, Stack: f.Layout, Schedules: x.Shortest.Same.String()}
		if raw, err := trace.JSON(f.Code, f.Events); err == nil {
			u.Shortest.Events = json.RawMessage(raw)
		}
	}
	return u
}
