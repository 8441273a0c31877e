// SPDX-License-Identifier: GPL-2.0-only

package campaign

import (
	"fmt"

	"github.com/tcsim/tcsim/scenarios"
)

// The probes of the cost sheet: programs that are as small as their class allows. What a class costs
// is the difference of two of them, or what single BPF instructions of one execute.
const (
	probeHead = "version: 1\nname: probe\nmaps:\n  jmp_table: {type: prog_array, slots: {0: p}}\n  state: {type: array, values: {0: 1}}\n"
	probeRun  = "runs:\n  - {run: p, packet: 64}\n"

	// probePlain is what a program without tail calls cannot go below.
	probePlain = probeHead + `programs:
  p: |
    r0 = 0
    exit
` + probeRun
	// probeBranch and probeMain differ in one tail call that is not reached.
	probeBranch = probeHead + `programs:
  p: |
    r2 = *(u32 *)(r1 + 0)
    if r2 == 0 goto other
    r0 = 0
    exit
    other: r0 = 1
    exit
` + probeRun
	probeMain = probeHead + "programs:\n  p: |\n" + probeSpared
	// probeCall and probeCalls call a subprogram with a tail call in it once and twice.
	probeCall = probeHead + `programs:
  p: |
    r6 = r1
    call sub
    r0 = 0
    exit
` + probeSub
	probeCalls = probeHead + `programs:
  p: |
    r6 = r1
    call sub
    r1 = r6
    call sub
    r0 = 0
    exit
` + probeSub
	probeSub = "    sub:\n" + probeSpared
	// probeSpared is a function with a tail call that is not reached.
	probeSpared = `    r2 = *(u32 *)(r1 + 0)
    if r2 == 0 goto other
    r0 = 0
    exit
    other: r2 = jmp_table ll
    r3 = 0
    call 12
    r0 = 1
    exit
` + probeRun
	// probeDirect and probeIndirect tail call themselves as often as the limit lets them.
	probeDirect = probeHead + `programs:
  p: |
    r2 = jmp_table ll
    r3 = 0
    call 12
    r0 = 0
    exit
` + probeRun
	probeIndirect = probeHead + `programs:
  p: |
    r3 = *(u32 *)(r1 + 8)           ; skb->mark is 0, which no verifier knows
    r2 = jmp_table ll
    call 12
    r0 = 0
    exit
` + probeRun
)

// Slots of instructions in the probes.
const (
	plainZero, plainExit = 0, 1
	mainZero, mainExit   = 2, 3
	callSlot             = 1
	subZero, subExit     = 6, 7 // of probeCall
	directSlot           = 3
	indirectSlot         = 3
)

// Two lengths of the chains, whose difference is what chainDiff tail calls cost.
const (
	chainShort = 16
	chainDiff  = 16
)

// probe builds a probe; limit 0 is the target's.
func probe(text string, limit int) *scenarios.Built {
	if limit != 0 {
		text = fmt.Sprintf("limit: %d\n", limit) + text
	}
	sc, err := scenarios.Load("probe", []byte(text))
	if err != nil {
		panic("BUG: probe: " + err.Error())
	}
	b, err := scenarios.Build(sc)
	if err != nil {
		panic("BUG: probe: " + err.Error())
	}
	return b
}
