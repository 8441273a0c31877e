// SPDX-License-Identifier: GPL-2.0-only

// Package outfile writes files that are there with all their text or not at all. The file next to the one that is
// written has a name that cannot be foreseen, is new and is never reached through a link.
//
// It must not know what is written.
package outfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Error is that a file or folder cannot be written.
type Error struct {
	Path string
	Err  error
}

// Error says which, and why.
func (e *Error) Error() string { return "write " + e.Path + ": " + e.Err.Error() }

// Unwrap returns why.
func (e *Error) Unwrap() error { return e.Err }

// Failed is the Error of a write to path that failed with err, which may be nil.
func Failed(path string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{path, reason(err)}
}

// Folder makes a folder, and those that it lies in, unless it is there.
func Folder(path string) error {
	return Failed(path, os.MkdirAll(path, 0o777))
}

// Write puts text into a file, which appears only when it is complete. On an error nothing is left, and what was
// there before stays. Where path is a link, what it leads to is replaced; devices and pipes are written to as they
// are.
func Write(path string, text []byte) error {
	if err := replace(path, text); err != nil {
		return &Error{path, err}
	}
	return nil
}

// Check says what will keep a file from being written, before the work is done that fills it. Folders on the way
// that do not exist yet are not made.
func Check(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return &Error{path, errors.New("it is a directory")}
	case err == nil && !info.Mode().IsRegular():
		return nil
	}
	dir := filepath.Dir(path)
	for {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			return &Error{path, fmt.Errorf("%s is no directory", dir)}
		}
		if err == nil || filepath.Dir(dir) == dir {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return &Error{path, reason(err)}
		}
		if to, err := os.Readlink(dir); err == nil {
			return &Error{path, fmt.Errorf("%s is a link to %s, which does not exist", dir, to)}
		}
		dir = filepath.Dir(dir)
	}
	tmp, err := os.CreateTemp(dir, ".tcsim.*")
	if err == nil {
		err = errors.Join(tmp.Close(), os.Remove(tmp.Name()))
	}
	if err != nil {
		return &Error{path, reason(err)}
	}
	return nil
}

// replace puts a new file in the place of path.
func replace(path string, text []byte) error {
	f, err := create(path)
	if err != nil {
		return err
	}
	if _, err := f.tmp.Write(text); err != nil {
		f.Abort()
		return reason(err)
	}
	return f.commit()
}

// File is a file that is being written, for more than memory is to hold. It appears with Commit.
type File struct {
	path  string
	tmp   *os.File
	there bool // it is a device or a pipe, which is written to as it is
}

// Create begins a file, as Write does it.
func Create(path string) (*File, error) {
	f, err := create(path)
	if err != nil {
		return nil, &Error{path, err}
	}
	return f, nil
}

func create(path string) (*File, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil, errors.New("it is a directory")
	case err == nil && !info.Mode().IsRegular():
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		return &File{path, f, true}, reason(err)
	case err == nil:
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return nil, err
		}
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	return &File{path, tmp, false}, reason(err)
}

// Write implements io.Writer.
func (f *File) Write(b []byte) (int, error) {
	n, err := f.tmp.Write(b)
	if err != nil {
		err = &Error{f.path, reason(err)}
	}
	return n, err
}

// Commit makes the file appear. On an error nothing is left.
func (f *File) Commit() error {
	if err := f.commit(); err != nil {
		return &Error{f.path, err}
	}
	return nil
}

func (f *File) commit() error {
	if f.there {
		return reason(f.tmp.Close())
	}
	err := f.tmp.Chmod(0o644)
	if cerr := f.tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.tmp.Name(), f.path)
	}
	if err != nil {
		os.Remove(f.tmp.Name())
	}
	return reason(err)
}

// Abort leaves nothing of the file, and what was there before as it was.
func (f *File) Abort() {
	f.tmp.Close()
	if !f.there {
		os.Remove(f.tmp.Name())
	}
}

// reason takes the name of a temporary file out of an error.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
