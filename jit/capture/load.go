// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sync"

	"github.com/tcsim/tcsim/jit/filekind"
)

// Bounds of what is read; a file beyond them is refused. The largest capture of a kernel so far has 12 MB in
// lines of up to 100 kB.
const (
	maxFile = 512 << 20
	// Text beyond usual is read from files only that are as large as text of captures makes them: it is 10 to 40 times what it is
	// compressed to.
	usual    = 128 << 20
	maxRatio = 64
	maxLine  = 16 << 20
	// maxLines is how many lines a file may have: each costs memory of its own.
	maxLines = 1 << 20
)

// Source is an opened capture: header and symbols are there, scenarios are parsed on request. Its
// methods may be called concurrently.
type Source struct {
	Name    string
	Header  Header
	Symbols Symbols
	lines   [][]byte // scenario lines; line i is number i+2 of the file
	// Derived is what others keep that they have made of the capture.
	Derived sync.Map
}

// Open opens the capture in a file. Errors are of type Mistakes unless the file cannot be read.
func Open(path string) (*Source, error) {
	return OpenFS(os.DirFS(filepath.Dir(path)), filepath.Base(path), path)
}

// OpenFS opens file name of fsys; mistakes name it as shown.
func OpenFS(fsys fs.FS, name, shown string) (*Source, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Read(f, shown)
}

// Read reads a whole capture, gzip'd JSON lines, from r.
func Read(r io.Reader, name string) (*Source, error) {
	lines, err := inflate(r)
	if err != nil {
		return nil, Mistakes{{File: name, Msg: err.Error()}}
	}
	s := &Source{Name: name}
	var m Mistakes
	if len(lines) > 0 && bytes.HasPrefix(lines[0], []byte(byteOrderMark)) {
		return nil, Mistakes{{File: name, Line: 1, Msg: "the text begins with a byte order mark: save it without one"}}
	}
	if len(lines) < 2 {
		return nil, Mistakes{{File: name, Msg: fmt.Sprintf("expected a header line and a symbol line, found %d lines", len(lines))}}
	}
	for i, line := range lines {
		want := "scenario"
		switch i {
		case 0:
			want = "header"
		case len(lines) - 1:
			want = "symbols"
		}
		if len(m) < MaxMistakes {
			m = append(m, s.checkLine(i+1, line, want)...)
		}
	}
	s.lines = lines[1 : len(lines)-1]
	if len(m) > 0 {
		return nil, m
	}
	rd := s.reader(1, lines[0], &m)
	rd.header(&s.Header)
	rd.end()
	rd = s.reader(len(lines), lines[len(lines)-1], &m)
	rd.symbols(&s.Symbols)
	rd.end()
	if s.Header.Scenarios != len(s.lines) {
		m = append(m, Mistake{File: name, Line: 1, Path: "scenarios",
			Msg: fmt.Sprintf("%d scenarios announced, %d found", s.Header.Scenarios, len(s.lines))})
	}
	if len(m) > 0 {
		return nil, m
	}
	return s, nil
}

// byteOrderMark is U+FEFF in UTF-8.
const byteOrderMark = "\xef\xbb\xbf"

// counter counts what is read.
type counter struct {
	io.Reader
	n int
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n += n
	return n, err
}

// inflate reads the lines of a compressed text. Each is kept by itself, so that a file that inflates to more than
// is read costs no more than that.
func inflate(r io.Reader) (lines [][]byte, err error) {
	file := counter{Reader: r}
	from := bufio.NewReaderSize(&file, 1<<16)
	head, _ := from.Peek(4096)
	z, err := gzip.NewReader(from)
	if err != nil {
		if what := filekind.Instead(head); what != "" {
			return nil, fmt.Errorf("expected a gzip file; it is %s", what)
		}
		return nil, fmt.Errorf("expected a gzip file: %w", err)
	}
	text := bufio.NewReaderSize(z, 1<<16)
	read := 0
	var line []byte // read into again and again: what grows leaves garbage
	for {
		line, err = readLine(text, line[:0], len(lines)+1)
		if read += len(line) + 1; read > maxFile {
			return nil, fmt.Errorf("more than %d MiB of text", maxFile>>20)
		}
		if read > usual && read/maxRatio > file.n {
			return nil, fmt.Errorf("more than %d MiB of text, compressed to less than %d KiB: no capture is like that", usual>>20, read/maxRatio>>10)
		}
		switch {
		case errors.Is(err, io.EOF):
			if len(line) > 0 {
				lines = append(lines, bytes.Clone(line))
			}
			return lines, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil, fmt.Errorf("gzip file is truncated after %d bytes of text", read-1)
		case errors.Is(err, errLongLine):
			return nil, err
		case err != nil:
			return nil, fmt.Errorf("gzip file is corrupt after %d bytes of text: %w", read-1, err)
		}
		if lines = append(lines, bytes.Clone(line)); len(lines) > maxLines {
			return nil, fmt.Errorf("more than %d lines", maxLines)
		}
	}
}

var errLongLine = errors.New("longer than what is read")

// readLine appends to line what comes up to a newline, which is left out, or an error.
func readLine(r *bufio.Reader, line []byte, number int) ([]byte, error) {
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLine {
			return line, fmt.Errorf("line %d has more than %d bytes: %w", number, maxLine, errLongLine)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err == nil {
			line = line[:len(line)-1]
		}
		return line, err
	}
}

// checkLine checks that a line is not too long and of the type that belongs at its place.
func (s *Source) checkLine(n int, line []byte, want string) (m Mistakes) {
	if len(line) > maxLine {
		return Mistakes{{File: s.Name, Line: n, Msg: fmt.Sprintf("line of %d bytes: at most %d are read", len(line), maxLine)}}
	}
	if bytes.HasPrefix(line, []byte(`{"type":"`+want+`"`)) {
		return nil
	}
	rd := s.reader(n, line, &m)
	got := ""
	rd.object(func(name []byte) {
		if string(name) == "type" {
			got = rd.str()
		} else {
			rd.skip(0)
		}
	})
	if got != want && len(m) == 0 {
		m = append(m, Mistake{File: s.Name, Line: n, Path: "type", Msg: fmt.Sprintf("expected a %s line here, found %q", want, got)})
	}
	return m
}

func (s *Source) reader(line int, text []byte, m *Mistakes) *reader {
	return &reader{src: text, note: func(col int, path, msg string) {
		if len(*m) < MaxMistakes {
			*m = append(*m, Mistake{File: s.Name, Line: line, Col: col, Path: path, Msg: msg})
		}
	}}
}

// Len returns the number of scenarios.
func (s *Source) Len() int { return len(s.lines) }

// Mentions reports whether the text of scenario i has this word, without reading the scenario.
func (s *Source) Mentions(i int, word string) bool { return bytes.Contains(s.lines[i], []byte(word)) }

// Scenario parses and checks scenario i, which counts from 0. The error is of type Mistakes.
func (s *Source) Scenario(i int) (*Scenario, error) {
	sc := &Scenario{Line: i + 2}
	var m Mistakes
	rd := s.reader(sc.Line, s.lines[i], &m)
	rd.blinds = s.Header.Blinds()
	rd.scenario(sc)
	rd.end()
	if len(m) == 0 && rd.blinds {
		sc.unblind()
	}
	if len(m) == 0 { // else the relations would only repeat the mistakes
		sc.check(func(path, format string, args ...any) {
			if len(m) < MaxMistakes {
				m = append(m, Mistake{File: s.Name, Line: sc.Line, Path: path, Msg: fmt.Sprintf(format, args...)})
			}
		})
	}
	if len(m) > 0 {
		return nil, m
	}
	return sc, nil
}

// All goes through the scenarios in the order of the file. It goes on after an error.
func (s *Source) All() iter.Seq2[*Scenario, error] {
	return func(yield func(*Scenario, error) bool) {
		for i := range s.lines {
			if !yield(s.Scenario(i)) {
				return
			}
		}
	}
}

// Load reads a capture file as a whole. The error has all mistakes of the file.
func Load(path string) (*File, error) {
	s, err := Open(path)
	if err != nil {
		return nil, err
	}
	return s.File()
}

// LoadFS is Load for a file of fsys.
func LoadFS(fsys fs.FS, name string) (*File, error) {
	s, err := OpenFS(fsys, name, name)
	if err != nil {
		return nil, err
	}
	return s.File()
}

// File parses all scenarios. The error has all mistakes of the file.
func (s *Source) File() (*File, error) {
	f := &File{Name: s.Name, Header: s.Header, Symbols: s.Symbols}
	var m Mistakes
	names := map[string]int{}
	for sc, err := range s.All() {
		if err != nil {
			m = append(m, err.(Mistakes)...)
			if len(m) >= MaxMistakes {
				break
			}
			continue
		}
		if first, dup := names[sc.Name]; dup {
			m = append(m, Mistake{File: s.Name, Line: sc.Line, Path: "name", Msg: fmt.Sprintf("%q is also the name in line %d", sc.Name, first)})
		}
		names[sc.Name] = sc.Line
		f.Scenarios = append(f.Scenarios, *sc)
	}
	if len(m) > 0 {
		return nil, m
	}
	return f, nil
}
