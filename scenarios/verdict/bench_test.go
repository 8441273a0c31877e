// SPDX-License-Identifier: GPL-2.0-only

package verdict

import (
	"os"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/scenarios/object"
)

func BenchmarkDev(b *testing.B) {
	target, _ := jit.TargetByName("6.12")
	f, err := object.Open(os.Getenv("TCSIM_OBJ"), object.ReadOptions{BTF: os.Getenv("TCSIM_BTF")})
	if err != nil {
		b.Fatal(err)
	}
	bt, _ := f.Load(nil)
	n := 0
	for b.Loop() {
		for i := range bt.Programs {
			st, _ := verify.Check(&bt.Programs[i], &target.Kernel)
			n += st.Insns
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "Minsn/s")
}
