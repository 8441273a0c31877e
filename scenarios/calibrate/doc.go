// SPDX-License-Identifier: GPL-2.0-only

// Package calibrate makes the core file of the machine at hand: it measures the experiments of package
// learn and a file of sequences there, puts what they tell into a core, fits the rest to two thirds of
// the sequences, and judges the core by the last third.
package calibrate
