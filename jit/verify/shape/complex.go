// SPDX-License-Identifier: GPL-2.0-only

package shape

import (
	"errors"
	"fmt"
)

// ErrComplex says that a verification takes more than kernels allow, whatever the program does.
var ErrComplex = errors.New("too complex")

// TooComplex is an ErrComplex in other words.
func TooComplex(format string, args ...any) error { return tooComplex(fmt.Sprintf(format, args...)) }

type tooComplex string

func (t tooComplex) Error() string { return string(t) }

// Is implements errors.Is.
func (t tooComplex) Is(err error) bool { return err == ErrComplex }
