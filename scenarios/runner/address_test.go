// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"strings"
	"testing"

	"github.com/tcsim/tcsim/scenarios/runner"
)

// addressScenario has its last instructions in place of LAST.
const addressScenario = `
version: 1
name: addresses
type: kprobe
maps:
  values: {type: array, value_size: 12, max_entries: 4}
  per_cpu: {type: percpu_array, value_size: 12, max_entries: 4}
  hashed: {type: hash, value_size: 12, max_entries: 4, values: {0: 1, 3: 2}}
programs:
  entry:
    asm: |
      r6 = r1
      *(u32 *)(r10 - 4) = KEY
      r2 = r10
      r2 += -4
      r1 = MAP ll
      call bpf_map_lookup_elem
      LAST
      exit
runs: [{run: entry}, {run: entry}]
`

// TestAddresses: a kprobe may return an address, or half of one: that is no violation.
func TestAddresses(t *testing.T) {
	for _, last := range []string{
		"r0 = r0", "w0 = w0", "r0 = r6", "w0 = w6", "r0 = r1", "r0 = r10", "r0 = r10\n      r0 += -8",
		"w0 = w0\n      r0 *= 9", "w0 = w10", "r0 = r10\n      r0 += -8\n      w0 = w0",
		"w0 = w10\n      r0 *= 3\n      r0 &= 0xff", "w0 = w10\n      r0 >>= 4\n      r0 ^= 0x5a5a",
	} {
		for _, mp := range []string{"values", "per_cpu", "hashed"} {
			for _, key := range []string{"0", "3", "4"} {
				text := strings.NewReplacer("LAST", last, "MAP", mp, "KEY", key).Replace(addressScenario)
				if last == "r0 = r1" { // not readable after a call: the map's own address
					text = strings.Replace(text, "call bpf_map_lookup_elem\n", "", 1)
				}
				b := buildText(t, "addresses.yaml", []byte(text))
				for _, name := range []string{"5.10", "6.1", "6.12", "7.3"} {
					c, err := runner.Compile(b, target(t, name))
					if err != nil {
						t.Fatalf("%s, %s[%s], %s: %v", last, mp, key, name, err)
					}
					if res := play(t, opened(t, c, runner.Options{})); !res.OK() {
						t.Errorf("%s, %s[%s], %s: %v", last, mp, key, name, res.Violation())
					}
				}
			}
		}
	}
}

// TestPrinted: a program may return what bpf_trace_printk returned, the length of the line or an error.
func TestPrinted(t *testing.T) {
	const text = `
version: 1
name: printed
type: kprobe
programs:
  entry:
    asm: |
      *(u64 *)(r10 - 8) = FORMAT
      r1 = r10
      r1 += -8
      r2 = 8
      r3 = 1234
      call bpf_trace_printk
      r6 = r0
      *(u64 *)(r10 - 8) = 97
      r1 = r10
      r1 += -8
      r2 = 8
      call bpf_trace_printk
      r6 <<= 8
      r0 |= r6
      exit
runs: [{run: entry, expect: {return: RETURN}}, {run: entry, expect: {return: RETURN}}]
`
	for format, want := range map[string]string{"0x6425": "0x401", "0x2525": "0x101", "0x25": "-5631"} { // %d, %%, % (EINVAL)
		b := buildText(t, "printed.yaml", []byte(strings.NewReplacer("FORMAT", format, "RETURN", want).Replace(text)))
		for _, name := range []string{"5.10", "6.12", "7.3"} {
			c, err := runner.Compile(b, target(t, name))
			if err != nil {
				t.Fatal(err)
			}
			if res := play(t, opened(t, c, runner.Options{})); !res.OK() {
				t.Errorf("%s, %s: %v, %v", format, name, res.Violation(), res.Mismatches())
			}
		}
	}
}
