// SPDX-License-Identifier: GPL-2.0-only

package record

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/tcsim/tcsim/jit/x86"
)

// Recorded streams let the model run without the engine. The form is a series of entries: length
// and bytes of a name, the number of records, and for each record the distance of RIP from the last
// one and of EA from the last EA that was not 0, as variable-length integers. Loops repeat, so a
// general compressor reduces a recording to almost nothing.

// maxRecorded bounds what ReadStreams accepts for one entry.
const (
	maxRecorded     = 1 << 24
	maxRecordedName = 256
)

// WriteStream appends one named stream to w.
func WriteStream(w io.Writer, name string, stream []Retired) error {
	b := binary.AppendUvarint(nil, uint64(len(name)))
	b = append(b, name...)
	b = binary.AppendUvarint(b, uint64(len(stream)))
	var rip, ea x86.Addr
	for _, r := range stream {
		b = binary.AppendVarint(b, int64(r.RIP-rip))
		rip = r.RIP
		if r.EA == 0 {
			b = binary.AppendUvarint(b, 0)
			continue
		}
		b = binary.AppendUvarint(b, 1+zigzag(int64(r.EA-ea)))
		ea = r.EA
	}
	_, err := w.Write(b)
	return err
}

func zigzag(v int64) uint64 { return uint64(v<<1) ^ uint64(v>>63) }

// ReadStreams reads all streams of r by name. It fails on truncated or malformed input; nothing is
// returned together with an error.
func ReadStreams(r io.Reader) (map[string][]Retired, error) {
	b := bufio.NewReader(r)
	out := map[string][]Retired{}
	for {
		name, stream, err := readStream(b)
		switch {
		case errors.Is(err, io.EOF) && name == "":
			return out, nil
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("recorded stream %q: %w", name, io.ErrUnexpectedEOF)
		case err != nil:
			return nil, fmt.Errorf("recorded stream %q: %w", name, err)
		case out[name] != nil:
			return nil, fmt.Errorf("recorded stream %q: recorded twice", name)
		}
		out[name] = stream
	}
}

// readStream reads one entry; io.EOF with an empty name is the regular end.
func readStream(b *bufio.Reader) (string, []Retired, error) {
	n, err := binary.ReadUvarint(b)
	if err != nil {
		return "", nil, err
	}
	if n == 0 || n > maxRecordedName {
		return "?", nil, fmt.Errorf("name of %d bytes", n)
	}
	raw := make([]byte, n)
	if _, err := io.ReadFull(b, raw); err != nil {
		return "?", nil, io.EOF
	}
	name := string(raw)
	count, err := binary.ReadUvarint(b)
	if err != nil {
		return name, nil, err
	}
	if count > maxRecorded {
		return name, nil, fmt.Errorf("%d records", count)
	}
	stream := make([]Retired, 0, min(count, 1<<16))
	var rip, ea x86.Addr
	for range count {
		d, err := binary.ReadVarint(b)
		if err != nil {
			return name, nil, err
		}
		e, err := binary.ReadUvarint(b)
		if err != nil {
			return name, nil, err
		}
		rip += x86.Addr(d)
		rec := Retired{RIP: rip}
		if e != 0 {
			e--
			ea += x86.Addr(int64(e>>1) ^ -int64(e&1))
			rec.EA = ea
		}
		stream = append(stream, rec)
	}
	return name, stream, nil
}
