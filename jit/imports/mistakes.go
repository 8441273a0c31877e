// SPDX-License-Identifier: GPL-2.0-only

package imports

import (
	"errors"
	"fmt"
)

// mistakes are what is wrong with a file, in its order.
type mistakes []error

// maxMistakes bounds what is told of a bad file.
const maxMistakes = 20

// add notes a mistake at a place, such as a line. It returns false when there are enough.
func (m *mistakes) add(place string, err error) bool {
	switch {
	case err == nil:
		return true
	case len(*m) == maxMistakes:
		*m = append(*m, errors.New("and more"))
	case len(*m) < maxMistakes:
		*m = append(*m, fmt.Errorf("%s: %w", place, err))
	}
	return len(*m) <= maxMistakes
}

func (m mistakes) join() error { return errors.Join(m...) }

func lineNo(i int) string { return fmt.Sprintf("line %d", i+1) }
