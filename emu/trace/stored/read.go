// SPDX-License-Identifier: GPL-2.0-only

package stored

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strings"

	"github.com/tcsim/tcsim/emu/trace"
)

// File is a file of events that is open for reading. It is not safe for concurrent use.
type File struct {
	Path string
	Runs []Run
	in   io.ReadSeeker
	shut func() error
}

// Run is a run in a file.
type Run struct {
	Header
	End End

	Code *trace.Code // which events are shown with
	file *File
	at   int64 // where its pieces begin
	from []piece
}

// piece is a block of events.
type piece struct {
	at    int64
	first uint64 // number of its first event
	count uint64
	kinds [trace.KindHook + 1]uint64
}

// Is reports whether a file can be opened and begins as one of events does.
func Is(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	b := make([]byte, len(magic))
	_, err = io.ReadFull(f, b)
	return err == nil && string(b) == magic
}

// Open reads everything but events.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	out, err := Read(path, f)
	if err != nil {
		f.Close()
		return nil, err
	}
	out.shut = f.Close
	return out, nil
}

// Read is Open of what has been opened; name is for messages.
func Read(name string, in io.ReadSeeker) (*File, error) {
	f := &File{Path: name, in: in}
	if at, err := f.scan(); err != nil {
		return nil, &FileError{name, at, err}
	}
	return f, nil
}

// Close closes the file.
func (f *File) Close() error {
	if f.shut == nil {
		return nil
	}
	return f.shut()
}

// reader reads blocks and knows where it is.
type reader struct {
	b  *bufio.Reader
	at int64
}

func (r *reader) ReadByte() (byte, error) {
	c, err := r.b.ReadByte()
	if err == nil {
		r.at++
	}
	return c, err
}

func (r *reader) full(b []byte) error {
	n, err := io.ReadFull(r.b, b)
	r.at += int64(n)
	return err
}

// errCut is a file that was not written to its end.
var errCut = errors.New("the file ends here, without its end: it is not whole, so nothing of it is used; record the run again")

// scan goes over the blocks. The place is that of the block that is wrong.
func (f *File) scan() (at int64, err error) {
	r := &reader{b: bufio.NewReaderSize(f.in, 1<<16)}
	line, err := r.b.ReadSlice('\n')
	r.at = int64(len(line))
	if err != nil || !strings.HasPrefix(string(line), magic) {
		return 0, errors.New("no file of events: it does not begin with " + fmt.Sprintf("%q", strings.TrimSpace(magic)))
	}
	if v := strings.TrimSpace(string(line[len(magic):])); v != fmt.Sprint(version) {
		return 0, fmt.Errorf("version %q of the form, expected %d: record the run again with this tcsim", v, version)
	}
	var open *Run
	for {
		at := r.at
		h, err := r.head()
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return at, errCut
		}
		if err != nil {
			return at, err
		}
		switch {
		case h.kind == blockRun && open == nil:
			if open, err = f.begin(r, h); err == nil {
				open.at = r.at
			}
		case h.kind == blockEvents && open != nil:
			err = open.piece(r, h, at)
		case h.kind == blockEnd && open != nil:
			if err = f.end(r, h, open); err == nil {
				f.Runs, open = append(f.Runs, *open), nil
			}
		case h.kind == blockLast && open == nil:
			if _, err = r.data(h); err == nil {
				if _, err := r.b.ReadByte(); err != io.EOF {
					return r.at, errors.New("more after the end")
				}
				return 0, nil
			}
		default:
			err = fmt.Errorf("block %q is not expected here", h.kind)
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = errCut
		}
		if err != nil {
			return at, err
		}
	}
}

// head is what a block begins with.
type head struct {
	kind        byte
	meta        []byte
	raw, packed uint64
	sum         uint32 // as it should be
	have        uint32 // of what precedes the sum
}

// head reads the head of a block.
func (r *reader) head() (head, error) {
	var h head
	var err error
	var seen []byte
	if h.kind, err = r.ReadByte(); err != nil {
		return h, err
	}
	seen = append(seen, h.kind)
	number := func(most uint64, what string) (uint64, error) {
		v, err := binary.ReadUvarint(r)
		if err == nil && v > most {
			err = fmt.Errorf("%s of %d bytes, expected at most %d", what, v, most)
		}
		seen = binary.AppendUvarint(seen, v)
		return v, err
	}
	n, err := number(maxMeta, "a head")
	if err != nil {
		return h, err
	}
	h.meta = make([]byte, n)
	if err := r.full(h.meta); err != nil {
		return h, err
	}
	seen = append(seen, h.meta...)
	if h.raw, err = number(maxBlock, "a block"); err != nil {
		return h, err
	}
	if h.packed, err = number(maxBlock, "a block"); err != nil {
		return h, err
	}
	var sum [4]byte
	if err := r.full(sum[:]); err != nil {
		return h, err
	}
	h.sum, h.have = binary.LittleEndian.Uint32(sum[:]), crc32.ChecksumIEEE(seen)
	return h, nil
}

// data reads what a block holds.
func (r *reader) data(h head) ([]byte, error) {
	var packed bytes.Buffer
	n, err := io.Copy(&packed, io.LimitReader(r.b, int64(h.packed)))
	r.at += n
	if err == nil && uint64(n) < h.packed {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	if crc32.Update(h.have, crc32.IEEETable, packed.Bytes()) != h.sum {
		return nil, errors.New("the block is damaged: its checksum is not that of its contents")
	}
	z := flate.NewReader(&packed)
	var out bytes.Buffer
	m, err := io.Copy(&out, io.LimitReader(z, int64(h.raw)+1))
	if err != nil {
		return nil, fmt.Errorf("the block cannot be decompressed: %w", noEOF(err))
	}
	if uint64(m) != h.raw {
		return nil, fmt.Errorf("the block does not have the %d bytes that it should", h.raw)
	}
	return out.Bytes(), nil
}

// noEOF keeps an error in a block from being taken for the end of the file.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it is cut off")
	}
	return err
}

func (f *File) begin(r *reader, h head) (*Run, error) {
	text, err := r.data(h)
	if err != nil {
		return nil, err
	}
	run := &Run{file: f}
	if err := json.Unmarshal(text, &run.Header); err != nil {
		return nil, fmt.Errorf("what was run: %w", noEOF(err))
	}
	for i := range f.Runs {
		if f.Runs[i].Run >= run.Run {
			return nil, fmt.Errorf("run %d comes after run %d", run.Run, f.Runs[i].Run)
		}
	}
	if run.Run < 1 || len(run.Args) == 0 {
		return nil, errors.New("what was run: expected a number of the run from 1 and the command")
	}
	run.Code, err = run.Header.Code.Restore()
	return run, err
}

// piece notes a block of events and passes over it.
func (r *Run) piece(in *reader, h head, at int64) error {
	p := piece{at: at}
	meta := h.meta
	number := func() uint64 {
		v, n := binary.Uvarint(meta)
		if n <= 0 {
			meta = nil
			return 0
		}
		meta = meta[n:]
		return v
	}
	p.first, p.count = number(), number()
	total := uint64(0)
	for i := range p.kinds {
		p.kinds[i] = number()
		total += min(p.kinds[i], pieceEvents+1)
	}
	next := uint64(1)
	if n := len(r.from); n > 0 {
		next = r.from[n-1].first + r.from[n-1].count
	}
	if p.first != next || p.count < 1 || p.count > pieceEvents || total != p.count || len(meta) != 0 {
		return fmt.Errorf("events %d and %d more, of which %d have a kind: expected 1 to %d from %d on", p.first, p.count, total, pieceEvents, next)
	}
	if h.raw > maxPiece {
		return fmt.Errorf("events of %d bytes, expected at most %d", h.raw, maxPiece)
	}
	n, err := io.CopyN(io.Discard, in.b, int64(h.packed))
	in.at += n
	r.from = append(r.from, p)
	return err
}

func (f *File) end(r *reader, h head, run *Run) error {
	text, err := r.data(h)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &run.End); err != nil {
		return fmt.Errorf("how the run ended: %w", noEOF(err))
	}
	have := uint64(0)
	if n := len(run.from); n > 0 {
		have = run.from[n-1].first + run.from[n-1].count - 1
	}
	if run.End.Events != have {
		return fmt.Errorf("the run has %d events, and there are %d", run.End.Events, have)
	}
	return nil
}

// Named returns the run with this number, or the first for 0.
func (f *File) Named(n int) (*Run, error) {
	var there []string
	for i := range f.Runs {
		if n == 0 || f.Runs[i].Run == n {
			return &f.Runs[i], nil
		}
		there = append(there, fmt.Sprint(f.Runs[i].Run))
	}
	if len(there) == 0 {
		return nil, fmt.Errorf("%s has no run", f.Path)
	}
	return nil, fmt.Errorf("%s has no run %d; it has %s", f.Path, n, strings.Join(there, ", "))
}

// Bind has the events of a run be of the functions of code instead of names: it fails if they are not the same.
func (r *Run) Bind(code *trace.Code) error {
	if o := code.Outline(); !r.Header.Code.Same(o) {
		return fmt.Errorf("%s: the programs are not those of the run that was recorded: record it again", r.file.Path)
	}
	r.Code = code
	return nil
}

// Each calls fn for each event from number first on, in order, until it returns false. The event is valid during the
// call. Kinds, if any are given, are those of events that are wanted: pieces without one are not read.
func (r *Run) Each(first uint64, fn func(*trace.Event) bool, kinds ...trace.Kind) error {
	for i := range r.from {
		p := &r.from[i]
		if p.first+p.count <= first || len(kinds) > 0 && !p.has(kinds) {
			continue
		}
		more, err := r.read(p, first, fn)
		if err != nil {
			return &FileError{r.file.Path, p.at, err}
		}
		if !more {
			return nil
		}
	}
	return nil
}

func (p *piece) has(kinds []trace.Kind) bool {
	for _, k := range kinds {
		if p.kinds[k] > 0 {
			return true
		}
	}
	return false
}

// Count is how many events of a kind there are.
func (r *Run) Count(k trace.Kind) uint64 {
	n := uint64(0)
	for i := range r.from {
		n += r.from[i].kinds[k]
	}
	return n
}

// read reads a piece.
func (r *Run) read(p *piece, first uint64, fn func(*trace.Event) bool) (more bool, err error) {
	if _, err := r.file.in.Seek(p.at, io.SeekStart); err != nil {
		return false, err
	}
	in := &reader{b: bufio.NewReaderSize(r.file.in, 1<<16)}
	h, err := in.head()
	if err != nil {
		return false, noEOF(err)
	}
	data, err := in.data(h)
	if err != nil {
		return false, noEOF(err)
	}
	d := decoder{in: data, code: r.Code}
	var ev trace.Event
	var kinds [trace.KindHook + 1]uint64
	for i := range p.count {
		if err := d.next(&ev); err != nil {
			return false, fmt.Errorf("event %d: %w", p.first+i, err)
		}
		kinds[ev.Kind]++
		if ev.No = p.first + i; ev.No >= first && !fn(&ev) {
			return false, nil
		}
	}
	if len(d.in) > 0 || kinds != p.kinds {
		return false, errors.New("the events are not those that the head of the block says")
	}
	return true, nil
}
