// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package scenariotest_test

import (
	"context"
	"fmt"
	"log"

	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios/object"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// The five calls that everything is made of: load, compile, run, look at the events, draw the stack.
func Example() {
	built, err := object.Load("hierarchy_limit_4", object.Options{}) // a built-in name, a YAML file or an object file
	if err != nil {
		log.Fatal(err)
	}
	target, err := jit.TargetByName("6.12")
	if err != nil {
		log.Fatal(err)
	}
	compiled, err := runner.Compile(built, target)
	if err != nil {
		log.Fatal(err)
	}
	session, err := runner.Open(compiled, runner.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()

	run, err := session.PlayTo(context.Background(), 1)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("taken:", run.Counts.Taken, "as expected:", len(run.Mismatches) == 0)

	for i := range run.Events { // valid until the next run
		if e := &run.Events[i]; e.Kind == trace.KindTailCall {
			fmt.Println("event", e.No, e.What(run.Code))
		}
	}

	at, err := stack.ParseAt("tailcall:2")
	if err != nil {
		log.Fatal(err)
	}
	drawings, err := session.Stack(context.Background(), 1, at)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(drawings[0].Layout.Frames), "frames at", drawings[0].Moment.Name)
	// Output:
	// taken: 4 as expected: true
	// event 3 sub[14] -> entry jmp_table[0]
	// event 5 sub[14] -> entry jmp_table[0]
	// event 7 sub[14] -> entry jmp_table[0]
	// event 9 sub[14] -> entry jmp_table[0]
	// 3 frames at tailcall 2
}
