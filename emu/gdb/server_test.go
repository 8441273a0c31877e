// SPDX-License-Identifier: GPL-2.0-only

package gdb_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcsim/tcsim/emu/gdb"
	"github.com/tcsim/tcsim/fixtures/flood"
)

// counting is a machine whose instructions are one byte long and do nothing; it has 100 of them.
type counting struct {
	rip     uint64
	fail    error
	endless bool
	reads   int
}

const base, length = 0xffffffffc0000000, 100

func (c *counting) Extra() []gdb.Register {
	return []gdb.Register{{Name: "tail_call_cnt"}, {Name: "place", Code: true}, {Name: "away", Signed: true}}
}

func (c *counting) Value(name string) (uint64, bool) {
	switch name {
	case "rip", "place":
		return base + c.rip, true
	case "rsp", "rbp":
		return 0x1122334455667788, true
	case "tail_call_cnt":
		return 33, true
	}
	return 0, false
}

func (c *counting) ReadMemory(addr uint64, p []byte) int {
	c.reads += len(p)
	if addr < base || addr >= base+length {
		return 0
	}
	n := min(len(p), int(base+length-addr))
	for i := range p[:n] {
		p[i] = byte(addr) + byte(i)
	}
	return n
}

func (c *counting) Resume(ctx context.Context, r gdb.Resume) (gdb.Stop, error) {
	if c.fail != nil {
		return gdb.Stop{}, c.fail
	}
	if c.endless && !r.Step {
		<-ctx.Done()
		return gdb.Stop{Reason: gdb.Interrupted}, nil
	}
	for {
		switch {
		case r.Back && c.rip == 0:
			return gdb.Stop{Reason: gdb.Began}, nil
		case !r.Back && c.rip == length:
			return gdb.Stop{Reason: gdb.Ended, Text: "the end"}, nil
		case r.Back:
			c.rip--
		default:
			c.rip++
		}
		for _, w := range r.Watches {
			if w.Addr == base+c.rip {
				return gdb.Stop{Reason: gdb.AtWatch, Watch: w}, nil
			}
		}
		if slices.Contains(r.Breaks, base+c.rip) {
			return gdb.Stop{Reason: gdb.AtBreak}, nil
		}
		if c.rip == 66 {
			return gdb.Stop{Reason: gdb.Signaled, Signal: gdb.SIGABRT, Text: "broken\nin two lines"}, nil
		}
		if r.Step && (base+c.rip < r.From || base+c.rip >= r.End) {
			return gdb.Stop{Reason: gdb.Stepped}, nil
		}
	}
}

func (c *counting) Monitor(_ context.Context, command string, w io.Writer) error {
	if command == "wrong" {
		return errors.New("no such thing")
	}
	_, err := fmt.Fprintf(w, "you said %s: …\n", command)
	return err
}

// pack makes a packet as a client does.
func pack(data string) string {
	sum := byte(0)
	for _, c := range []byte(data) {
		sum += c
	}
	return fmt.Sprintf("$%s#%02x", data, sum)
}

// answers serves a client that sends all of text at once, and returns what came back.
func answers(t *testing.T, m gdb.Machine, text string) string {
	t.Helper()
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := gdb.Serve(ctx, struct {
		io.Reader
		io.Writer
	}{strings.NewReader(text), &out}, m); err != nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatal("the server did not see that its client has left")
	}
	return out.String()
}

// client talks to a server packet by packet.
type client struct {
	t    *testing.T
	conn net.Conn
	done chan error
}

func dial(t *testing.T, m gdb.Machine) *client {
	a, b := net.Pipe()
	c := &client{t, a, make(chan error, 1)}
	go func() { c.done <- gdb.Serve(t.Context(), b, m) }()
	t.Cleanup(func() { _ = a.Close() })
	if got := c.ask("QStartNoAckMode"); got != "+$OK#9a" {
		t.Fatalf("QStartNoAckMode: %q", got)
	}
	return c
}

// read reads one packet with what precedes it.
func (c *client) read() string {
	c.t.Helper()
	var out []byte
	b := make([]byte, 1)
	left := -1
	for left != 0 {
		if err := c.conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			c.t.Fatal(err)
		}
		if _, err := c.conn.Read(b); err != nil {
			c.t.Fatalf("%v after %q", err, out)
		}
		out = append(out, b[0])
		if left > 0 {
			left--
		} else if b[0] == '#' {
			left = 2
		}
	}
	return string(out)
}

func (c *client) send(raw string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, raw); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) ask(data string) string {
	c.t.Helper()
	c.send(pack(data))
	return c.read()
}

// want asks and compares the answer's contents.
func (c *client) want(data, want string) {
	c.t.Helper()
	if got := c.ask(data); got != pack(want) {
		c.t.Errorf("%s: %s, want %s", data, got, pack(want))
	}
}

// at is a stop reply of the counting machine.
func at(signal, n int, why string) string {
	rip := fmt.Sprintf("%02x0000c0ffffffff", n)
	return fmt.Sprintf("T%02x06:8877665544332211;07:8877665544332211;10:%s;thread:1;%s", signal, rip, why)
}

func TestServer(t *testing.T) {
	c := dial(t, &counting{})
	c.want("qSupported:multiprocess+;swbreak+;hwbreak+", "PacketSize=4000;QStartNoAckMode+;qXfer:features:read+;vContSupported+;swbreak+;hwbreak+;ReverseStep+;ReverseContinue+")
	c.want("vMustReplyEmpty", "")
	c.want("?", at(0, 0, ""))
	c.want("Hg0", "OK")
	c.want("Hc-1", "OK")
	c.want("Hgp1.1", "OK")
	c.want("Hg2", "E01")
	c.want("T1", "OK")
	c.want("T7", "E01")
	c.want("qfThreadInfo", "m1")
	c.want("qsThreadInfo", "l")
	c.want("qC", "QC1")
	c.want("qAttached", "1")
	c.want("vCont?", "vCont;c;C;s;S;r")
	c.want("mffffffffc0000010,4", "10111213")
	c.want("mffffffffc0000060,10", "60616263") // as far as there is memory
	c.want("m1000,4", "E0e")
	c.want("vCont;s:1;c", at(5, 1, ""))
	c.want("s", at(5, 2, ""))
	c.want("bs", at(5, 1, ""))
	c.want("vCont;rffffffffc0000000,ffffffffc0000004:1;c", at(5, 4, ""))
	c.want("vCont;rffffffffc0000000,ffffffffc0000000:1", at(5, 5, ""))
	c.want("Z0,ffffffffc0000008,1", "OK")
	c.want("vCont;rffffffffc0000000,ffffffffc0000010:1", at(5, 8, "swbreak:;"))
	c.want("z0,ffffffffc0000008,1", "OK")
	c.want("Z0,ffffffffc0000010,1", "OK")
	c.want("Z0,ffffffffc0000010,1", "OK")
	c.want("Z1,ffffffffc0000020,1;cond_list:X3,220027", "OK")
	c.want("vCont;c:p1.-1", at(5, 0x10, "swbreak:;"))
	c.want("c", at(5, 0x20, "hwbreak:;"))
	c.want("bc", at(5, 0x10, "swbreak:;"))
	c.want("z0,ffffffffc0000010,1", "OK")
	c.want("z1,ffffffffc0000020,1", "OK")
	c.want("Z2,ffffffffc0000018,4", "OK")
	c.want("Z3,ffffffffc0000019,4", "OK")
	c.want("Z4,ffffffffc000001a,4", "OK")
	c.want("c", at(5, 0x18, "watch:ffffffffc0000018;"))
	c.want("c", at(5, 0x19, "rwatch:ffffffffc0000019;"))
	c.want("C05", at(5, 0x1a, "awatch:ffffffffc000001a;"))
	for _, z := range []string{"z2,ffffffffc0000018,4", "z3,ffffffffc0000019,4", "z4,ffffffffc000001a,4"} {
		c.want(z, "OK")
	}
	c.want("bc", at(5, 0, "replaylog:begin;"))
	c.want("c", "O"+hex.EncodeToString([]byte("broken\nin two lines\n")))
	if got := c.read(); got != pack(at(6, 66, "")) {
		t.Errorf("signal: %s", got)
	}
	c.want("?", at(6, 66, ""))
	c.want("vCont;C06:1", "O"+hex.EncodeToString([]byte("the end\n")))
	if got := c.read(); got != pack(at(5, 100, "replaylog:end;")) {
		t.Errorf("end: %s", got)
	}
	c.want("qRcmd,"+hex.EncodeToString([]byte("hello")), "O"+hex.EncodeToString([]byte("you said hello: ?\n")))
	if got := c.read(); got != pack("OK") {
		t.Errorf("monitor: %s", got)
	}
	c.want("qRcmd,"+hex.EncodeToString([]byte("wrong")), "O"+hex.EncodeToString([]byte("no such thing\n")))
	if got := c.read(); got != pack("OK") {
		t.Errorf("monitor: %s", got)
	}
	c.want("D", "OK")
	if err := <-c.done; err != nil {
		t.Error(err)
	}
}

// TestSilentBreak expects that a stop is not called a breakpoint where the client has set none, which would make gdb go on
// for ever, or if the client does not know the word.
func TestSilentBreak(t *testing.T) {
	c := dial(t, &counting{})
	c.want("Z0,ffffffffc0000010,1", "OK")
	c.want("c", at(5, 0x10, ""))
	c = dial(t, &counting{})
	c.ask("qSupported:swbreak+;hwbreak+")
	c.want("Z0,ffffffffc0000010,1", "OK")
	c.want("s", at(5, 1, ""))
	c.want("c", at(5, 0x10, "swbreak:;"))
	c.want("z0,ffffffffc0000010,1", "OK")
	c.want("?", at(5, 0x10, ""))
}

// TestBadPackets expects an answer to anything.
func TestBadPackets(t *testing.T) {
	c := dial(t, &counting{})
	for data, want := range map[string]string{
		"": "", "!": "", "R00": "", "z": "E01", "Z0": "E01", "Z0,": "E01", "Z0,xyz,1": "E01", "Z9,0,1": "", "Z2,ffffffffffffffff,2": "E01",
		"Z2,10,0": "E01", "m": "E01", "m10": "E01", "m10,": "E01", "mxx,4": "E01", "p": "E01", "pffff": "E01", "pzz": "E01", "H": "E01", "T": "E01",
		"vCont": "", "vCont;": "E01", "vCont;t": "E01", "vCont;x:1": "E01", "vCont;r": "E01", "vCont;r5,4:1": "E01", "vCont;rx,4": "E01", "vFlashErase:0,1": "", "b": "", "bx": "", "q": "", "qRcmd,zz": "E01", "qRcmd,1": "E01",
		"qXfer:features:read:target.xml:zz": "E01", "qXfer:features:read:other.xml:0,10": "E00", "qXfer:auxv:read::0,10": "",
		"P0=0011": "E1e", "G00": "E1e", "M10,1:00": "E1e", "X10,0:": "E1e", "QPassSignals:": "", "jThreadsInfo": "", "\x00\xff": "",
	} {
		c.want(data, want)
	}
	m := &counting{}
	c = dial(t, m)
	if got := c.ask("mffffffffc0000000,ffffffffffffffff"); len(got) != len("$#00")+2*length || m.reads > gdb.MaxPacket {
		t.Errorf("long read: %d characters, %d bytes read", len(got), m.reads)
	}
	for i := range gdb.MaxStopPoints {
		c.want(fmt.Sprintf("Z0,%x,1", i), "OK")
		c.want(fmt.Sprintf("Z2,%x,1", i), "OK")
	}
	c.want("Z0,9999,1", "E01")
	c.want("Z1,9999,1", "E01")
	c.want("Z2,9999,1", "E01")
	c.want("Z0,1,1", "OK") // there already
}

// TestAck is the dialogue of a client that wants acknowledgements, one of whose packets is damaged.
func TestAck(t *testing.T) {
	got := answers(t, &counting{}, pack("qC")+"+"+"$qC#00"+pack("qC")+"-"+"+\x03")
	if want := "+$QC1#c5" + "-" + "+$QC1#c5" + "$QC1#c5"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestInterrupt stops a machine that would run for ever, and leaves another one while it runs.
func TestInterrupt(t *testing.T) {
	c := dial(t, &counting{endless: true})
	c.send(pack("c"))
	c.send("+\x03") // the server takes these while the machine runs: nothing buffers the pipe
	if got := c.read(); got != pack(at(2, 0, "")) {
		t.Errorf("interrupt: %s", got)
	}
	c.send(pack("bc"))
	_ = c.conn.Close()
	if err := <-c.done; err != nil {
		t.Error(err)
	}
}

// TestMachineFault expects the client to be told, and the caller.
func TestMachineFault(t *testing.T) {
	broken := errors.New("out of order")
	c := dial(t, &counting{fail: broken})
	c.want("c", "O"+hex.EncodeToString([]byte("tcsim: out of order\n")))
	if got := c.read(); got != pack("X09") {
		t.Errorf("fault: %s", got)
	}
	if err := <-c.done; !errors.Is(err, broken) {
		t.Errorf("Serve: %v", err)
	}
}

// TestDescription reads the target description in pieces and compares it with the registers that are sent.
func TestDescription(t *testing.T) {
	c := dial(t, &counting{})
	var text strings.Builder
	for done := false; !done; {
		got := strings.TrimPrefix(c.ask(fmt.Sprintf("qXfer:features:read:target.xml:%x,200", text.Len())), "$")
		got = got[:len(got)-3]
		done = got[0] == 'l'
		text.WriteString(got[1:])
	}
	var d struct {
		Architecture string `xml:"architecture"`
		Features     []struct {
			Name string `xml:"name,attr"`
			Regs []struct {
				Name string `xml:"name,attr"`
				Bits int    `xml:"bitsize,attr"`
				Num  int    `xml:"regnum,attr"`
				Type string `xml:"type,attr"`
			} `xml:"reg"`
		} `xml:"feature"`
	}
	if err := xml.Unmarshal([]byte(text.String()), &d); err != nil || d.Architecture != "i386:x86-64" || len(d.Features) != 4 {
		t.Fatalf("%v: %+v\n%s", err, d, &text)
	}
	all := strings.TrimPrefix(c.ask("g"), "$")
	n, pos := 0, 0
	for _, f := range d.Features {
		for _, r := range f.Regs {
			if r.Num != n {
				t.Errorf("%s has number %d, want %d", r.Name, r.Num, n)
			}
			part := all[pos : pos+r.Bits/4]
			c.want(fmt.Sprintf("p%x", n), part)
			known := map[string]string{
				"rip": "000000c0ffffffff", "place": "000000c0ffffffff", "rsp": "8877665544332211", "rbp": "8877665544332211", "tail_call_cnt": "2100000000000000",
			}
			want := known[r.Name]
			if want == "" {
				want = strings.Repeat("x", r.Bits/4)
			}
			if part != want {
				t.Errorf("%s is %s, want %s", r.Name, part, want)
			}
			n, pos = n+1, pos+r.Bits/4
		}
	}
	if rest := len(all) - pos; rest != len("#00") {
		t.Errorf("g has %d characters more than the description", rest)
	}
	own := d.Features[3]
	if own.Name != "org.tcsim.bpf" || len(own.Regs) != 3 || own.Regs[1].Type != "code_ptr" || own.Regs[2].Type != "int64" {
		t.Errorf("own feature: %+v", own)
	}
	// To lldb, registers that are not known are errors, because it would show any digits.
	c.want("QThreadSuffixSupported", "")
	c.want("g", "")
	c.want("p0", "E01")
	c.want("p10", "000000c0ffffffff")
	c.want("qHostInfo", "triple:7838365f36342d756e6b6e6f776e2d756e6b6e6f776e;ptrsize:8;endian:little;")
}

// FuzzServer expects that a client can send anything.
func FuzzServer(f *testing.F) {
	for _, s := range []string{
		pack("qSupported:swbreak+") + pack("?"), pack("Z0,ffffffffc0000010,1") + pack("c") + pack("bc"), pack("g") + pack("p10") + "\x03",
		pack("qXfer:features:read:target.xml:0,fff"), pack("qRcmd,68656c70"), pack("vCont;s:1;c") + pack("D"), "$$##++--", pack("mffffffffc0000000,40"),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(flood.One(func(t *testing.T, text []byte) {
		answers(t, &counting{}, string(text))
		// And as the contents of a good packet.
		if !bytes.ContainsAny(text, "$#}") && len(text) < gdb.MaxPacket {
			answers(t, &counting{}, pack(string(text)))
		}
	}))
}

func BenchmarkStep(b *testing.B) {
	client, server := net.Pipe()
	defer client.Close()
	go func() { _ = gdb.Serve(b.Context(), server, &counting{}) }()
	buf := make([]byte, 256)
	for b.Loop() {
		for _, p := range []string{pack("vCont;s:1;c"), pack("bs")} {
			if _, err := io.WriteString(client, p); err != nil {
				b.Fatal(err)
			}
			for { // until the end of the answer
				n, err := client.Read(buf)
				if err != nil {
					b.Fatal(err)
				}
				if n >= 3 && buf[n-3] == '#' {
					break
				}
			}
		}
	}
}
