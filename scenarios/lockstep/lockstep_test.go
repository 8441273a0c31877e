// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package lockstep_test

import (
	"context"
	"flag"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios/choices"
	"github.com/tcsim/tcsim/scenarios/lockstep"
	"github.com/tcsim/tcsim/scenarios/progen"
)

func target(t testing.TB, name string) *jit.Target {
	t.Helper()
	tg, err := jit.TargetByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return tg
}

// programs makes programs from-to of a seed for a target.
func programs(t *jit.Target, seed uint64, from, to int) (out []*progen.Program) {
	can := progen.Of(&t.Kernel)
	for i := from; i < to; i++ {
		out = append(out, progen.Random(choices.New(seed, uint64(i)), can))
	}
	return out
}

var perTarget = flag.Int("programs", 100, "how many programs TestAgree plays on each target")

// blindedTargets are kernels that blind constants, which no list has.
var blindedTargets = []string{"5.10-blinded", "6.12-blinded", "7.2-blinded"}

// TestAgree plays programs on every target that is listed. Of designs that are known to be wrong, it expects nothing.
func TestAgree(t *testing.T) {
	n := *perTarget
	if testing.Short() {
		n = min(n, 25)
	}
	p := lockstep.New()
	defer p.Close()
	for _, name := range append(jit.TargetNames(), blindedTargets...) {
		tg := target(t, name)
		if tg.Design.Traits().Wrong() != "" {
			continue
		}
		all := programs(tg, 1, 0, n)
		got, err := p.Play(context.Background(), all, tg)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		kinds := map[lockstep.Kind]int{}
		for i, v := range got {
			kinds[v.Kind]++
			if v.Failed() && kinds[v.Kind] == 1 {
				t.Errorf("%s: program %d: %s: %s\n%s", name, i, v.Kind, v.Why, all[i].Asm())
			}
		}
		t.Log(name, kinds)
	}
}

// BenchmarkPlay is one core's work on programs: making, verifying, compiling, running and comparing.
func BenchmarkPlay(b *testing.B) {
	for _, name := range []string{"6.12", "7.2"} {
		b.Run(name, func(b *testing.B) {
			tg := target(b, name)
			p := lockstep.New()
			defer p.Close()
			const batch = 128
			n := 0
			for b.Loop() {
				if _, err := p.Play(context.Background(), programs(tg, 7, n, n+batch), tg); err != nil {
					b.Fatal(err)
				}
				n += batch
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "programs/s")
		})
	}
}
