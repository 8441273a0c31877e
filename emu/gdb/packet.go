// SPDX-License-Identifier: GPL-2.0-only

package gdb

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// MaxPacket is how long the contents of a packet may be, in bytes.
const MaxPacket = 0x4000

// interruptByte is what a client sends, outside packets, to stop the machine.
const interruptByte = 0x03

// escape begins two bytes that stand for one, the second with the bit escapeBit flipped.
const (
	escape    = '}'
	escapeBit = 0x20
)

// errChecksum is a packet that was damaged on its way.
var errChecksum = errors.New("packet with a wrong checksum")

// errTooLong is a packet that no client sends that was told of MaxPacket.
var errTooLong = fmt.Errorf("packet of more than %d bytes", MaxPacket)

// item is what a client sends: a packet, an acknowledgement or a request to stop.
type item struct {
	kind itemKind
	data []byte // of a packet, unescaped
}

type itemKind uint8

const (
	itemPacket itemKind = iota
	itemAck
	itemNack
	itemInterrupt
	itemDamaged // a packet with a wrong checksum: the client is asked for it again
)

// readItem reads the next item; other bytes between packets are passed over.
func readItem(r *bufio.Reader) (item, error) {
	for {
		c, err := r.ReadByte()
		if err != nil {
			return item{}, err
		}
		switch c {
		case '+':
			return item{kind: itemAck}, nil
		case '-':
			return item{kind: itemNack}, nil
		case interruptByte:
			return item{kind: itemInterrupt}, nil
		case '$':
			data, err := readPacket(r)
			if errors.Is(err, errChecksum) {
				return item{kind: itemDamaged}, nil
			}
			return item{kind: itemPacket, data: data}, err
		}
	}
}

// readPacket reads a packet after its first byte.
func readPacket(r *bufio.Reader) ([]byte, error) {
	var raw []byte
	sum := byte(0)
	for {
		c, err := r.ReadByte()
		switch {
		case err != nil:
			return nil, noEOF(err)
		case c == '#':
			if err := checkSum(r, sum); err != nil {
				return nil, err
			}
			return unescape(raw), nil
		case c == '$': // the one before was cut off
			raw, sum = raw[:0], 0
			continue
		case len(raw) == MaxPacket:
			return nil, errTooLong
		}
		raw = append(raw, c)
		sum += c
	}
}

// checkSum reads the two digits after a packet.
func checkSum(r *bufio.Reader, sum byte) error {
	var d [2]byte
	if _, err := io.ReadFull(r, d[:]); err != nil {
		return noEOF(err)
	}
	hi, lo := fromHex(d[0]), fromHex(d[1])
	if hi < 0 || lo < 0 || byte(hi<<4|lo) != sum {
		return errChecksum
	}
	return nil
}

// noEOF is an error in the middle of a packet.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func unescape(raw []byte) []byte {
	out := raw[:0]
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == escape && i+1 < len(raw) {
			i++
			c = raw[i] ^ escapeBit
		}
		out = append(out, c)
	}
	return out
}

// appendPacket adds a packet around data.
func appendPacket(to, data []byte) []byte {
	to = append(to, '$')
	sum := byte(0)
	put := func(c byte) {
		to = append(to, c)
		sum += c
	}
	for _, c := range data {
		switch c {
		case '$', '#', escape, '*':
			put(escape)
			c ^= escapeBit
		}
		put(c)
	}
	const digits = "0123456789abcdef"
	return append(to, '#', digits[sum>>4], digits[sum&15])
}

// fromHex returns the value of a hexadecimal digit, -1 for anything else.
func fromHex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// printable returns text in characters that every client shows.
func printable(text string) string {
	out := []rune(text)
	for i, c := range out {
		if c != '\n' && c != '\t' && (c < ' ' || c > '~') {
			out[i] = '?'
		}
	}
	return string(out)
}
