// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/jit/nearest"
)

// among says, of a name that is none of the known ones, which there are.
func among(name string, known []string) string {
	if len(known) == 0 {
		return "there is none"
	}
	return "there are " + strings.Join(known, ", ") + nearest.DidYouMean(name, known)
}

// amongPrograms is among for the programs of the file.
func (f *File) amongPrograms(name string) string {
	known := make([]string, len(f.Programs))
	for i := range f.Programs {
		known[i] = f.Programs[i].Name
	}
	return fmt.Sprintf("there are %s%s", f.list(f.all()), nearest.DidYouMean(name, known))
}
