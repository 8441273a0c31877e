// SPDX-License-Identifier: GPL-2.0-only

package gdb

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures/flood"
	_ "github.com/tcsim/tcsim/fixtures/golden" // for go test ./... -update
)

func items(text string) ([]item, error) {
	r := bufio.NewReader(strings.NewReader(text))
	var out []item
	for {
		it, err := readItem(r)
		if err != nil {
			return out, err
		}
		out = append(out, it)
	}
}

func TestReadItem(t *testing.T) {
	for _, c := range []struct {
		in   string
		kind itemKind
		data string
	}{
		{"+", itemAck, ""},
		{"-", itemNack, ""},
		{"\x03", itemInterrupt, ""},
		{"$g#67", itemPacket, "g"},
		{"$#00", itemPacket, ""},
		{"noise$g#67", itemPacket, "g"},
		{"$g#68", itemDamaged, ""},
		{"$g#zz", itemDamaged, ""},
		{"$cut off$g#67", itemPacket, "g"},
		{"$}\x03}\x04#20", itemDamaged, ""},
		{"$}\x03#80", itemPacket, "#"},
		{"$}]#da", itemPacket, "}"},
		{"$a}#de", itemPacket, "a}"}, // nothing left to unescape
	} {
		got, err := items(c.in)
		if !errors.Is(err, io.EOF) || len(got) != 1 || got[0].kind != c.kind || string(got[0].data) != c.data {
			t.Errorf("%q: %v %q, %v; want kind %d, %q", c.in, got, got, err, c.kind, c.data)
		}
	}
	for in, want := range map[string]error{
		"$g": io.ErrUnexpectedEOF, "$g#6": io.ErrUnexpectedEOF, "$" + strings.Repeat("a", MaxPacket+1) + "#00": errTooLong,
	} {
		if got, err := items(in); len(got) != 0 || !errors.Is(err, want) {
			t.Errorf("%.20q: %v, %v; want %v", in, got, err, want)
		}
	}
}

// FuzzPacket expects that any bytes can be sent in a packet and come back, and that reading any bytes ends.
func FuzzPacket(f *testing.F) {
	for _, s := range []string{"", "g", "$#}*", "T05thread:1;", "\x03", "}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(flood.One(func(t *testing.T, data []byte) {
		if _, err := items(string(data)); err == nil {
			t.Fatal("reading did not end")
		}
		if len(data) > MaxPacket/2 {
			return
		}
		it, err := readItem(bufio.NewReader(bytes.NewReader(appendPacket(nil, data))))
		if err != nil || it.kind != itemPacket || !bytes.Equal(it.data, data) {
			t.Fatalf("%q came back as %q, %v", data, it.data, err)
		}
	}))
}
