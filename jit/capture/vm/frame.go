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
)

const magic = "TCSIM-VM "

// Frame packs an answer.
func Frame(kind string, data []byte) []byte {
	head := fmt.Sprintf("\n%s%s %d %x\n", magic, kind, len(data), sha256.Sum256(data))
	return append([]byte(head), data...)
}

// errNoAnswer says that the guest ended without an answer.
var errNoAnswer = errors.New("the guest ended without an answer")

// unframe finds the answer in what the serial line carried.
func unframe(line []byte) (kind string, data []byte, err error) {
	at := bytes.Index(line, []byte("\n"+magic))
	if at < 0 {
		return "", nil, errNoAnswer
	}
	head, rest, found := bytes.Cut(line[at+1+len(magic):], []byte("\n"))
	var size int
	var sum string
	if _, err := fmt.Sscanf(string(head), "%s %d %s", &kind, &size, &sum); err != nil || !found || size < 0 {
		return "", nil, fmt.Errorf("the guest's answer begins with %q", head)
	}
	if len(rest) < size {
		return "", nil, fmt.Errorf("the guest's answer is cut short: %d of %d bytes", len(rest), size)
	}
	data = rest[:size]
	if fmt.Sprintf("%x", sha256.Sum256(data)) != sum {
		return "", nil, errors.New("the guest's answer is damaged: its checksum is wrong")
	}
	return kind, data, nil
}

// Names of the files that tell the guest what to do, in the root of its file system.
const (
	OrderFile  = "order.json" // of capture.PackOrder
	ConfigFile = "config"     // the kernel's configuration; may be missing
)
