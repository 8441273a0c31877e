// SPDX-License-Identifier: GPL-2.0-only

// Package progress shows how far long work is.
package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// Mode is how progress is shown; the empty one is Auto.
type Mode = string

// The modes.
const (
	Auto  Mode = "auto"  // a bar, on a terminal only
	Plain Mode = "plain" // a line now and then, for logs
	None  Mode = "none"
)

// plainEvery is how often a line of Plain comes.
const plainEvery = 5 * time.Second

// Bar shows how far long work is, with its rate and the time left.
type Bar struct {
	p    *mpb.Progress
	b    *mpb.Bar
	told func(done, total int)

	mu    sync.Mutex
	plain io.Writer // of Plain, else nil
	name  string
	times int // how much a step counts for the rate
	began time.Time
	next  time.Time // of the next line
}

// Options says where progress is shown.
type Options struct {
	Mode     Mode
	Terminal io.Writer             // for Auto, if it is a terminal
	Lines    io.Writer             // for Plain
	Told     func(done, total int) // is called at every step, too, if it is not nil
}

// New returns a bar of which each step counts several times for the rate.
func New(name string, times int, opt Options) *Bar {
	now := time.Now()
	out := &Bar{told: opt.Told, name: name, times: times, began: now, next: now.Add(plainEvery)}
	f, ok := opt.Terminal.(*os.File)
	switch {
	case opt.Mode == Plain:
		out.plain = opt.Lines
	case opt.Mode == None || !ok || !term.IsTerminal(int(f.Fd())):
	default:
		out.p = mpb.New(mpb.WithOutput(f), mpb.WithWidth(40))
		out.b = out.p.AddBar(0, mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(name+" "), decor.Any(func(s decor.Statistics) string { return count(s.Current, s.Total) })),
			mpb.AppendDecorators(
				decor.Any(func(s decor.Statistics) string { return rate(s.Current, times, time.Since(now)) + " " }),
				decor.Any(func(s decor.Statistics) string { return left(s.Current, s.Total, time.Since(now)) })))
	}
	return out
}

// rate is how many steps are done per second.
func rate(done int64, times int, took time.Duration) string {
	r := float64(done) * float64(times) / max(took.Seconds(), 1e-3)
	if r >= 100 {
		return fmt.Sprintf("%.0f/s", r)
	}
	return fmt.Sprintf("%.3g/s", r)
}

// count is how much is done, of a total if that is known.
func count(done, total int64) string {
	if total <= 0 {
		return fmt.Sprint(done)
	}
	return fmt.Sprintf("%d/%d", done, total)
}

// left is how long the rest takes, "" if that is not known.
func left(done, total int64, took time.Duration) string {
	if total <= 0 || done < 1 {
		return ""
	}
	d := time.Duration(float64(took) / float64(done) * float64(max(total-done, 0))).Round(time.Second)
	return fmt.Sprintf("%02d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

// Set says that done of total are done; a total of 0 is not known. It is safe for concurrent use.
func (b *Bar) Set(done, total int) {
	if b.told != nil {
		b.told(done, total)
	}
	if b.b != nil {
		b.b.SetTotal(int64(total), false)
		b.b.SetCurrent(int64(done))
	}
	b.print(done, total, time.Now())
}

// print writes a line of Plain, if it is time for one or all is done.
func (b *Bar) print(done, total int, now time.Time) {
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
	if total <= 0 {
		fmt.Fprintf(b.plain, "%s: %d, %s\n", b.name, done, rate(int64(done), b.times, took))
		return
	}
	left := time.Duration(float64(took) / float64(done) * float64(total-done))
	fmt.Fprintf(b.plain, "%s: %d/%d, %s, %v left\n", b.name, done, total, rate(int64(done), b.times, took), left.Round(time.Second))
}

// Done removes the bar.
func (b *Bar) Done() {
	if b.b == nil {
		return
	}
	b.b.Abort(true)
	b.p.Wait()
}
