// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"os"

	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/files"
)

// Load builds what a word on a command line or in a test names: an object file, to be run as o says, a
// scenario file, or a built-in scenario.
func Load(nameOrPath string, o Options) (*scenarios.Built, error) {
	if IsFile(nameOrPath) {
		f, err := Open(nameOrPath, o.Read)
		if err != nil {
			return nil, err
		}
		return f.Scenario(o)
	}
	name, src, err := files.Find(nameOrPath)
	if err != nil {
		return nil, err
	}
	return LoadText(name, src, o)
}

// LoadText is Load for the bytes of an object or scenario file; name is used in messages.
func LoadText(name string, src []byte, o Options) (*scenarios.Built, error) {
	if Is(src) {
		f, err := Read(name, src, o.Read)
		if err != nil {
			return nil, err
		}
		return f.Scenario(o)
	}
	sc, err := scenarios.Load(name, src)
	if err != nil {
		return nil, err
	}
	return scenarios.Build(sc)
}

// IsFile reports whether a path is that of an ELF file.
func IsFile(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [4]byte
	n, _ := f.Read(magic[:]) // less is no ELF file
	return Is(magic[:n])
}
