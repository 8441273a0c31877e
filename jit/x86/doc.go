// SPDX-License-Identifier: GPL-2.0-only

// Package x86 owns registers, instruction forms, the encoder and the one decode wrapper.
// It must not import any other package of this module.
package x86
