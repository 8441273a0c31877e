// SPDX-License-Identifier: GPL-2.0-only

// Package timing says what an executed instruction stream (record.Retired) costs on a real core.
package timing
