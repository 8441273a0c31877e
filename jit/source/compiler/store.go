// SPDX-License-Identifier: GPL-2.0-only

package compiler

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// compilerID tells one compiler from another without running it: the program that the name leads to.
func ID(cc string) string {
	path, err := filepath.EvalSymlinks(cc)
	if err != nil {
		return cc
	}
	info, err := os.Stat(path)
	if err != nil {
		return path
	}
	return strings.Join([]string{path, info.ModTime().UTC().String(), info.Mode().String()}, " ")
}

// store writes a file so that others see all of it or nothing. A cache that cannot be written is not used.
func Store(name string, b []byte) {
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

// maxCached bounds the objects that are kept, of about 200 KB each.
const maxCached = 256

// prune removes the objects that were used longest ago.
func Prune(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) <= maxCached {
		return
	}
	used := func(e os.DirEntry) time.Time {
		info, err := e.Info()
		if err != nil {
			return time.Time{}
		}
		return info.ModTime()
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return cmp.Compare(used(a).UnixNano(), used(b).UnixNano()) })
	for _, e := range entries[:len(entries)-maxCached] {
		_ = os.Remove(filepath.Join(dir, e.Name()))
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
