// SPDX-License-Identifier: GPL-2.0-only

package kernels

// kindFacts are the types of programs and of maps that there are (enum bpf_prog_type and enum bpf_map_type of
// include/uapi/linux/bpf.h), and which programs may sleep.
var kindFacts = append(kinds(
	kindCount{4, 4, 5, 5}, kindCount{4, 6, 5, 8}, kindCount{4, 7, 6, 8}, kindCount{4, 8, 7, 9}, kindCount{4, 9, 8, 9}, kindCount{4, 10, 13, 11},
	kindCount{4, 11, 13, 12}, kindCount{4, 12, 13, 14}, kindCount{4, 13, 14, 14}, kindCount{4, 14, 15, 16}, kindCount{4, 15, 16, 17},
	kindCount{4, 17, 19, 17}, kindCount{4, 18, 21, 19}, kindCount{4, 19, 22, 21}, kindCount{4, 20, 23, 24}, kindCount{5, 2, 25, 25},
	kindCount{5, 3, 26, 25}, kindCount{5, 4, 26, 26}, kindCount{5, 5, 27, 26}, kindCount{5, 6, 29, 27}, kindCount{5, 7, 30, 27},
	kindCount{5, 8, 30, 28}, kindCount{5, 9, 31, 28}, kindCount{5, 10, 31, 29}, kindCount{5, 11, 31, 30}, kindCount{5, 14, 32, 30},
	kindCount{5, 16, 32, 31}, kindCount{6, 1, 32, 32}, kindCount{6, 2, 32, 33}, kindCount{6, 4, 33, 33}, kindCount{6, 9, 33, 34},
	kindCount{6, 19, 33, 35},
), []Fact{
	{
		Name: "sleeping-probes", Kind: FactVerifier, Doc: "probes of user space may sleep", Since: Version{6, 0}, Commit: "8c7dcb84e3b7",
		set: verifier(func(v *Verifier) { v.SleepingProbes = true }),
	},
	{
		Name: "sleeping-ops", Kind: FactVerifier, Doc: "programs of struct_ops may sleep, tracepoints with BTF may not", Since: Version{6, 3},
		set: verifier(func(v *Verifier) { v.SleepingOps = true }),
	},
	{
		Name: "sleeping-tracepoints", Kind: FactVerifier, Doc: "programs of tracepoints may sleep", Since: Version{7, 2}, After: Version{6, 18},
		set: verifier(func(v *Verifier) { v.SleepingTracepoints = true }),
	},
}...)

type kindCount struct {
	major, minor int
	progs, maps  int32
}

func kinds(counts ...kindCount) []Fact {
	var facts []Fact
	for i, c := range counts {
		f := Fact{
			Name: "kinds-" + Version{c.major, c.minor}.String(), Kind: FactVerifier, Doc: "more types of programs or of maps", Since: Version{c.major, c.minor},
			set: verifier(func(v *Verifier) { v.ProgTypes, v.MapTypes = c.progs, c.maps }),
		}
		if i+1 < len(counts) {
			f.Until, f.replaced = Version{counts[i+1].major, counts[i+1].minor}, true
		}
		facts = append(facts, f)
	}
	return facts
}
