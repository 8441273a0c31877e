// SPDX-License-Identifier: GPL-2.0-only

package inputs

import (
	"errors"
	"reflect"
	"slices"
)

// Error marks an error as the user's: bad flags, files or scenarios.
type Error struct{ Err error }

// Error is the error's own text.
func (e Error) Error() string { return e.Err.Error() }

// Unwrap returns the error.
func (e Error) Unwrap() error { return e.Err }

// Bad marks err as the user's; nil stays nil.
func Bad(err error) error {
	if err == nil {
		return nil
	}
	return Error{err}
}

// Any reports whether one of the errors that were joined, or err itself, is as is says.
func Any(err error, is func(error) bool) bool {
	for e := err; e != nil; e = errors.Unwrap(e) {
		if reflect.TypeOf(e) != joined {
			continue
		}
		return slices.ContainsFunc(e.(interface{ Unwrap() []error }).Unwrap(), func(e error) bool { return Any(e, is) })
	}
	return is(err)
}

// joined is the type of what errors.Join returns: an error made of several by a format is one.
var joined = reflect.TypeOf(errors.Join(errors.ErrUnsupported))
