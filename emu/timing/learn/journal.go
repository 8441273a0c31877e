// SPDX-License-Identifier: GPL-2.0-only

package learn

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/jit/outfile"
)

// Journal keeps figures in a file as they are measured, a line each, so that a run that was ended goes on
// where it stopped.
type Journal struct {
	path string
	file *os.File
	have map[string]entry
}

// entry is a line of a journal.
type entry struct {
	Name   string              `json:"name"`
	Key    string              `json:"key"` // of the code and the machine: another one is measured anew
	Cycles measured.HostCycles `json:"cycles"`
	Failed string              `json:"failed,omitempty"`
}

// OpenJournal reads the journal at path, or begins one. A last line that was cut off is ignored. As others can foresee its name,
// it is not followed where it is a link.
func OpenJournal(path string) (*Journal, error) {
	j := &Journal{path: path, have: map[string]entry{}}
	if to, err := os.Readlink(path); err == nil {
		return nil, &outfile.Error{Path: path, Err: fmt.Errorf("it is a link to %s: remove it", to)}
	}
	old, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		lines := bufio.NewScanner(old)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var e entry
			if json.Unmarshal(lines.Bytes(), &e) == nil && e.Name != "" {
				j.have[e.Name] = e
			}
		}
		err = lines.Err()
		_ = old.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	if j.file, err = os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
		return nil, outfile.Failed(path, err)
	}
	return j, nil
}

// key tells the sequences and the machines apart.
func key(machine string, s *measured.Sequence) string {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s\x00%x\x00%v\x00%v\x00%d", machine, s.Code, s.Regs, s.Mem, s.Trips)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Get returns what was measured for a sequence; why is not empty if it could not be.
func (j *Journal) Get(machine string, s *measured.Sequence) (c measured.HostCycles, why string, ok bool) {
	e, ok := j.have[s.Name]
	return e.Cycles, e.Failed, ok && e.Key == key(machine, s)
}

// Put adds what was measured.
func (j *Journal) Put(machine string, s *measured.Sequence, c measured.HostCycles, why string) error {
	e := entry{s.Name, key(machine, s), c, why}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	j.have[s.Name] = e
	_, err = j.file.Write(append([]byte("\n"), append(line, '\n')...)) // after a line that was cut off
	return outfile.Failed(j.path, err)
}

// Close closes the file; Remove deletes it too, once the core is written.
func (j *Journal) Close() { _ = j.file.Close() }

// Remove closes and deletes the journal.
func (j *Journal) Remove() error {
	j.Close()
	return os.Remove(j.path)
}
