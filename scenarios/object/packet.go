// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/jit/filekind"
	"github.com/tcsim/tcsim/scenarios/files"
)

// Packets returns what --packet names: the packets of a pcap or pcapng file, or one packet in hex, see
// ReadHex. A file may hold hex as well.
func Packets(arg string) ([][]byte, error) {
	if p, err := ReadHex(arg); err == nil {
		return [][]byte{p}, nil
	}
	data, err := files.ReadFile(arg, maxFile)
	if open := new(fs.PathError); errors.As(err, &open) && open.Op == "open" {
		return nil, fmt.Errorf("neither a packet in hex nor a file: %w", err)
	}
	if err != nil {
		return nil, err
	}
	if p, err := ReadHex(string(data)); err == nil {
		return [][]byte{p}, nil
	}
	packets, err := ReadPcap(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", arg, err)
	}
	return packets, nil
}

// Contexts returns what --ctx names: a context in hex, see ReadHex, or else a file that holds one as it is in memory
// or in hex.
func Contexts(arg string) ([][]byte, error) {
	if c, err := ReadHex(arg); err == nil {
		return [][]byte{c}, nil
	}
	data, err := files.ReadFile(arg, maxFile)
	if err != nil {
		return nil, fmt.Errorf("neither a context in hex nor a file: %w", err)
	}
	if c, err := ReadHex(string(data)); err == nil {
		data = c
	}
	return [][]byte{data}, nil
}

// ReadHex reads one packet as digits, with blanks, colons, commas and 0x where one likes, or as a dump of
// lines with an offset and a colon or two blanks before them and text after them.
func ReadHex(text string) ([]byte, error) {
	var digits strings.Builder
	for _, line := range strings.Split(text, "\n") {
		digits.WriteString(lineDigits(line, digits.Len()/2))
	}
	p, err := hex.DecodeString(digits.String())
	switch {
	case err != nil:
		return nil, err
	case len(p) == 0:
		return nil, errors.New("no digits")
	case len(p) > math.MaxUint16:
		return nil, fmt.Errorf("a packet of %d bytes: expected at most %d", len(p), math.MaxUint16)
	}
	return p, nil
}

// lineDigits returns the digits of a line that begins with byte at of the packet.
func lineDigits(line string, at int) string {
	line = strings.TrimSpace(line)
	body, dump := line, false
	for _, sep := range []string{":", "  "} { // tcpdump and xxd, hexdump
		offset, rest, ok := strings.Cut(line, sep)
		if n, err := strconv.ParseUint(strings.TrimPrefix(offset, "0x"), 16, 32); ok && err == nil && len(offset) >= 4 && n == uint64(at) {
			body, dump = rest, true
			break
		}
	}
	if n, err := strconv.ParseUint(line, 16, 32); err == nil && at > 0 && len(line) >= 7 && n == uint64(at) {
		return "" // the last line of a hexdump: the length
	}
	if dump { // text follows two blanks or a bar
		body, _, _ = strings.Cut(body, "|")
		words := strings.Split(strings.TrimSpace(body), "  ")
		body = words[0]
		if len(words) > 1 && isHex(words[1]) && len(strings.Join(strings.Fields(words[0]), "")) == 16 {
			body += words[1] // hexdump has a wider gap after eight bytes
		}
	}
	body = strings.ReplaceAll(body, "0x", "")
	return strings.NewReplacer(" ", "", "\t", "", "\r", "", ":", "", ",", "").Replace(body)
}

func isHex(s string) bool {
	_, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	return err == nil
}

// The pcap file format (draft-ietf-opsawg-pcap, sections 4 and 5).
const (
	pcapMicros    = 0xa1b2c3d4
	pcapNanos     = 0xa1b23c4d
	pcapNG        = 0x0a0d0d0a
	pcapHeader    = 24
	pcapRecord    = 16
	linkEthernet  = 1
	maxPcapFrames = 10_000
)

// ReadPcap returns the Ethernet frames of a pcap or pcapng file of either byte order. They share data.
func ReadPcap(data []byte) ([][]byte, error) {
	if len(data) >= 4 && binary.LittleEndian.Uint32(data) == pcapNG {
		return readNG(data)
	}
	if len(data) < pcapHeader {
		return nil, filekind.Explain(fmt.Errorf("%d bytes that are no pcap file and no packet in hex", len(data)), data)
	}
	var bo binary.ByteOrder = binary.LittleEndian
	magic := bo.Uint32(data)
	switch {
	case magic != pcapMicros && magic != pcapNanos:
		bo = binary.BigEndian
		if magic = bo.Uint32(data); magic != pcapMicros && magic != pcapNanos {
			return nil, filekind.Explain(errors.New("no pcap file and no packet in hex"), data)
		}
	}
	if link := bo.Uint32(data[20:]) & 0xffff; link != linkEthernet {
		return nil, fmt.Errorf("link type %d: expected Ethernet (%d)", link, linkEthernet)
	}
	var out packets
	for at := pcapHeader; at < len(data) && !out.enough(); {
		if at+pcapRecord > len(data) {
			out.bad(at, "packet %d: the file ends in its header", out.n+1)
			break
		}
		size, original := bo.Uint32(data[at+8:]), bo.Uint32(data[at+12:])
		if !out.frame(data, at, at+pcapRecord, size, original) {
			break
		}
		at += pcapRecord + int(size)
	}
	return out.all()
}

// packets collects packets and what is wrong with some.
type packets struct {
	n     int // how many there were
	good  [][]byte
	wrong []error
}

// maxPcapMistakes bounds what is told of a bad file.
const maxPcapMistakes = 20

func (p *packets) enough() bool { return len(p.wrong) >= maxPcapMistakes || p.n > maxPcapFrames }

// bad notes a mistake at an offset of the file.
func (p *packets) bad(at int, format string, args ...any) {
	p.wrong = append(p.wrong, fmt.Errorf("offset %#x: %s", at, fmt.Sprintf(format, args...)))
}

func (p *packets) all() ([][]byte, error) {
	if len(p.wrong) == 0 && len(p.good) == 0 {
		p.wrong = append(p.wrong, errors.New("no packets"))
	}
	if len(p.wrong) > 0 {
		return nil, errors.Join(p.wrong...)
	}
	return p.good, nil
}

// frame takes a packet, whose header is at an offset and whose bytes begin at another. It returns false if nothing more
// can be read.
func (p *packets) frame(data []byte, head, at int, size, original uint32) bool {
	p.n++
	switch {
	case p.n > maxPcapFrames:
		p.bad(head, "more than %d packets", maxPcapFrames)
		return false
	case uint64(size) > uint64(len(data)-at):
		p.bad(head, "packet %d: %d bytes, but the file has %d more", p.n, size, len(data)-at)
		return false
	case size < original:
		p.bad(head, "packet %d: only %d of its %d bytes were recorded", p.n, size, original)
	case size > math.MaxUint16:
		p.bad(head, "packet %d: %d bytes: expected at most %d", p.n, size, math.MaxUint16)
	default:
		p.good = append(p.good, data[at:at+int(size):at+int(size)])
	}
	return true
}

// Blocks of the pcapng file format (draft-ietf-opsawg-pcapng, section 4).
const (
	ngInterface = 1
	ngPacket    = 2 // obsolete
	ngSimple    = 3
	ngEnhanced  = 6
	ngMagic     = 0x1a2b3c4d
	ngBlock     = 12 // type, length, and length again
)

// ngReader reads blocks; a section has its own byte order and interfaces.
type ngReader struct {
	packets
	data  []byte
	bo    binary.ByteOrder
	links []uint16
	snap  []uint32
}

func readNG(data []byte) ([][]byte, error) {
	r := ngReader{data: data, bo: binary.LittleEndian}
	at := 0
	for n := 1; at < len(data) && !r.enough(); n++ {
		size := r.head(n, at)
		if size == 0 {
			break
		}
		r.block(n, at, size)
		at += size
	}
	return r.all()
}

// head reads the head of block n and returns its size; 0 if that is wrong, so that nothing more can be read.
func (r *ngReader) head(n, at int) (size int) {
	left := r.data[at:]
	if len(left) < ngBlock+4 {
		r.bad(at, "block %d: the file ends in its header", n)
		return 0
	}
	if r.bo.Uint32(left) == pcapNG {
		if r.bo = binary.LittleEndian; r.bo.Uint32(left[8:]) != ngMagic {
			r.bo = binary.BigEndian
		}
		if r.bo.Uint32(left[8:]) != ngMagic {
			r.bad(at+8, "block %d: no byte order", n)
			return 0
		}
		r.links, r.snap = nil, nil
	}
	long := uint64(r.bo.Uint32(left[4:]))
	if long < ngBlock || long%4 != 0 || long > uint64(len(left)) {
		r.bad(at+4, "block %d: %d bytes, the file has %d more", n, long, len(left))
		return 0
	}
	return int(long)
}

// block takes block n. What is wrong in it does not keep the next one from being read.
func (r *ngReader) block(n, at, size int) {
	kind, body, end := r.bo.Uint32(r.data[at:]), at+8, at+size-4
	need := map[uint32]int{ngInterface: 8, ngPacket: 20, ngSimple: 4, ngEnhanced: 20}[kind]
	if end-body < need {
		r.bad(at, "block %d: %d bytes are too few", n, end-body)
		return
	}
	word := func(off int) uint32 { return r.bo.Uint32(r.data[body+off:]) }
	var link, length, original uint32
	switch kind {
	case ngInterface:
		r.links = append(r.links, r.bo.Uint16(r.data[body:]))
		r.snap = append(r.snap, word(4))
		return
	case ngEnhanced:
		link, length, original = word(0), word(12), word(16)
	case ngPacket:
		link, length, original = uint32(r.bo.Uint16(r.data[body:])), word(12), word(16)
	case ngSimple:
		original = word(0)
		length = original
		if len(r.snap) > 0 && r.snap[0] > 0 {
			length = min(length, r.snap[0])
		}
	default:
		return // names, statistics and the like
	}
	if uint64(link) >= uint64(len(r.links)) {
		r.bad(body, "block %d: interface %d of %d", n, link, len(r.links))
		return
	}
	if l := r.links[link]; l != linkEthernet {
		r.bad(body, "block %d: link type %d: expected Ethernet (%d)", n, l, linkEthernet)
		return
	}
	r.frame(r.data[:end], at, body+need, length, original)
}
