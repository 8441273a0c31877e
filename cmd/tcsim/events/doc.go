// SPDX-License-Identifier: GPL-2.0-only

// Package events chooses events of runs, keeps them in files, and shows what is in such files.
//
// It must not know how a run is performed.
package events
