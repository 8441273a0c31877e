// SPDX-License-Identifier: GPL-2.0-only

package helper

// Outside answers the helpers that ask about the world outside as a machine does: for an
// interpreter beside it. As the machine begins anew with each run, so must this.
type Outside struct{ e Env }

// NewOutside returns the answers that a machine with a seed gives in one run.
func NewOutside(seed uint64) *Outside { return &Outside{Env{World: NewWorld(seed)}} }

// Value returns what a call of a helper gives, by its number in include/uapi/linux/bpf.h, 0 if it
// Answers not. Calls must come in the order of the run; the other argument means nothing.
func (o *Outside) Value(number int32, _ uint64) uint64 {
	name := NameOf(number)
	if !o.Answers(name) {
		return 0
	}
	v, err := ByName(name).fn(&call{e: &o.e})
	if err != nil {
		return 0
	}
	return v
}

// jiffies64 is bpf_jiffies64, which kernels read from a variable.
const jiffies64 = 118

// Answers reports whether the answers to a helper, by name, are known without its arguments, its
// packet and so on.
func (o *Outside) Answers(name string) bool {
	h := ByName(name)
	return h != nil && h.world && !h.writes && name != "bpf_get_hash_recalc"
}
