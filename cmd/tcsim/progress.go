// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/urfave/cli/v3"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// The values of --progress.
const (
	progressAuto  = "auto"  // a bar, on a terminal only
	progressPlain = "plain" // a line now and then, for logs
	progressNone  = "none"
)

// plainEvery is how often a line of --progress=plain comes.
const plainEvery = 5 * time.Second

// progressFlag chooses how progress is shown.
func progressFlag(to *string) cli.Flag {
	return &cli.StringFlag{
		Name: "progress", Value: progressAuto, Destination: to,
		Usage: "how long work is shown: auto (a bar on a terminal, else nothing), plain (lines, for logs) or none",
		Validator: func(v string) error {
			if v != progressAuto && v != progressPlain && v != progressNone {
				return fmt.Errorf("expected auto, plain or none, found %q", v)
			}
			return nil
		},
	}
}

// bar shows how far long work is, with its rate and the time left.
type bar struct {
	p    *mpb.Progress
	b    *mpb.Bar
	told func(done, total int)

	mu    sync.Mutex
	plain io.Writer // of --progress=plain, else nil
	name  string
	times int // how much a step counts for the rate
	began time.Time
	next  time.Time // of the next line
}

// progress returns a bar on standard error.
func (e env) progress(name string) *bar { return e.rateBar(name, 1) }

// rateBar returns a bar of which each step counts several times for the rate.
func (e env) rateBar(name string, times int) *bar {
	now := time.Now()
	out := &bar{told: e.progressed, name: name, times: times, began: now, next: now.Add(plainEvery)}
	mode := progressAuto
	if e.showProgress != nil {
		mode = *e.showProgress
	}
	f, ok := e.terminal.(*os.File)
	switch {
	case mode == progressPlain:
		out.plain = e.stderr
	case mode == progressNone || !ok || !term.IsTerminal(int(f.Fd())):
	default:
		out.p = mpb.New(mpb.WithOutput(f), mpb.WithWidth(40))
		out.b = out.p.AddBar(0, mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(name+" "), decor.CountersNoUnit("%d/%d")),
			mpb.AppendDecorators(
				decor.Any(func(s decor.Statistics) string { return rate(s.Current, times, time.Since(now)) + " " }),
				decor.AverageETA(decor.ET_STYLE_MMSS)))
	}
	return out
}

// rate is how many steps are done per second.
func rate(done int64, times int, took time.Duration) string {
	return fmt.Sprintf("%.3g/s", float64(done)*float64(times)/max(took.Seconds(), 1e-3))
}

// set says that done of total are done. It is safe for concurrent use.
func (b *bar) set(done, total int) {
	if b.told != nil {
		b.told(done, total)
	}
	if b.b != nil {
		b.b.SetTotal(int64(total), false)
		b.b.SetCurrent(int64(done))
	}
	b.print(done, total, time.Now())
}

// print writes a line of --progress=plain, if it is time for one or all is done.
func (b *bar) print(done, total int, now time.Time) {
	if b.plain == nil || done < 1 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Before(b.next) && done != total {
		return
	}
	b.next = now.Add(plainEvery)
	took := now.Sub(b.began)
	left := time.Duration(float64(took) / float64(done) * float64(total-done))
	fmt.Fprintf(b.plain, "%s: %d/%d, %s, %v left\n", b.name, done, total, rate(int64(done), b.times, took), left.Round(time.Second))
}

// done removes the bar.
func (b *bar) done() {
	if b.b == nil {
		return
	}
	b.b.Abort(true)
	b.p.Wait()
}
