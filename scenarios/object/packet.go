// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
)

// Packets returns what --packet names: the packets of a pcap file, or one packet in hex, with blanks
// and colons where one likes.
func Packets(arg string) ([][]byte, error) {
	digits := strings.NewReplacer(" ", "", "\t", "", "\n", "", ":", "").Replace(arg)
	if p, err := hex.DecodeString(digits); err == nil {
		if len(p) > math.MaxUint16 {
			return nil, fmt.Errorf("a packet of %d bytes: expected at most %d", len(p), math.MaxUint16)
		}
		return [][]byte{p}, nil
	}
	info, err := os.Stat(arg)
	if err != nil {
		return nil, fmt.Errorf("neither a packet in hex nor a file: %w", err)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: %d bytes: expected at most %d", arg, info.Size(), maxFile)
	}
	data, err := os.ReadFile(arg)
	if err != nil {
		return nil, err
	}
	packets, err := ReadPcap(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", arg, err)
	}
	return packets, nil
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

// ReadPcap returns the Ethernet frames of a pcap file of either byte order. They share data.
func ReadPcap(data []byte) ([][]byte, error) {
	if len(data) < pcapHeader {
		return nil, fmt.Errorf("%d bytes are no pcap file", len(data))
	}
	var bo binary.ByteOrder = binary.LittleEndian
	magic := bo.Uint32(data)
	switch {
	case magic == pcapNG:
		return nil, errors.New("a pcapng file: convert it with editcap -F pcap")
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
		size, original := uint64(bo.Uint32(data[at+8:])), bo.Uint32(data[at+12:])
		at += pcapRecord
		switch {
		case size > uint64(len(data)-at):
			return nil, fmt.Errorf("packet %d: %d bytes, but the file has %d more", len(out)+1, size, len(data)-at)
		case size < uint64(original):
			return nil, fmt.Errorf("packet %d: only %d of its %d bytes were recorded", len(out)+1, size, original)
		case size > math.MaxUint16:
			return nil, fmt.Errorf("packet %d: %d bytes: expected at most %d", len(out)+1, size, math.MaxUint16)
		case len(out) == maxPcapFrames:
			return nil, fmt.Errorf("more than %d packets", maxPcapFrames)
		}
		out = append(out, data[at:at+int(size)])
		at += int(size)
	}
	if out == nil {
		return nil, errors.New("no packets")
	}
	return out, nil
}
