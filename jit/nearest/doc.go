// SPDX-License-Identifier: GPL-2.0-only

// Package nearest finds the known name that was probably meant by a mistyped one.
package nearest
