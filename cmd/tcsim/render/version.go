// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"runtime/debug"

	"github.com/tcsim/tcsim/fixtures"
)

// Version is the object of tcsim version.
type Version struct {
	Commit   string `json:"commit,omitempty"` // "" if the build does not know
	Date     string `json:"date,omitempty"`   // of the commit
	Engine   string `json:"engine"`           // version of libunicorn
	Fixtures string `json:"fixtures"`         // what is embedded: a hash of all names and contents
	Go       string `json:"go"`
	Modified bool   `json:"modified,omitempty"` // built from a changed tree
	Platform string `json:"platform"`
	Schema   Schema `json:"schema"`
	Version  string `json:"version"`
}

// VersionOf says what a program was built of.
func VersionOf(engine string) (Version, error) {
	v := Version{
		Version: "unknown", Engine: engine, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Schema: SchemaVersion,
	}
	if b, ok := debug.ReadBuildInfo(); ok {
		v.Version = b.Main.Version
		for _, s := range b.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Commit = s.Value
			case "vcs.time":
				v.Date = s.Value
			case "vcs.modified":
				v.Modified = s.Value == "true"
			}
		}
	}
	sum := sha256.New()
	err := fs.WalkDir(fixtures.FS, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(fixtures.FS, path)
		fmt.Fprintf(sum, "%s %d\n%s", path, len(data), data)
		return err
	})
	v.Fixtures = fmt.Sprintf("sha256:%x", sum.Sum(nil)[:8])
	return v, err
}

// Print writes a line for each fact.
func (v *Version) Print(w io.Writer) {
	commit := v.Commit
	switch {
	case commit == "":
		commit = "unknown"
	case v.Modified:
		commit += ", with changes"
	}
	if v.Date != "" {
		commit += " of " + v.Date
	}
	fmt.Fprintf(w, "tcsim %s (%s)\n", v.Version, v.Platform)
	for _, l := range [][2]string{{"commit", commit}, {"engine", "libunicorn " + v.Engine}, {"go", v.Go}, {"fixtures", v.Fixtures}} {
		fmt.Fprintf(w, "  %-10s%s\n", l[0], l[1])
	}
}
