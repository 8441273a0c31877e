// SPDX-License-Identifier: GPL-2.0-only

package source

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// object returns the compiled unit, from the folder cache if it is there; "" is none. A compiler that
// changes its version gets objects of its own.
func (u *unit) object(ctx context.Context, cache string) ([]byte, error) {
	if cache == "" {
		return u.compile(ctx)
	}
	cc, err := exec.LookPath("cc")
	if err != nil {
		return nil, ErrNoCompiler
	}
	name := filepath.Join(cache, u.key(compilerID(cc))+".o")
	if b, err := os.ReadFile(name); err == nil {
		return b, nil
	}
	b, err := u.compile(ctx)
	if err != nil {
		return nil, err
	}
	store(name, b)
	return b, nil
}

// compilerID tells one compiler from another without running it: the program behind the name.
func compilerID(cc string) string {
	real, err := filepath.EvalSymlinks(cc)
	if err != nil {
		return cc
	}
	info, err := os.Stat(real)
	if err != nil {
		return real
	}
	return strings.Join([]string{real, info.ModTime().UTC().String(), info.Mode().String()}, " ")
}

// store writes a file so that others see all of it or nothing. A cache that cannot be written is none.
func store(name string, b []byte) {
	dir := filepath.Dir(name)
	if os.MkdirAll(dir, 0o700) != nil {
		return
	}
	f, err := os.CreateTemp(dir, "new-*")
	if err != nil {
		return
	}
	_, err = f.Write(b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
}

// CacheDir is where compiled objects are kept: in the user's cache folder. "" if there is none.
func CacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "tcsim", "source")
}
