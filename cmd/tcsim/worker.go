// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"encoding/json"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/native"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/campaign"
	"github.com/tcsim/tcsim/scenarios/worker"
)

// workerVerb is the hidden verb that a worker process runs.
const workerVerb = "worker"

// workerGC lets the heap of a worker grow to several times what is live, a few MB, before it is collected.
const workerGC = 800

// workerCommand is what a process runs that works for another tcsim: fuzz, matrix, or cycles --host.
func (e env) workerCommand() *cli.Command {
	return &cli.Command{
		Name: workerVerb, Hidden: true, Usage: "works for another tcsim, which writes to standard input",
		Action: func(ctx context.Context, _ *cli.Command) error {
			if os.Getenv("GOGC") == "" { // else the parent has said what it wants
				debug.SetGCPercent(workerGC)
			}
			// An interrupt is for the parent, which ends its workers when it has what it wants.
			return worker.Main(context.WithoutCancel(ctx), e.stdin, e.stdout, workerJobs)
		},
	}
}

// workerJobs are all kinds of work.
var workerJobs = map[string]worker.Job{
	campaign.FuzzJob:   campaign.Fuzzing,
	campaign.MatrixJob: campaign.Playing(loadMatrix),
	native.Job:         native.Serve,
}

// How often a process is tried to start where memory or processes are short.
const (
	startTries = 6
	startPause = time.Second
)

// launch starts worker processes; environment is added to that of this one. Without a program to start, the
// workers are in this process.
func (e env) launch(environment ...string) worker.Start {
	if e.self == "" {
		return worker.Inside(workerJobs)
	}
	return worker.Patient(worker.Launch(e.self, workerVerb, environment...), startTries, startPause)
}

// matrixSetup is what the processes of a matrix are to make the same scenarios and targets of.
type matrixSetup struct {
	Scenarios []string `json:"scenarios"`
	Targets   []string `json:"targets"`
	Limit     uint32   `json:"limit,omitempty"`
	Core      string   `json:"core"`
}

// loadMatrix makes scenarios, targets and core of a setup.
func loadMatrix(setup json.RawMessage) (bs []*scenarios.Built, ts []*jit.Target, core *timing.Core, err error) {
	var s matrixSetup
	if err = json.Unmarshal(setup, &s); err != nil {
		return nil, nil, nil, err
	}
	if bs, err = loadScenarios(s.Scenarios); err != nil {
		return nil, nil, nil, err
	}
	if ts, err = targets(s.Targets, s.Limit); err != nil {
		return nil, nil, nil, err
	}
	name, _, _ := strings.Cut(s.Core, ",") // the first is as good as any for what has no costs
	core, err = findCore(name)
	return bs, ts, core, err
}
