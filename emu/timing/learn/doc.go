// SPDX-License-Identifier: GPL-2.0-only

// Package learn makes the core file of a processor from measurements on it: what to measure, what the
// figures mean, and a search for what cannot be measured directly. It measures nothing itself.
package learn
