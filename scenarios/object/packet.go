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

	"github.com/tcsim/tcsim/scenarios"
)

// Packets returns what --packet names: the packets of a pcap or pcapng file, or one packet in hex, see
// ReadHex. A file may hold hex as well.
func Packets(arg string) ([][]byte, error) {
	if p, err := ReadHex(arg); err == nil {
		return [][]byte{p}, nil
	}
	data, err := scenarios.ReadFile(arg, maxFile)
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
	data, err := scenarios.ReadFile(arg, maxFile)
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
		return nil, fmt.Errorf("%d bytes are no pcap file", len(data))
	}
	var bo binary.ByteOrder = binary.LittleEndian
	magic := bo.Uint32(data)
	switch {
	case magic != pcapMicros && magic != pcapNanos:
		bo = binary.BigEndian
		if magic = bo.Uint32(data); magic != pcapMicros && magic != pcapNanos {
			return nil, errors.New("no pcap file and no packet in hex")
		}
	}
	if link := bo.Uint32(data[20:]) & 0xffff; link != linkEthernet {
		return nil, fmt.Errorf("link type %d: expected Ethernet (%d)", link, linkEthernet)
	}
	var out [][]byte
	for at := pcapHeader; at < len(data); {
		if at+pcapRecord > len(data) {
			return nil, fmt.Errorf("packet %d: the file ends in its header", len(out)+1)
		}
		size, original := bo.Uint32(data[at+8:]), bo.Uint32(data[at+12:])
		at += pcapRecord
		p, err := frame(data[at:], size, original, len(out)+1)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
		at += int(size)
	}
	if out == nil {
		return nil, errors.New("no packets")
	}
	return out, nil
}

// frame returns packet n, of size bytes at the beginning of data.
func frame(data []byte, size, original uint32, n int) ([]byte, error) {
	switch {
	case uint64(size) > uint64(len(data)):
		return nil, fmt.Errorf("packet %d: %d bytes, but the file has %d more", n, size, len(data))
	case size < original:
		return nil, fmt.Errorf("packet %d: only %d of its %d bytes were recorded", n, size, original)
	case size > math.MaxUint16:
		return nil, fmt.Errorf("packet %d: %d bytes: expected at most %d", n, size, math.MaxUint16)
	case n > maxPcapFrames:
		return nil, fmt.Errorf("more than %d packets", maxPcapFrames)
	}
	return data[:size:size], nil
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
	bo    binary.ByteOrder
	links []uint16
	snap  []uint32
	out   [][]byte
}

func readNG(data []byte) ([][]byte, error) {
	r := ngReader{bo: binary.LittleEndian}
	for n := 1; len(data) > 0; n++ {
		if len(data) < ngBlock+4 {
			return nil, fmt.Errorf("block %d: the file ends in its header", n)
		}
		kind := r.bo.Uint32(data)
		if kind == pcapNG {
			if r.bo = binary.LittleEndian; r.bo.Uint32(data[8:]) != ngMagic {
				r.bo = binary.BigEndian
			}
			if r.bo.Uint32(data[8:]) != ngMagic {
				return nil, fmt.Errorf("block %d: no byte order", n)
			}
			r.links, r.snap = nil, nil
		}
		size := uint64(r.bo.Uint32(data[4:]))
		if size < ngBlock || size%4 != 0 || size > uint64(len(data)) {
			return nil, fmt.Errorf("block %d: %d bytes, the file has %d more", n, size, len(data))
		}
		if err := r.block(kind, data[8:size-4]); err != nil {
			return nil, fmt.Errorf("block %d: %w", n, err)
		}
		data = data[size:]
	}
	if r.out == nil {
		return nil, errors.New("no packets")
	}
	return r.out, nil
}

// block takes the body of a block.
func (r *ngReader) block(kind uint32, body []byte) error {
	need := map[uint32]int{ngInterface: 8, ngPacket: 20, ngSimple: 4, ngEnhanced: 20}[kind]
	if len(body) < need {
		return fmt.Errorf("%d bytes are too few", len(body))
	}
	var link uint32
	var size, original uint32
	switch kind {
	case ngInterface:
		r.links = append(r.links, r.bo.Uint16(body))
		r.snap = append(r.snap, r.bo.Uint32(body[4:]))
		return nil
	case ngEnhanced:
		link, size, original, body = r.bo.Uint32(body), r.bo.Uint32(body[12:]), r.bo.Uint32(body[16:]), body[20:]
	case ngPacket:
		link, size, original, body = uint32(r.bo.Uint16(body)), r.bo.Uint32(body[12:]), r.bo.Uint32(body[16:]), body[20:]
	case ngSimple:
		original, body = r.bo.Uint32(body), body[4:]
		size = original
		if len(r.snap) > 0 && r.snap[0] > 0 {
			size = min(size, r.snap[0])
		}
	default:
		return nil // names, statistics and the like
	}
	if uint64(link) >= uint64(len(r.links)) {
		return fmt.Errorf("interface %d of %d", link, len(r.links))
	}
	if l := r.links[link]; l != linkEthernet {
		return fmt.Errorf("link type %d: expected Ethernet (%d)", l, linkEthernet)
	}
	p, err := frame(body, size, original, len(r.out)+1)
	if err == nil {
		r.out = append(r.out, p)
	}
	return err
}
