// SPDX-License-Identifier: GPL-2.0-only

package ktree

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Fact is something that the C file takes from elsewhere: a macro with its value, and where that was read.
type Fact struct {
	Name, Value string
	From        string
}

// Version is the version of a kernel; Patch is -1 if it is unknown.
type Version struct{ Major, Minor, Patch int }

// String returns "6.12.107", or "6.12" without a patch level.
func (v Version) String() string {
	if v.Patch < 0 {
		return fmt.Sprintf("%d.%d", v.Major, v.Minor)
	}
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}

// Before reports whether v is older than major.minor.
func (v Version) Before(major, minor int) bool {
	return v.Major < major || v.Major == major && v.Minor < minor
}

// ParseVersion reads "6.12" or "6.12.107".
func ParseVersion(s string) (Version, error) {
	v := Version{Patch: -1}
	parts := strings.Split(s, ".")
	into := []*int{&v.Major, &v.Minor, &v.Patch}
	if len(parts) < 2 || len(parts) > len(into) {
		return v, fmt.Errorf("kernel version %q: expected one such as 6.12 or 6.12.107", s)
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return v, fmt.Errorf("kernel version %q: expected one such as 6.12 or 6.12.107", s)
		}
		*into[i] = int(n)
	}
	return v, nil
}

// ErrNoVersion says that nothing tells which kernel a C file is from.
var ErrNoVersion = errors.New("the kernel version is unknown")

// TreeVersion reads the version from the Makefile of a tree.
func TreeVersion(t Tree) (Version, error) {
	text, err := t.ReadFile("Makefile")
	if err != nil {
		return Version{}, fmt.Errorf("%w: Makefile: %v", ErrNoVersion, err) // not %w: the JIT's file is there
	}
	var v Version
	for _, part := range []struct {
		name string
		to   *int
	}{{"VERSION", &v.Major}, {"PATCHLEVEL", &v.Minor}, {"SUBLEVEL", &v.Patch}} {
		m := regexp.MustCompile(`(?m)^` + part.name + `\s*=\s*(\d+)\s*$`).FindSubmatch(text)
		if m == nil {
			return Version{}, fmt.Errorf("%w: %s has no %s", ErrNoVersion, t.Shown("Makefile"), part.name)
		}
		*part.to, _ = strconv.Atoi(string(m[1]))
	}
	return v, nil
}

// define writes the fact as a macro. An option that is "n" is not defined.
func (f *Fact) Define(b *bytes.Buffer) {
	if f.Value != "n" {
		fmt.Fprintf(b, "#define %s %s\n", f.Name, f.Value)
	}
}
