// SPDX-License-Identifier: GPL-2.0-only

// Package interleave explores updates of prog array slots against runs of a scenario that go on meanwhile: it
// finds the updates, takes each apart into the steps that other processors can see, and has emu/explore place
// these in a run in every way.
//
//	found, err := interleave.Explore(ctx, compiled, runner.Options{}, interleave.Options{})
//	for i := range found {
//		fmt.Println(found[i].Slot, found[i].OK())
//	}
//
// Which orders there are, and which of them are one, is emu/explore's; how a scenario comes to a run is
// runner's. It must not import measure, replay or campaign.
package interleave
