// SPDX-License-Identifier: GPL-2.0-only

package inputs

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
