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

	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/outfile"
)

// Writer writes a file of events, which is there when Close has succeeded and not before. It is not safe for
// concurrent use.
type Writer struct {
	f      *outfile.File
	b      *bufio.Writer
	z      *flate.Writer
	packed bytes.Buffer
	enc    *encoder
	no     uint64 // events of the run so far
	piece  int    // of them in the piece
	kinds  [trace.KindHook + 1]uint64
	begun  bool
}

// Create begins a file.
func Create(path string) (*Writer, error) {
	f, err := outfile.Create(path)
	if err != nil {
		return nil, err
	}
	w := &Writer{f: f, b: bufio.NewWriterSize(f, 1<<16)}
	if w.z, err = flate.NewWriter(nil, flate.BestSpeed); err == nil {
		_, err = fmt.Fprintf(w.b, "%s%d\n", magic, version)
	}
	if err != nil {
		w.Abort()
		return nil, err
	}
	return w, nil
}

// Begin begins a run of code; h need not say more of the code.
func (w *Writer) Begin(h Header, code *trace.Code) error {
	if w.begun {
		return errors.New("BUG: a run begins in another one")
	}
	h.Code = code.Outline()
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	w.enc, w.no, w.begun = newEncoder(code), 0, true
	return w.block(blockRun, nil, text)
}

// Event adds an event of the run, which is the next one.
func (w *Writer) Event(e *trace.Event) error {
	if e.No != w.no+1 {
		return fmt.Errorf("BUG: event %d after event %d", e.No, w.no)
	}
	if err := w.enc.add(e); err != nil {
		return err
	}
	w.no++
	w.piece++
	w.kinds[e.Kind]++
	if w.piece == pieceEvents {
		return w.flush()
	}
	return nil
}

// Events is how many events the run has so far.
func (w *Writer) Events() uint64 { return w.no }

// flush writes the piece.
func (w *Writer) flush() error {
	if w.piece == 0 {
		return nil
	}
	meta := binary.AppendUvarint(nil, w.no-uint64(w.piece)+1)
	meta = binary.AppendUvarint(meta, uint64(w.piece))
	for _, n := range w.kinds {
		meta = binary.AppendUvarint(meta, n)
	}
	err := w.block(blockEvents, meta, w.enc.out)
	w.enc.reset()
	w.piece = 0
	clear(w.kinds[:])
	return err
}

// End ends the run; its number of events is known.
func (w *Writer) End(e End) error {
	if err := w.flush(); err != nil {
		return err
	}
	e.Events, w.begun = w.no, false
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return w.block(blockEnd, nil, text)
}

// Close ends the file. Nothing is left of it if that fails.
func (w *Writer) Close() error {
	err := w.block(blockLast, nil, nil)
	if err == nil {
		err = w.b.Flush()
	}
	if err != nil {
		w.Abort()
		return err
	}
	return w.f.Commit()
}

// Abort takes the file back, of which nothing is left.
func (w *Writer) Abort() { w.f.Abort() }

// block writes a block: its kind, meta with its length, the lengths of data as it is and compressed, a checksum of
// both, compressed data.
func (w *Writer) block(kind byte, meta, data []byte) error {
	w.packed.Reset()
	w.z.Reset(&w.packed)
	if _, err := w.z.Write(data); err != nil {
		return err
	}
	if err := w.z.Close(); err != nil {
		return err
	}
	if len(data) > maxBlock {
		return fmt.Errorf("the texts of %d bytes are more than a file of events holds, %d", len(data), maxBlock)
	}
	head := binary.AppendUvarint([]byte{kind}, uint64(len(meta)))
	head = append(head, meta...)
	head = binary.AppendUvarint(head, uint64(len(data)))
	head = binary.AppendUvarint(head, uint64(w.packed.Len()))
	sum := crc32.Update(crc32.ChecksumIEEE(head), crc32.IEEETable, w.packed.Bytes())
	head = binary.LittleEndian.AppendUint32(head, sum)
	if _, err := w.b.Write(head); err != nil {
		return err
	}
	_, err := w.b.Write(w.packed.Bytes())
	return err
}
