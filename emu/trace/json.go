// SPDX-License-Identifier: GPL-2.0-only

package trace

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/x86"
)

// Hex is a 64-bit value that JSON holds as a string "0x…", because numbers are only safe up to
// 2^53 there.
type Hex uint64

// MarshalText returns the value in lower-case hexadecimal with prefix.
func (h Hex) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%#x", uint64(h)), nil }

// UnmarshalText accepts what strconv.ParseUint does with a base prefix.
func (h *Hex) UnmarshalText(b []byte) error {
	v, err := strconv.ParseUint(string(b), 0, 64)
	if err != nil {
		return fmt.Errorf("address %q: %w", b, err)
	}
	*h = Hex(v)
	return nil
}

// Record is an Event as JSON has it. Fields without meaning for the kind are absent.
type Record struct {
	No         uint64 `json:"n"`
	Kind       string `json:"event"`
	Seq        uint64 `json:"seq"`
	Cycle      int64  `json:"cycle,omitempty"`
	Func       string `json:"func,omitempty"`
	Off        int    `json:"off"`
	Insn       *int   `json:"insn,omitempty"`
	InsnText   string `json:"insn_text,omitempty"`
	Activation int    `json:"activation,omitempty"`
	Begun      int    `json:"begun,omitempty"`
	Depth      int    `json:"depth"`
	RIP        Hex    `json:"rip"`
	RSP        Hex    `json:"rsp"`
	RBP        Hex    `json:"rbp"`
	RAX        Hex    `json:"rax"`
	// Regs are all registers by name, where they were asked for.
	Regs map[string]Hex `json:"registers,omitempty"`

	Counter *Counter `json:"tail_call_cnt,omitempty"`
	Tail    *Tail    `json:"tail_call,omitempty"`

	Target     string `json:"target,omitempty"`
	TargetAddr Hex    `json:"target_addr,omitempty"`
	Name       string `json:"name,omitempty"`
}

// Counter is tail_call_cnt in a Record.
type Counter struct {
	Value uint64 `json:"value"`
	Addr  Hex    `json:"addr"`
	// Ptr is the value of tail_call_cnt_ptr, PtrAt where it lives; absent in designs without it.
	Ptr   Hex `json:"ptr,omitempty"`
	PtrAt Hex `json:"ptr_at,omitempty"`
}

// Tail is a tail call in a Record.
type Tail struct {
	Direct      bool   `json:"direct"`
	Map         string `json:"map,omitempty"`
	Key         uint32 `json:"key"`
	Taken       uint64 `json:"taken"` // in this invocation so far, this one included
	Refused     string `json:"refused,omitempty"`
	FellThrough bool   `json:"fell_through,omitempty"`
}

// Record returns the event in the form that JSON has.
func (e *Event) Record(c *Code) Record {
	r := Record{
		No: e.No, Kind: e.Kind.String(), Seq: e.Seq, Cycle: int64(e.Cycle), Activation: e.Act, Begun: e.Begun, Depth: e.Depth,
		RIP: Hex(e.RIP), RSP: Hex(e.RSP), RBP: Hex(e.RBP), RAX: Hex(e.RAX),
		TargetAddr: Hex(e.TargetAddr), Name: e.Name,
	}
	if e.Regs != nil {
		r.Regs = map[string]Hex{}
		for i, v := range e.Regs {
			r.Regs[x86.Reg(i).String()] = Hex(v)
		}
	}
	if e.Fn != nil {
		r.Func, r.Off = e.Fn.String(), int(e.RIP-e.Fn.Addr)
	}
	if e.HasInsn {
		i := int(e.Insn)
		r.Insn, r.InsnText = &i, c.InsnText(e.Fn, bpf.InsnIndex(i))
	}
	if e.CounterAddr != 0 {
		r.Counter = &Counter{Value: e.Counter, Addr: Hex(e.CounterAddr)}
		if e.CounterPtrAt != 0 {
			r.Counter.Ptr, r.Counter.PtrAt = Hex(e.CounterAddr), Hex(e.CounterPtrAt)
		}
	}
	if e.Tail != nil {
		r.Tail = &Tail{
			Direct: e.Tail.Direct, Map: e.MapName(), Key: e.Key, Taken: e.Taken,
			Refused: e.Reason.String(), FellThrough: e.FellThrough,
		}
	}
	if e.Target != nil {
		r.Target = e.Target.String()
	}
	return r
}

// JSON returns events as a list of records.
func JSON(c *Code, events []Event) ([]byte, error) {
	l := make([]Record, len(events))
	for i := range events {
		l[i] = events[i].Record(c)
	}
	return json.Marshal(l)
}
