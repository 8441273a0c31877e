// SPDX-License-Identifier: GPL-2.0-only

// Package campaign plays many scenarios: random and all small graphs against the reference interpreter
// (Campaign, Fuzzer), every scenario on every target (PlayMatrix), what a design costs (MeasureCosts), and
// the deepest stack that accepted programs reach (WorstStack).
//
//	m, err := campaign.PlayMatrix(ctx, built, targets, campaign.MatrixOptions{})
//	fmt.Println(m.Unexpected(), "cells are not as expected")
//
// It opens sessions of package runner and knows nothing of how they work. It must not import emu. A Fuzzer
// belongs to one goroutine; everything else starts its own.
package campaign
