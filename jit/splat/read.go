// SPDX-License-Identifier: GPL-2.0-only

package splat

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/jit/filekind"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// ErrNoReport says that a text holds nothing that a kernel prints of a processor.
var ErrNoReport = errors.New("no kernel report: expected lines such as \"RIP: 0010:function+0x1/0x2\", \"Code: ...\" or \"Call Trace:\"")

// Read finds the reports in a text. The error says what is expected if there is none.
func Read(text string) (*Log, error) {
	if len(text) > MaxSource {
		return nil, fmt.Errorf("%d bytes: expected at most %d", len(text), MaxSource)
	}
	lines, cut := clean(text)
	r := reader{log: &Log{}}
	for i := range lines {
		r.line(&lines[i])
	}
	r.finish()
	if cut > 0 {
		r.log.Notes = append(r.log.Notes, fmt.Sprintf("%d lines are longer than %d bytes: their ends were not read", cut, maxLine))
	}
	if r.dropped > 0 {
		r.log.Notes = append(r.log.Notes, fmt.Sprintf("%d lines are beyond what is read of one log", r.dropped))
	}
	if len(r.log.Reports) == 0 {
		return nil, filekind.Explain(ErrNoReport, []byte(text))
	}
	return r.log, nil
}

// reader goes through the lines.
type reader struct {
	log     *Log
	rep     *Report // that grows; nil before the first
	ctx     *Context
	stack   bool // the last line was of a Stack: section
	trace   bool // a call trace has begun
	dropped int
}

const hexAddr = `([0-9a-f]{8,16})`

var (
	symbolic = `([A-Za-z_$.][\w$.]*)\+0x([0-9a-f]{1,8})/0x([0-9a-f]{1,8})(?: \[([^\]]{0,200})\])?`
	frameRE  = pattern(`^(?:\[<` + hexAddr + `>\] *)?(\? +)?` + symbolic + `\s*$`)
	bareRE   = pattern(`^(?:\[<` + hexAddr + `>\] *)?(\? +)?0x` + hexAddr + `(?:/0x[0-9a-f]+)?\s*$`)
	ripRE    = pattern(`^RIP:? +(?:([0-9a-f]{4}):)? *(?:\[<` + hexAddr + `>\] *){0,2}(.*)$`)
	ripSym   = pattern(`^` + symbolic)
	ripAddr  = pattern(`^0x` + hexAddr)
	regRE    = pattern(`\b(R[A-Z0-9]{2}|CR2): ?(?:[0-9a-f]{4}:)?([0-9a-f]{16})\b`)
	cpuRE    = pattern(`^CPU: (\d{1,6}) `)
	taskRE   = pattern(`\b[Pp](?:ID|id): (\d+),? [Cc]omm: (.{0,40}?) (?:Not tainted|Tainted:|Kdump:)`)
	kernRE   = pattern(`(?:Not tainted|Tainted: [^0-9]{1,80}?)(?:, [^0-9]{1,80}?)? (\d+\.\d+\S*)`)
	wordsRE  = pattern(`^(?:[0-9a-f]{16}(?: +|$))+$`)
	nmiRE    = pattern(`^NMI backtrace for cpu (\d{1,6})`)
)

// line takes one line.
func (r *reader) line(l *line) {
	t := l.text
	if h, ok := header(t); ok {
		r.header(l, h)
		return
	}
	switch {
	case r.words(t):
	case t == "Call Trace:" || strings.HasPrefix(t, "Call Trace:"):
		r.context(l)
		r.trace = true
		if rest := strings.TrimSpace(strings.TrimPrefix(t, "Call Trace:")); rest != "" {
			r.line(&line{l.no, rest, l.stamp})
		}
	case strings.HasPrefix(t, "Stack:"):
		r.context(l)
		r.stack = true
		r.words(strings.TrimSpace(strings.TrimPrefix(t, "Stack:")))
	case strings.HasPrefix(t, "Code:"):
		r.code(l, strings.TrimSpace(strings.TrimPrefix(t, "Code:")))
	case ripRE().MatchString(t):
		r.rip(l, ripRE().FindStringSubmatch(t))
	case r.frame(l, t):
	case regRE().MatchString(t):
		r.regs(l, t)
	case cpuRE().MatchString(t) || taskRE().MatchString(t):
		r.task(l, t)
	default:
		r.foreign(l, t)
	}
}

// report makes sure that there is a report to fill.
func (r *reader) report(l *line) *Report {
	if r.rep == nil {
		r.rep = &Report{Line: l.no, CPU: -1}
		r.ctx, r.trace, r.stack = nil, false, false
	}
	return r.rep
}

// finish ends the report that grows.
func (r *reader) finish() {
	rep := r.rep
	r.rep, r.ctx = nil, nil
	if rep == nil {
		return
	}
	var keep []Context
	for i := range rep.Contexts {
		c := &rep.Contexts[i]
		again := false // printed once more after "end trace"
		for k := range keep {
			again = again || len(c.Frames) == 0 && keep[k].RIP == c.RIP && c.RIP != Place{}
		}
		if !again && (c.RIP != Place{} || len(c.Frames) > 0 || len(c.Code) > 0) {
			keep = append(keep, *c)
		}
	}
	rep.Contexts = keep
	if len(keep) == 0 && rep.Foreign == "" && len(rep.Headers) == 0 {
		return
	}
	if len(r.log.Reports) >= maxReports {
		r.dropped++
		return
	}
	r.log.Reports = append(r.log.Reports, *rep)
}

// begun reports whether the report that grows shows where its processor was, so that what comes next may be about
// another one.
func (r *reader) begun() bool {
	return r.rep != nil && len(r.rep.Contexts) > 0
}

// context makes sure that there is a context to fill.
func (r *reader) context(l *line) *Context {
	rep := r.report(l)
	if r.ctx == nil {
		if len(rep.Contexts) >= maxContexts {
			rep.Contexts = rep.Contexts[:maxContexts-1]
			r.dropped++
		}
		rep.Contexts = append(rep.Contexts, Context{Line: l.no, Mark: -1})
		r.ctx = &rep.Contexts[len(rep.Contexts)-1]
	}
	return r.ctx
}

// header begins a report, or adds to what is said of one that has just begun.
func (r *reader) header(l *line, h head) {
	if r.begun() && !h.after {
		r.finish()
	}
	if h.cpu >= 0 && r.rep != nil && r.rep.CPU >= 0 && r.rep.CPU != h.cpu && !h.after {
		r.finish()
	}
	rep := r.report(l)
	if len(rep.Headers) < 16 {
		rep.Headers = append(rep.Headers, l.text)
	}
	if h.stuck > 0 {
		rep.Stuck = h.stuck
	}
	if h.hasAddr {
		rep.Fault, rep.HasAddr = h.addr, true
	}
	if h.cpu >= 0 {
		rep.CPU = h.cpu
	}
}

// words takes words of the stack.
func (r *reader) words(t string) bool {
	if !r.stack || !wordsRE().MatchString(t) {
		r.stack = r.stack && t == ""
		return false
	}
	for _, w := range strings.Fields(t) {
		v, err := strconv.ParseUint(w, 16, 64)
		if err != nil || len(r.ctx.Stack) >= maxWords {
			r.dropped++
			break
		}
		r.ctx.Stack = append(r.ctx.Stack, v)
	}
	return true
}

// rip begins a context, unless the one that there is has no place yet.
func (r *reader) rip(l *line, m []string) {
	p := Place{Addr: addr(m[2])}
	switch {
	case ripSym().MatchString(m[3]):
		s := ripSym().FindStringSubmatch(m[3])
		p.Func, p.Off, p.Size, p.Mod = s[1], image.CodeOff(addr(s[2])), int(addr(s[3])), s[4]
	case ripAddr().MatchString(m[3]):
		p.Addr = addr(ripAddr().FindStringSubmatch(m[3])[1])
	case p.Addr == 0:
		return
	}
	user := m[1] == "0033" || m[1] == "0023"
	if r.ctx != nil && (r.ctx.RIP != Place{} || user) {
		r.ctx = nil
	}
	c := r.context(l)
	c.RIP, c.User = p, user
}

// code takes the bytes around RIP.
func (r *reader) code(l *line, t string) {
	c := r.context(l)
	if len(c.Code) > 0 {
		r.ctx = nil
		c = r.context(l)
	}
	for _, w := range strings.Fields(t) {
		marked := len(w) == 4 && (w[0] == '<' && w[3] == '>' || w[0] == '(' && w[3] == ')')
		if marked {
			w = w[1:3]
		}
		v, err := strconv.ParseUint(w, 16, 8)
		if err != nil || len(w) != 2 || len(c.Code) >= 256 {
			if len(c.Code) == 0 {
				c.NoCode = t
			}
			break
		}
		if marked && c.Mark < 0 {
			c.Mark = len(c.Code)
		}
		c.Code = append(c.Code, byte(v))
	}
}

// frame takes a line of a call trace.
func (r *reader) frame(l *line, t string) bool {
	p := Place{}
	if m := frameRE().FindStringSubmatch(t); m != nil {
		p = Place{Addr: addr(m[1]), Guess: m[2] != "", Func: m[3], Off: image.CodeOff(addr(m[4])), Size: int(addr(m[5])), Mod: m[6]}
	} else if m := bareRE().FindStringSubmatch(t); m != nil && r.ctx != nil {
		p = Place{Addr: addr(m[1]), Guess: m[2] != ""}
		if p.Addr == 0 {
			p.Addr = addr(m[3])
		}
	} else {
		return false
	}
	c := r.context(l)
	if c.User {
		return true // a user's program has no frames here
	}
	if len(c.Frames) >= maxFrames {
		r.dropped++
		return true
	}
	c.Frames = append(c.Frames, p)
	return true
}

// regs takes the registers of a line.
func (r *reader) regs(l *line, t string) {
	c := r.context(l)
	for _, m := range regRE().FindAllStringSubmatch(t, -1) {
		v := uint64(addr(m[2]))
		if m[1] == "CR2" {
			c.Regs.CR2, c.Regs.HasCR = v, true
			continue
		}
		for reg := x86.RAX; reg <= x86.R15; reg++ {
			if !c.Regs.Known.Has(reg) && strings.EqualFold(x86.RegName(reg, 64, false), logName(m[1])) {
				c.Regs.Value[reg] = v
				c.Regs.Known |= x86.RegSetOf(reg)
			}
		}
	}
}

// logName returns the name of a register as instructions have it: logs say R08 and R09.
func logName(s string) string {
	if len(s) == 3 && s[:2] == "R0" {
		return "R" + s[2:]
	}
	return s
}

// task takes who ran, on what.
func (r *reader) task(l *line, t string) {
	cpu := -1
	if m := cpuRE().FindStringSubmatch(t); m != nil {
		cpu, _ = strconv.Atoi(m[1])
		if r.begun() {
			r.finish()
		}
	}
	rep := r.report(l)
	if cpu >= 0 {
		rep.CPU = cpu
	}
	if m := taskRE().FindStringSubmatch(t); m != nil {
		rep.Task = m[2] + " (" + m[1] + ")"
	}
	if m := kernRE().FindStringSubmatch(t); m != nil {
		rep.Kernel = m[1]
	}
}

// addr reads a number that a pattern has matched.
func addr(s string) image.Addr {
	v, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		return 0
	}
	return image.Addr(v)
}

var symbolRE = pattern(`^bpf_prog_([0-9a-f]{16})(?:_(.+))?$`)

func parseSymbol(name string) (s Symbol, ok bool) {
	if m := symbolRE().FindStringSubmatch(name); m != nil {
		return Symbol{Tag: m[1], Name: m[2]}, true
	}
	return Symbol{}, false
}
