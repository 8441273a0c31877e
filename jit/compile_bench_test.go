// SPDX-License-Identifier: GPL-2.0-only

package jit_test

import (
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify"
)

// BenchmarkCompile compiles the random programs and the tail-call programs of a capture, which are
// of realistic size, and reports BPF instructions per second of both kinds of target.
func BenchmarkCompile(b *testing.B) {
	for _, name := range []string{"6.1-off", "6.12-off"} {
		b.Run(name, func(b *testing.B) {
			tgt, err := jit.TargetByName(captureTargets[name])
			must(b, err)
			c := readCapture(b, name)
			type input struct {
				v   *verify.Verified
				env memoEnv
			}
			var inputs []input
			insns := 0
			for i := range c.scenarios {
				s := &c.scenarios[i]
				if !strings.HasPrefix(s.Name, "rand/") && !strings.HasPrefix(s.Name, "tail/") {
					continue
				}
				for j := range s.Progs {
					p := &s.Progs[j]
					if len(p.Funcs) == 0 || p.Funcs[0].Image == nil {
						continue
					}
					e := captureEnv{c, s, p}
					v := e.verified(b)
					inputs = append(inputs, input{v, newMemoEnv(b, e)})
					insns += len(v.Insns)
				}
			}
			b.ReportAllocs()
			done := 0
			for b.Loop() {
				for _, in := range inputs {
					if _, err := jit.Compile(in.v, tgt, in.env); err != nil {
						b.Fatal(err)
					}
				}
				done += insns
			}
			b.ReportMetric(float64(done)/b.Elapsed().Seconds(), "insns/s")
			b.ReportMetric(0, "ns/op")
			b.Logf("%d programs, %d instructions", len(inputs), insns)
		})
	}
}

// memoEnv has the addresses of a captureEnv parsed, so that the benchmark measures the compiler.
type memoEnv struct {
	captureEnv
	place       []image.Addr
	maps, value []image.Addr
	base        image.Addr
}

func newMemoEnv(t testing.TB, e captureEnv) memoEnv {
	m := memoEnv{captureEnv: e}
	for _, f := range e.p.Funcs {
		a, err := addr(f.Addr)
		must(t, err)
		m.place = append(m.place, a)
	}
	for i := range e.s.Maps {
		a, _ := e.MapAddr(i) // absent if no image has it
		v, _ := e.MapValue(i)
		m.maps, m.value = append(m.maps, a), append(m.value, v)
	}
	var err error
	m.base, err = addr(e.c.header.Base)
	must(t, err)
	return m
}

func (m memoEnv) Place(fn, _ int, _ image.CodeOff) (image.Addr, error) { return m.place[fn], nil }
func (m memoEnv) Helper(imm int32) (image.Addr, error)                 { return m.base + image.Addr(imm), nil }
func (m memoEnv) MapAddr(i int) (image.Addr, error)                    { return m.maps[i], nil }
func (m memoEnv) MapValue(i int) (image.Addr, error)                   { return m.value[i], nil }
