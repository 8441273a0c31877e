// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// bar shows how far long work is, on a terminal only.
type bar struct {
	p *mpb.Progress
	b *mpb.Bar
}

// progress returns a bar on stderr; it shows nothing if that is no terminal.
func (e env) progress(name string) *bar {
	f, ok := e.stderr.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &bar{}
	}
	p := mpb.New(mpb.WithOutput(f), mpb.WithWidth(40))
	b := p.AddBar(0, mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(name+" "), decor.CountersNoUnit("%d/%d")),
		mpb.AppendDecorators(decor.EwmaETA(decor.ET_STYLE_MMSS, 30)))
	return &bar{p, b}
}

// set says that done of total are done. It is safe for concurrent use.
func (b *bar) set(done, total int) {
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
