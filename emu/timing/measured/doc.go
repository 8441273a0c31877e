// SPDX-License-Identifier: GPL-2.0-only

// Package measured reads sequences of instructions that were measured on a processor, and says how far what a timing
// model predicts is from them.
package measured
