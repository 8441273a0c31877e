// SPDX-License-Identifier: GPL-2.0-only

package campaign

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/worker"
)

// MatrixJob is the name of the work of a matrix, for a worker process whose jobs have Playing by it.
const MatrixJob = "matrix"

// question asks for cell (Scenario, Target), or for the costs of a target if Scenario is -1.
type question struct {
	Target   int `json:"target"`
	Scenario int `json:"scenario"`
}

// Playing is the job of a worker process of a matrix. load makes the scenarios, the targets and the core of
// the costs of MatrixOptions.Setup.
func Playing(load func(setup json.RawMessage) ([]*scenarios.Built, []*jit.Target, *timing.Core, error)) worker.Job {
	return func(setup json.RawMessage) (worker.Work, error) {
		bs, ts, core, err := load(setup)
		if err != nil {
			return nil, err
		}
		w := &player{} // for the life of the process
		return func(ctx context.Context, ask json.RawMessage, answer func(any) error) error {
			var q question
			if err := json.Unmarshal(ask, &q); err != nil {
				return err
			}
			switch {
			case q.Target < 0 || q.Target >= len(ts) || q.Scenario < -1 || q.Scenario >= len(bs):
				return fmt.Errorf("there is no target %d or scenario %d", q.Target, q.Scenario)
			case q.Scenario < 0:
				return answer(w.costs(ctx, ts[q.Target], core))
			}
			return answer(w.cell(ctx, bs[q.Scenario], ts[q.Target]))
		}, nil
	}
}
