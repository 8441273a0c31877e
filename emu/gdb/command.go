// SPDX-License-Identifier: GPL-2.0-only

package gdb

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Answers to packets. An empty one says that a packet is not known.
const (
	answerOK     = "OK"
	answerBad    = "E01" // the packet makes no sense
	answerNoMem  = "E0e" // EFAULT
	answerReadOn = "E1e" // EROFS: the machine's past is fixed, so nothing is written
	answerNone   = ""
)

// hexOf is text in hexadecimal digits.
func hexOf(text string) string { return hex.EncodeToString([]byte(text)) }

// command does what a packet asks for.
func (s *server) command(ctx context.Context, p string) error {
	if p == "" {
		return s.reply(answerNone)
	}
	rest := p[1:]
	switch p[0] {
	case '?':
		return s.reply(s.stopReply())
	case 'g':
		return s.reply(s.allRegisters())
	case 'p':
		return s.reply(s.oneRegister(rest))
	case 'G', 'P', 'M', 'X':
		return s.reply(answerReadOn)
	case 'm':
		return s.reply(s.memory(rest))
	case 'Z', 'z':
		return s.reply(s.stopPoint(p[0] == 'Z', rest))
	case 'H', 'T':
		return s.reply(thread(p))
	case 'c', 'C':
		return s.resume(ctx, Resume{})
	case 's', 'S':
		return s.resume(ctx, Resume{Step: true})
	case 'b':
		return s.backward(ctx, rest)
	case 'v':
		return s.verbose(ctx, p)
	case 'q', 'Q':
		return s.query(ctx, p)
	case 'D':
		_ = s.reply(answerOK)
		return errLeft
	case 'k':
		return errLeft
	}
	return s.reply(answerNone)
}

func (s *server) backward(ctx context.Context, how string) error {
	switch how {
	case "s":
		return s.resume(ctx, Resume{Step: true, Back: true})
	case "c":
		return s.resume(ctx, Resume{Back: true})
	}
	return s.reply(answerNone)
}

// verbose is for packets with long names.
func (s *server) verbose(ctx context.Context, p string) error {
	actions, ok := strings.CutPrefix(p, "vCont;")
	switch {
	case p == "vCont?":
		return s.reply("vCont;c;C;s;S;r")
	case p == "vKill" || strings.HasPrefix(p, "vKill;"):
		_ = s.reply(answerOK)
		return errLeft
	case !ok:
		return s.reply(answerNone)
	}
	// There is one thread: the first action is its.
	switch first, _, _ := strings.Cut(actions, ";"); {
	case first == "":
		return s.reply(answerBad)
	case first[0] == 'c' || first[0] == 'C':
		return s.resume(ctx, Resume{})
	case first[0] == 's' || first[0] == 'S':
		return s.resume(ctx, Resume{Step: true})
	case first[0] == 'r':
		where, _, _ := strings.Cut(first[1:], ":") // and then the thread
		from, end, ok := number2(where)
		if !ok || end < from {
			return s.reply(answerBad)
		}
		return s.resume(ctx, Resume{Step: true, From: from, End: end})
	}
	return s.reply(answerBad)
}

// thread answers a choice of thread, or whether one lives: there is number 1; 0 and -1 stand for any.
func thread(p string) string {
	id := p[1:]
	if p[0] == 'H' {
		if id == "" {
			return answerBad
		}
		id = id[1:]
	}
	switch id {
	case "0", "-1", "1", "p1.1":
		return answerOK
	}
	return answerBad
}

func (s *server) allRegisters() string {
	if s.lldb {
		return answerNone // it reads one after the other then
	}
	var b strings.Builder
	for i := range s.regs {
		b.WriteString(s.hexValue(&s.regs[i]))
	}
	return b.String()
}

func (s *server) oneRegister(rest string) string {
	n, err := strconv.ParseUint(rest, 16, 16)
	if err != nil || n >= uint64(len(s.regs)) {
		return answerBad
	}
	v := s.hexValue(&s.regs[n])
	if s.lldb && v[0] == 'x' {
		return answerBad // it would show the digits as a value
	}
	return v
}

// number2 reads ADDR,LENGTH.
func number2(text string) (addr, n uint64, ok bool) {
	a, b, found := strings.Cut(text, ",")
	addr, err := strconv.ParseUint(a, 16, 64)
	n, err2 := strconv.ParseUint(b, 16, 64)
	return addr, n, found && err == nil && err2 == nil
}

func (s *server) memory(rest string) string {
	addr, n, ok := number2(rest)
	if !ok {
		return answerBad
	}
	p := make([]byte, min(n, MaxPacket/2))
	have := s.m.ReadMemory(addr, p)
	if have == 0 && n > 0 {
		return answerNoMem
	}
	return hex.EncodeToString(p[:have])
}

// MaxStopPoints is how many breakpoints a client can have, and how many watchpoints.
const MaxStopPoints = 64

// stopPoint sets or removes a breakpoint or watchpoint: KIND,ADDR,LENGTH, perhaps with conditions, which
// were not asked for.
func (s *server) stopPoint(set bool, rest string) string {
	kind, where, ok := strings.Cut(rest, ",")
	where, _, _ = strings.Cut(where, ";")
	addr, n, good := number2(where)
	if !ok || !good {
		return answerBad
	}
	switch kind {
	case "0", "1":
		at := s.soft
		if kind == "1" {
			at = s.hard
		}
		switch {
		case set && len(s.soft)+len(s.hard) >= MaxStopPoints && !at[addr]:
			return answerBad
		case set:
			at[addr] = true
		default:
			delete(at, addr)
		}
		return answerOK
	case "2", "3", "4":
		return s.watch(set, Watch{Addr: addr, Len: n, Kind: map[string]Access{"2": AccessWrite, "3": AccessRead, "4": AccessAny}[kind]})
	}
	return answerNone
}

func (s *server) watch(set bool, w Watch) string {
	i := slices.Index(s.watches, w)
	switch {
	case w.Len == 0 || w.Addr+w.Len < w.Addr || set && len(s.watches) >= MaxStopPoints:
		return answerBad
	case set && i < 0:
		s.watches = append(s.watches, w)
	case !set && i >= 0:
		s.watches = slices.Delete(slices.Clone(s.watches), i, i+1)
	}
	return answerOK
}

// breaks returns the breakpoints of both kinds, which are the same here.
func (s *server) breaks() []uint64 {
	return slices.Compact(slices.Sorted(func(yield func(uint64) bool) {
		for _, at := range []map[uint64]bool{s.soft, s.hard} {
			for a := range maps.Keys(at) {
				if !yield(a) {
					return
				}
			}
		}
	}))
}

// query answers packets that ask for something, or choose it.
func (s *server) query(ctx context.Context, p string) error {
	name, rest, _ := strings.Cut(p, ":")
	switch name {
	case "qSupported":
		return s.reply(s.supported(rest))
	case "QStartNoAckMode":
		err := s.reply(answerOK)
		s.noAck = true
		return err
	case "QThreadSuffixSupported": // by which lldb is known
		s.lldb = true
		return s.reply(answerNone)
	case "qHostInfo", "qProcessInfo":
		return s.reply(s.info(name))
	case "qfThreadInfo":
		return s.reply("m1")
	case "qsThreadInfo":
		return s.reply("l")
	case "qC":
		return s.reply("QC1")
	case "qAttached":
		return s.reply("1") // so that leaving detaches
	case "qXfer":
		return s.reply(s.transfer(rest))
	}
	if text, ok := strings.CutPrefix(p, "qRcmd,"); ok {
		return s.monitor(ctx, text)
	}
	return s.reply(answerNone)
}

// supported says what the server can do that not every server can.
func (s *server) supported(client string) string {
	features := strings.Split(client, ";")
	s.swbreak, s.hwbreak = slices.Contains(features, "swbreak+"), slices.Contains(features, "hwbreak+")
	return fmt.Sprintf("PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;vContSupported+;swbreak+;hwbreak+;ReverseStep+;ReverseContinue+", MaxPacket)
}

// info says for lldb what is debugged.
func (s *server) info(name string) string {
	out := "triple:" + hexOf("x86_64-unknown-unknown") + ";ptrsize:8;endian:little;" // no system: so lldb takes code to be where its file says
	if name == "qProcessInfo" {
		out = "pid:1;" + out
	}
	return out
}

// transfer answers features:read:target.xml:OFFSET,LENGTH.
func (s *server) transfer(what string) string {
	where, ok := strings.CutPrefix(what, "features:read:target.xml:")
	if !ok {
		if strings.HasPrefix(what, "features:read:") {
			return "E00"
		}
		return answerNone
	}
	off, n, ok := number2(where)
	if !ok {
		return answerBad
	}
	if s.xml == "" {
		s.xml = describe(s.regs)
	}
	from := min(off, uint64(len(s.xml)))
	part := s.xml[from : from+min(n, MaxPacket/2, uint64(len(s.xml))-from)]
	if from+uint64(len(part)) == uint64(len(s.xml)) {
		return "l" + part
	}
	return "m" + part
}

// monitor does a command of the machine's own.
func (s *server) monitor(ctx context.Context, text string) error {
	command, err := hex.DecodeString(text)
	if err != nil {
		return s.reply(answerBad)
	}
	var out bytes.Buffer
	if err := s.m.Monitor(ctx, strings.TrimSpace(string(command)), &out); err != nil {
		fmt.Fprintln(&out, err)
	}
	if err := s.say(out.String()); err != nil {
		return err
	}
	return s.reply(answerOK)
}
