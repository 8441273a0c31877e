// SPDX-License-Identifier: GPL-2.0-only

package vm

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
)

// The guest's answer goes over a serial line, where the kernel or the firmware may write too: it
// stands in a frame of a line with kind, length and checksum, then the bytes.

// Kinds of answers.
const (
	Result  = "result"
	Missing = "missing" // the text says what the kernel lacks
	Failed  = "failed"  // the text says what went wrong
	Stale   = "stale"   // the guest does not understand the order: it is of another version
	Partial = "partial" // what there is so far; another answer follows unless the guest ends before
)

const magic = "TCSIM-VM "

// Frame packs an answer.
func Frame(kind string, data []byte) []byte {
	head := fmt.Sprintf("\n%s%s %d %x\n", magic, kind, len(data), sha256.Sum256(data))
	return append([]byte(head), data...)
}

// errNoAnswer says that the guest ended without an answer.
var errNoAnswer = errors.New("the guest ended without an answer")

// unframe finds the last whole answer in what the serial line carried. A partial one is no answer but part, the
// last of them; the error says why there is no other.
func unframe(line []byte) (kind string, data, part []byte, err error) {
	err = errNoAnswer
	for {
		at := bytes.Index(line, []byte("\n"+magic))
		if at < 0 {
			return "", nil, part, err
		}
		line = line[at+1+len(magic):]
		var size int
		if kind, data, size, err = answer(line); err != nil {
			continue
		}
		if kind != Partial {
			return kind, data, nil, nil
		}
		part, err = data, errNoAnswer
		line = line[size:]
	}
}

// answer reads an answer after the magic word, and says how many bytes it takes.
func answer(line []byte) (kind string, data []byte, taken int, err error) {
	head, rest, found := bytes.Cut(line, []byte("\n"))
	var size int
	var sum string
	if _, err := fmt.Sscanf(string(head[:min(len(head), maxHead)]), "%s %d %s", &kind, &size, &sum); err != nil || !found || size < 0 {
		return "", nil, 0, fmt.Errorf("the guest's answer begins with %.80q", head)
	}
	if len(rest) < size {
		return "", nil, 0, fmt.Errorf("the guest's answer is cut short: %d of %d bytes", len(rest), size)
	}
	data = rest[:size]
	if fmt.Sprintf("%x", sha256.Sum256(data)) != sum {
		return "", nil, 0, errors.New("the guest's answer is damaged: its checksum is wrong")
	}
	return kind, data, len(head) + 1 + size, nil
}

// maxHead is more than the line of an answer has.
const maxHead = 200

// Names of the files that tell the guest what to do, in the root of its file system.
const (
	OrderFile  = "order"  // of capture.PackOrder
	ConfigFile = "config" // the kernel's configuration; may be missing
)
