// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"context"
	"testing"
	"time"

	"github.com/tcsim/tcsim/fixtures/flood"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// FuzzRaw runs programs as the plugin of bpf_conformance gets them: bytes in hexadecimal.
func FuzzRaw(f *testing.F) {
	f.Add("b7 00 00 00 01 00 00 00 95 00 00 00 00 00 00 00", "")
	f.Add("61 10 00 00 00 00 00 00 95 00 00 00 00 00 00 00", "01 02 03 04")
	f.Add("b7000000ffffffff9500000000000000", "zz")
	f.Add("05 00 ff ff 00 00 00 00 95 00 00 00 00 00 00 00", "")
	tg, err := jit.TargetByName("6.12")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(flood.Two(func(t *testing.T, program, memory string) {
		code, err := scenarios.HexBytes("program", program)
		if err != nil || len(code) > 1<<12 {
			return
		}
		mem, err := scenarios.HexBytes("memory", memory)
		if err != nil || len(mem) > 1<<12 {
			return
		}
		p, err := scenarios.RawProgram(code)
		if err != nil {
			return
		}
		ctx, stop := context.WithTimeout(context.Background(), time.Second)
		defer stop()
		_, _ = runner.Raw(ctx, p, tg, mem)
	}))
}
