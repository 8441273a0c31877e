// SPDX-License-Identifier: GPL-2.0-only

package gdb

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// server serves one client.
type server struct {
	m    Machine
	in   *bufio.Reader
	w    io.Writer
	regs []register
	xml  string // the target description, made when it is asked for
	// ahead brings the one item that is read while the machine runs; nil if none is.
	ahead chan read

	noAck bool
	// lldb says that the client is one that shows no unknown registers.
	lldb bool
	// The client wants to know which stops are at breakpoints of either kind.
	swbreak, hwbreak bool
	last             Stop   // why the machine stands where it is
	sent             []byte // the last packet, should the client ask for it again

	soft, hard map[uint64]bool // breakpoints
	watches    []Watch
}

// read is an item, or why there are no more.
type read struct {
	item item
	err  error
}

// errLeft ends a session that the client has ended.
var errLeft = errors.New("the client has left")

// Serve serves one client until it detaches, kills the machine or is gone, or ctx is done. What it
// returns then is nil; an error is one of the machine's. The machine is not touched after that, though the client may
// still be listened to.
func Serve(ctx context.Context, rw io.ReadWriter, m Machine) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &server{
		m: m, in: bufio.NewReader(rw), w: rw, regs: registersOf(m.Extra()),
		soft: map[uint64]bool{}, hard: map[uint64]bool{}, last: Stop{Reason: Arrived},
	}
	// Nobody can end a read. What follows one is done where it ends, in no other goroutine: a client that steps waits for
	// that.
	var busy sync.Mutex
	done := make(chan error, 1)
	go func() {
		for {
			it, err := s.next()
			busy.Lock()
			if err == nil && ctx.Err() == nil {
				err = s.take(ctx, it)
			} else {
				err = errLeft
			}
			busy.Unlock()
			if err != nil {
				done <- err
				return
			}
		}
	}()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		busy.Lock() // what is being done ends soon
		defer busy.Unlock()
	}
	if errors.Is(err, errLeft) {
		return nil
	}
	return err
}

// next returns what the client sends next.
func (s *server) next() (item, error) {
	if s.ahead != nil {
		r := <-s.ahead
		s.ahead = nil
		return r.item, r.err
	}
	return readItem(s.in)
}

// listen reads ahead while the machine runs.
func (s *server) listen() {
	if s.ahead != nil {
		return
	}
	ahead := make(chan read, 1)
	s.ahead = ahead
	go func() {
		it, err := readItem(s.in)
		ahead <- read{it, err}
	}()
}

// take does what one item asks for.
func (s *server) take(ctx context.Context, it item) error {
	switch it.kind {
	case itemNack:
		return s.write(s.sent)
	case itemDamaged:
		if s.noAck {
			return nil
		}
		return s.write([]byte{'-'})
	case itemAck, itemInterrupt: // an interrupt while nothing runs comes too late
		return nil
	}
	if !s.noAck {
		if err := s.write([]byte{'+'}); err != nil {
			return err
		}
	}
	return s.command(ctx, string(it.data))
}

func (s *server) write(b []byte) error {
	if _, err := s.w.Write(b); err != nil {
		return errLeft
	}
	return nil
}

// reply sends a packet.
func (s *server) reply(data string) error {
	s.sent = appendPacket(s.sent[:0], []byte(data))
	return s.write(s.sent)
}

// say shows text to the client's user while the machine is taken to be running.
func (s *server) say(text string) error {
	for text != "" {
		part := text[:min(len(text), MaxPacket/4)]
		text = text[len(part):]
		if err := s.reply("O" + hexOf(printable(part))); err != nil {
			return err
		}
	}
	return nil
}

// resume moves the machine until it stops, and tells the client why.
func (s *server) resume(ctx context.Context, r Resume) error {
	if !r.Step || r.End != 0 {
		r.Breaks, r.Watches = s.breaks(), s.watches
	}
	stop, err := s.move(ctx, r)
	if errors.Is(err, errLeft) {
		return err
	}
	if err != nil {
		return errors.Join(s.say("tcsim: "+err.Error()+"\n"), s.reply("X09"), err)
	}
	s.last = stop
	if stop.Text != "" {
		if err := s.say(strings.TrimSuffix(stop.Text, "\n") + "\n"); err != nil {
			return err
		}
	}
	return s.reply(s.stopReply())
}

// move moves the machine, and stops it if the client asks for that.
func (s *server) move(ctx context.Context, r Resume) (stop Stop, err error) {
	if r.Step && r.End == 0 { // over before anybody can ask
		return s.m.Resume(ctx, r)
	}
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		stop, err = s.m.Resume(running, r)
	}()
	for {
		s.listen()
		select {
		case <-done:
			return stop, err
		case got := <-s.ahead:
			s.ahead = nil
			if got.err != nil {
				cancel()
				<-done
				return Stop{}, errLeft
			}
			if got.item.kind == itemInterrupt {
				cancel()
			}
		case <-ctx.Done():
			<-done
			return Stop{}, errLeft
		}
	}
}

// stopReply says why the machine stands where it is.
func (s *server) stopReply() string {
	signal, why := SIGTRAP, ""
	switch s.last.Reason {
	case AtBreak:
		// Only at a breakpoint that the client has set: elsewhere gdb goes on without a word, and for ever.
		rip, _ := s.m.Value("rip")
		switch {
		case s.soft[rip] && s.swbreak:
			why = "swbreak:;"
		case s.hard[rip] && s.hwbreak:
			why = "hwbreak:;"
		}
	case AtWatch:
		name := map[Access]string{AccessWrite: "watch", AccessRead: "rwatch", AccessAny: "awatch"}[s.last.Watch.Kind]
		why = fmt.Sprintf("%s:%x;", name, s.last.Watch.Addr)
	case Interrupted:
		signal = SIGINT
	case Began:
		why = "replaylog:begin;"
	case Ended:
		why = "replaylog:end;"
	case Signaled:
		signal = s.last.Signal
	case Arrived:
		if !s.lldb { // which goes on without a word then; gdb says that the program stopped
			signal = 0
		}
	}
	out := fmt.Sprintf("T%02x", uint8(signal))
	for _, n := range []int{regRBP, regRSP, regRIP} {
		out += fmt.Sprintf("%02x:%s;", n, s.hexValue(&s.regs[n]))
	}
	return out + "thread:1;" + why
}
