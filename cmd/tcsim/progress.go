// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"fmt"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// bar shows how far long work is, on a terminal only.
type bar struct {
	p    *mpb.Progress
	b    *mpb.Bar
	told func(done, total int)
}

// progress returns a bar on stderr; it shows nothing if that is no terminal.
func (e env) progress(name string) *bar {
	f, ok := e.terminal.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &bar{told: e.progressed}
	}
	p := mpb.New(mpb.WithOutput(f), mpb.WithWidth(40))
	b := p.AddBar(0, mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(name+" "), decor.CountersNoUnit("%d/%d")),
		mpb.AppendDecorators(decor.EwmaETA(decor.ET_STYLE_MMSS, 30)))
	return &bar{p: p, b: b}
}

// rateBar returns a bar that also shows how many steps are done per second, each of them times long,
// and how long the rest will take.
func (e env) rateBar(name string, times int) *bar {
	f, ok := e.terminal.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &bar{}
	}
	began := time.Now()
	p := mpb.New(mpb.WithOutput(f), mpb.WithWidth(40))
	b := p.AddBar(0, mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(name+" "), decor.CountersNoUnit("%d/%d")),
		mpb.AppendDecorators(
			decor.Any(func(s decor.Statistics) string {
				return fmt.Sprintf("%.0f runs/s ", float64(s.Current)*float64(times)/time.Since(began).Seconds())
			}),
			decor.AverageETA(decor.ET_STYLE_MMSS)))
	return &bar{p: p, b: b}
}

// set says that done of total are done. It is safe for concurrent use.
func (b *bar) set(done, total int) {
	if b.told != nil {
		b.told(done, total)
	}
	if b.b == nil {
		return
	}
	b.b.SetTotal(int64(total), false)
	b.b.SetCurrent(int64(done))
}

// done removes the bar.
func (b *bar) done() {
	if b.b == nil {
		return
	}
	b.b.Abort(true)
	b.p.Wait()
}
