// SPDX-License-Identifier: GPL-2.0-only

package timing

// Cause says why an instruction did not retire together with the one before it.
type Cause uint8

// The causes. CauseNone is that of an instruction without cost.
const (
	CauseNone        Cause = iota
	CauseIssue             // the width of issue or retirement
	CausePort              // its execution port was taken
	CauseDependency        // an operand was not ready, or its own latency
	CauseForwardFail       // its load needed bytes of more than one store
	CauseRename            // a load before it was renamed to the wrong store
	CauseMispredict        // a branch before it went where it was not predicted to go
	CauseReturnStack       // a return before it found the return stack empty
	CauseFrontEnd          // fetch: bubbles after branches, decoding
	CauseSerialize         // a fence, a pause or a locked instruction
	CauseWindow            // reorder buffer, scheduler, load or store buffer full
	numCauses
)

var causeNames = [numCauses]string{
	CauseNone: "none", CauseIssue: "issue", CausePort: "port", CauseDependency: "dependency",
	CauseForwardFail: "store-forward failure", CauseRename: "wrong renaming", CauseMispredict: "mispredict",
	CauseReturnStack: "return-stack underflow", CauseFrontEnd: "front end",
	CauseSerialize: "serialization", CauseWindow: "window full",
}

// String returns the name that reports use.
func (c Cause) String() string {
	if c < numCauses {
		return causeNames[c]
	}
	return "unknown"
}

// Costs sums up cycles by cause. The zero value is empty.
type Costs [numCauses]Cycle

// Add counts the cost of one instruction.
func (c *Costs) Add(s Stamp) { c[s.Cause] += s.Cost }

// Total returns the sum over all causes.
func (c *Costs) Total() Cycle {
	var t Cycle
	for _, v := range c {
		t += v
	}
	return t
}

// All yields the causes that cost something, in the order of their constants.
func (c *Costs) All(yield func(Cause, Cycle) bool) {
	for n, v := range c {
		if v != 0 && !yield(Cause(n), v) {
			return
		}
	}
}

// why collects, while an instruction passes the stages, what it waited for.
type why struct {
	issue    Cause // what decided the cycle of issue
	failed   bool  // its load could not be forwarded
	serial   bool  // it is a locked instruction, or a load that waited for one
	operands Cycle // waiting for operands from the earliest possible execution on
	port     Cycle // waiting for the port after that
}

// attribute names the cause of the cost of an instruction that has some: before is when its predecessor retired.
func (m *Model) attribute(before Cycle) Cause {
	w := &m.now.why
	late := m.last.Complete > before
	switch {
	case w.failed:
		return CauseForwardFail
	case w.serial && late:
		return CauseSerialize
	case m.last.Issue > before && w.issue != CauseIssue:
		return w.issue // the core had run empty
	case late && w.port > w.operands:
		return CausePort
	case late && w.operands > 0:
		return CauseDependency
	case before-m.last.Issue <= m.core.Back.ToDispatch+nearlyEmpty:
		return w.issue // nothing waits in the core
	case !late:
		return CauseIssue // retirement width
	}
	return CauseDependency // its own latency
}

// nearlyEmpty is how many cycles beyond the shortest way through the core an instruction may take
// while issue, not execution, is what limits the core.
const nearlyEmpty = 3
