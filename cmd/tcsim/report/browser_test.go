// SPDX-License-Identifier: GPL-2.0-only

package report_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/cmd/tcsim/report"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios/runner"
	"github.com/tcsim/tcsim/scenarios/runner/runnertest"
)

// browser starts Chromium for a test. Where there is none the test is skipped, but not in CI.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("no Chromium: .ci/setup-vm installs it")
		}
		t.Skip("no Chromium: apt-get install chromium, or .ci/setup-vm")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("font-render-hinting", "none"), chromedp.WSURLReadTimeout(60*time.Second))
	all, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, close := chromedp.NewContext(all)
	t.Cleanup(close)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("%s does not start: %v", path, err)
	}
	return ctx
}

// tab is a page that is open; it remembers what the browser complains of and loads.
type tab struct {
	*testing.T
	ctx context.Context
	url string

	mu   sync.Mutex
	said []string
}

// opened opens a page of a report in a tab of its own. Whatever the browser complains of fails the test, at its end.
func opened(t *testing.T, in context.Context, text string, width, height int64, dark bool, hash string) *tab {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := chromedp.NewContext(in)
	t.Cleanup(cancel)
	p := &tab{T: t, ctx: ctx, url: "file://" + file}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	p.ctx, cancel = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(cancel)
	err := chromedp.Listen(ctx, func(ev any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch ev := ev.(type) {
		case *runtime.EventConsoleAPICalled:
			p.said = append(p.said, fmt.Sprintf("console %s: %v", ev.Type, ev.Args))
		case *runtime.EventExceptionThrown:
			p.said = append(p.said, fmt.Sprintf("exception: %+v", ev.ExceptionDetails))
		case *log.EventEntryAdded:
			p.said = append(p.said, "log: "+ev.Entry.Text)
		case *network.EventRequestWillBeSent:
			if u, _, _ := strings.Cut(ev.Request.URL, "#"); u != p.url {
				p.said = append(p.said, "loads "+ev.Request.URL)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	p.do(listen, chromedp.EmulateViewport(width, height), media(scheme, "screen"), chromedp.Navigate(p.url+hash))
	if ready := p.text(`document.documentElement.dataset.ready || "no"`); ready != "yes" {
		t.Errorf("the script did not come to its end")
	}
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, s := range p.said {
			t.Error(s)
		}
	})
	return p
}

// listen has the browser say what it complains of and loads.
func listen(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
	_, err := cdp.Call(ctx, t, log.Enable, cdp.Empty{})
	if err == nil {
		_, err = cdp.Call(ctx, t, network.Enable, network.EnableParams{})
	}
	return chromedp.Void{}, err
}

func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.Fatal(err)
	}
}

// value evaluates an expression.
func value[V any](p *tab, js string) V {
	p.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[V](js))
	if err != nil {
		p.Fatal(err)
	}
	return v
}

// script runs statements.
func (p *tab) script(js string) { p.Helper(); value[int](p, js+"; 0") }

func (p *tab) text(js string) string { p.Helper(); return value[string](p, js) }

// seen is what a side of the time line shows.
type seen struct {
	Head, What string
	Regs       map[string]string
	Slots      [][4]string // label, address, value, meaning without marks
	Current    string      // offset of the current instruction
}

// reads collects what the sides of the time line show.
const reads = `(() => {
  const text = (e) => e ? e.textContent : '';
  return [...document.querySelectorAll('.side')].map((side) => ({
    Head: text(side.querySelector('h3')), What: text(side.querySelector('.what')),
    Regs: Object.fromEntries([...side.querySelectorAll('.registers dl > div')].map((d) => [text(d.children[0]), d.children[1].firstChild.textContent])),
    Slots: [...side.querySelectorAll('.stack tr.slot')].map((r) => {
      const m = r.querySelector('.meaning').cloneNode(true);
      m.querySelectorAll('b, span').forEach((x) => x.remove());
      return [text(r.children[1]), text(r.children[2]), text(r.children[3]), m.textContent];
    }),
    Current: text(side.querySelector('.code tr.current .offset')),
  }));
})()`

// walks goes through the stills of the first side, every other one by keyboard, and collects what it shows.
const walks = `(() => {
  const out = [], slider = document.getElementById('slider');
  document.activeElement.blur();
  const from = %d;
  for (let i = from; i < %d; i++) {
    if (i > from && i %% 2 === 0) document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}));
    else { slider.value = i; slider.dispatchEvent(new Event('input')); }
    out.push(` + reads + `[0]);
  }
  return out;
})()`

// everyFrame unfolds the stacks.
const everyFrame = `document.querySelectorAll('.folds input').forEach((b) => b.click())`

// expected is what the time line should show, from what --json has.
func expected(t *testing.T, name, on string) []seen {
	t.Helper()
	s := runnertest.Opened(t, runnertest.Compiled(t, runnertest.Build(t, name), runnertest.Target(t, on)), runner.Options{Core: core(t)})
	var out []seen
	run, err := s.Film(context.Background(), 1, 1000, func(st runner.Still) error {
		e := seen{Regs: map[string]string{}}
		for i, v := range st.Regs {
			e.Regs[x86.Reg(i).String()] = fmt.Sprintf("%016x", v)
		}
		for _, slot := range st.Layout.Slots {
			v := fmt.Sprintf("%016x", uint64(slot.Value))
			if slot.Size > 8 {
				v = ""
			}
			meaning := slot.Meaning
			if slot.Ptr {
				meaning += fmt.Sprintf(" → %08x", uint32(slot.Value))
			}
			e.Slots = append(e.Slots, [4]string{slot.Label, fmt.Sprintf("%08x", uint32(slot.Addr)), v, meaning})
		}
		if st.Event == nil {
			e.Head = on + ": the violation violation"
		}
		out = append(out, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := trace.JSON(run.Code, run.Events)
	if err != nil {
		t.Fatal(err)
	}
	var records []trace.Record
	if err := json.Unmarshal(b, &records); err != nil {
		t.Fatal(err)
	}
	for i, r := range records {
		e := &out[i]
		e.Head = fmt.Sprintf("%s: event %d of %d %s", on, r.No, len(records), r.Kind)
		e.Current = fmt.Sprintf("%x", r.Off)
		e.What = run.Events[i].What(run.Code)
		e.Regs["rip"] = fmt.Sprintf("%016x", uint64(r.RIP))
		e.Regs["tail_call_cnt"], e.Regs["lives at"], e.Regs["pointer at"] = "-", "-", "-"
		if c := r.Counter; c != nil {
			e.What += fmt.Sprintf(" · tail_call_cnt %d", c.Value)
			e.Regs["tail_call_cnt"], e.Regs["lives at"] = fmt.Sprint(c.Value), fmt.Sprintf("%016x", uint64(c.Addr))
			if c.PtrAt != 0 {
				e.Regs["pointer at"] = fmt.Sprintf("%016x", uint64(c.PtrAt))
			}
		}
		if run.Events[i].Taken > 0 {
			e.What += fmt.Sprintf(" · %d taken", run.Events[i].Taken)
		}
		if r.Cycle != 0 {
			e.What += fmt.Sprintf(" · cycle %s", grouped(r.Cycle))
		}
	}
	return out
}

// drawn are the slots from either end of all of them that are as many as those seen.
func drawn(all, seen [][4]string) [][4]string {
	n := 0
	for n < len(seen) && n < len(all) && seen[n] == all[n] {
		n++
	}
	return append(slices.Clone(all[:n]), all[len(all)-max(0, len(seen)-n):]...)
}

// grouped is a number as the page shows it.
func grouped(n int64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}

// TestBrowser looks at pages as a reader does.
func TestBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("only in full runs")
	}
	ctx := browser(t)
	hierarchy := made(t, report.Options{Core: core(t)}, "6.1,6.12", runnertest.Build(t, "hierarchy"))
	t.Run("every event", func(t *testing.T) {
		for _, on := range []string{"6.12", "6.1"} {
			p := opened(t, ctx, hierarchy, 1280, 900, false, "#run=hierarchy/1&targets="+on+"&event=1")
			if on == "6.1" {
				p.script(everyFrame)
			}
			want, from := expected(t, "hierarchy", on), 0
			if on == "6.1" {
				from = len(want) - 12 // every frame takes time
			}
			all := value[[]seen](p, fmt.Sprintf(walks, from, len(want)))
			for i, want := range want[from:] {
				got := all[i : i+1]
				if on != "6.1" { // frames in the middle are folded
					want.Slots = drawn(want.Slots, got[0].Slots)
				}
				if want.Current == "" { // of the violation only the stack is known elsewhere
					got[0].Current, got[0].What = "", ""
					for _, name := range []string{"rip", "tail_call_cnt", "lives at", "pointer at"} {
						delete(got[0].Regs, name)
					}
				}
				if d := cmp.Diff([]seen{want}, got); d != "" {
					t.Fatalf("%s, still %d (-json +page):\n%s", on, i, d)
				}
			}
		}
	})
	t.Run("opens at the violation", func(t *testing.T) {
		p := opened(t, ctx, hierarchy, 1280, 900, false, "")
		if got := value[[]seen](p, reads); len(got) != 2 || !strings.HasPrefix(got[0].Head, "6.1: the violation") || !strings.HasPrefix(got[1].Head, "6.12: event 75 of") {
			t.Errorf("%+v", got)
		}
		p.do(chromedp.Click(chromedp.CSS("#first")))
		if got := value[[]seen](p, reads); !strings.Contains(got[0].Head, "event 1 of 76") || !strings.Contains(got[1].Head, "event 1 of 206") {
			t.Errorf("first: %+v", got)
		}
		p.script(`location.hash = '#event=71'`)
		p.do(chromedp.Sleep(100 * time.Millisecond))
		if got := value[[]seen](p, reads); !strings.Contains(got[0].Head, "event 71 of 76") || !strings.Contains(got[1].Head, "event 71 of 206") {
			t.Errorf("#event=71: %+v", got)
		}
		p.do(chromedp.KeyEvent("v"))
		if got := value[[]seen](p, reads); !strings.Contains(got[0].Head, "the violation") {
			t.Errorf("v: %+v", got)
		}
	})
	t.Run("markup stays text", func(t *testing.T) {
		p := opened(t, ctx, made(t, full(t), "6.12,ip-aux", hostile(t)), 1280, 900, false, "")
		if got := p.text(`document.title`); !strings.HasPrefix(got, "name</script><img") {
			t.Errorf("title %q", got)
		}
		if n := value[int](p, `document.images.length`); n != 0 {
			t.Errorf("%d images", n)
		}
		if got := value[[]seen](p, reads); !strings.Contains(got[0].What, "entry"+strings.TrimSuffix(nasty, "\u202e")+`\u202e`) {
			t.Errorf("what: %q", got[0].What)
		}
	})
	t.Run("pages of events", func(t *testing.T) {
		text := made(t, report.Options{PageSize: 50}, "6.12", runnertest.Build(t, "hierarchy"))
		p := opened(t, ctx, text, 1280, 900, false, "#event=120")
		if got := value[[]seen](p, reads); !strings.Contains(got[0].Head, "event 120 of 206") {
			t.Errorf("%+v", got)
		}
		if got := p.text(`document.getElementById('now').textContent`); got != "step 20 of 50" {
			t.Errorf("%q", got)
		}
		for _, c := range []struct{ press, head, now string }{
			{"#last", "event 150 of 206", "step 50 of 50"}, {"#next", "event 151 of 206", "step 1 of 50"}, {"#previous", "event 150 of 206", "step 50 of 50"},
		} {
			p.do(chromedp.Click(chromedp.CSS(c.press)))
			if got := value[[]seen](p, reads)[0].Head + ", " + p.text(`document.getElementById('now').textContent`); !strings.Contains(got, c.head) || !strings.HasSuffix(got, c.now) {
				t.Errorf("%s leads to %s", c.press, got)
			}
		}
	})
	t.Run("in step", func(t *testing.T) { pairsInStep(t, ctx) })
	t.Run("cells of the matrix", func(t *testing.T) {
		text := made(t, report.Options{}, "6.1,6.12", runnertest.Build(t, "hierarchy"), runnertest.Build(t, "chain33"))
		p := opened(t, ctx, text, 1280, 900, false, "#matrix")
		for n, want := range []string{"hierarchy 6.1: the violation", "hierarchy 6.12: event 1 of", "chain33 6.1: event 1 of", "chain33 6.12: event 1 of"} {
			p.script(fmt.Sprintf(`document.querySelectorAll('table.matrix td a')[%d].click()`, n))
			p.do(chromedp.Sleep(100 * time.Millisecond))
			got := value[[]seen](p, reads)
			name := p.text(`document.getElementById('subject').selectedOptions[0].textContent`)
			if len(got) != 1 || !strings.HasPrefix(name+" "+got[0].Head, want) {
				t.Errorf("cell %d opens %s: %+v, want %s", n, name, got, want)
			}
		}
	})
	t.Run("on paper", func(t *testing.T) { onPaper(t, opened(t, ctx, hierarchy, paperWidth, 1000, true, "#event=71")) })
	views(t, ctx)
}

// paperWidth is how wide A4 is between the margins, in points of the page.
const paperWidth = 702

// cutOff lists what of a page would not be on paper: what scrolls inside, and what is wider than the page.
const cutOff = `(() => {
  const out = [];
  for (const e of document.querySelectorAll('.diff .offset, .diff thead th:not(:has(.hidden))')) {
    const all = document.createRange();
    all.selectNodeContents(e);
    if (new Set([...all.getClientRects()].map((r) => r.top)).size > 1) out.push(e.textContent + ' is broken');
  }
  for (const e of document.querySelectorAll('.pane, .wide')) {
    if (e.offsetParent === null) continue;
    const name = e.className + ' ' + (e.getAttribute('aria-label') || e.textContent.slice(0, 40));
    if (e.scrollHeight > e.clientHeight + 1) out.push(name + ': ' + (e.scrollHeight - e.clientHeight) + ' too high');
    if (e.scrollWidth > e.clientWidth + 1) out.push(name + ': ' + (e.scrollWidth - e.clientWidth) + ' too wide');
  }
  return out;
})()`

// onPaper looks at a page as it is printed by a reader of dark pages: nothing is cut off, what is there to be clicked is gone,
// text is dark on white; and prints it.
func onPaper(t *testing.T, p *tab) {
	p.do(media("dark", "print"))
	for _, what := range value[[]string](p, cutOff) {
		t.Error(what)
	}
	if n := value[int](p, `[...document.querySelectorAll('.controls, nav, .events, button')].filter((e) => e.offsetParent !== null).length`); n != 0 {
		t.Errorf("%d things to be clicked", n)
	}
	if got := p.text(`getComputedStyle(document.body).color + ' on ' + getComputedStyle(document.body).backgroundColor`); got != "rgb(29, 34, 38) on rgb(255, 255, 255)" {
		t.Errorf("text %s", got)
	}
	if got := value[[]seen](p, reads); len(got) != 2 || !strings.Contains(got[0].Head, "event 71 of 76") || len(got[0].Slots) < 5 {
		t.Errorf("the time line shows %+v", got)
	}
	pdf, err := chromedp.Run(p.ctx, chromedp.PrintToPDF(chromedp.PDFPaper(chromedp.PaperA4), chromedp.PDFPrintBackground()))
	if err != nil {
		t.Fatal(err)
	}
	if dir := os.Getenv("TCSIM_VIEWS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "paper.pdf"), pdf, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(regexp.MustCompile(`/Type\s*/Page\b[^s]`).FindAll(pdf, -1)); n < 3 || n > 20 {
		t.Errorf("%d pages of paper", n)
	}
}

// views compares what pages look like with small pictures of them, in grey: fonts differ from machine to machine.
func views(t *testing.T, ctx context.Context) {
	hierarchy := made(t, report.Options{Core: core(t)}, "6.1,6.12", runnertest.Build(t, "hierarchy"))
	explored := made(t, full(t), "6.12,ip-aux", runnertest.Build(t, "poke_one_site"))
	for _, v := range []struct {
		name, text, hash string
		width            int64
		dark             bool
	}{
		{"timeline", hierarchy, "#event=71", 1280, false},
		{"timeline-dark", hierarchy, "#event=71", 1280, true},
		{"timeline-800", hierarchy, "#event=71", 800, false},
		{"code", hierarchy, "#code", 1280, false},
		{"schedules", explored, "#schedules", 1280, true},
		{"print", hierarchy, "#event=71", paperWidth, false},
	} {
		t.Run(v.name, func(t *testing.T) {
			p := opened(t, ctx, v.text, v.width, 1000, v.dark, v.hash)
			if v.name == "print" {
				p.do(media("light", "print"))
			}
			if wide := value[float64](p, `document.documentElement.scrollWidth - innerWidth`); wide > 1 || wide > 0 && v.name != "print" { // on paper a part of a pixel
				t.Errorf("%v pixels wider than the window", wide)
			}
			png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
			if err != nil {
				t.Fatal(err)
			}
			if dir := os.Getenv("TCSIM_VIEWS"); dir != "" {
				if err := os.WriteFile(filepath.Join(dir, v.name+".png"), png, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got := small(t, png)
			file := "testdata/" + v.name + ".png"
			want := goldenPicture(t, file, got)
			if d := apart(got, want); d > 0.03 {
				t.Errorf("%s: differs by %.3f of full contrast; -update rewrites it", file, d)
			}
		})
	}
}

// apart is the root of the mean square by which pictures differ, 1 for black and white.
func apart(a, b []byte) float64 {
	if len(a) != len(b) || len(a) == 0 {
		return 1
	}
	sum := 0.0
	for i := range a {
		d := (float64(a[i]) - float64(b[i])) / 255
		sum += d * d
	}
	return math.Sqrt(sum / float64(len(a)))
}
