// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"encoding/binary"

	"github.com/tcsim/tcsim/jit/image"
)

// pokeVariants are edits of what an update of a slot does to direct tail calls.
func pokeVariants() []variantMutation {
	var rows []variantMutation
	for _, target := range []string{"5.10", "6.1", "6.12", "7.2"} {
		rows = append(rows,
			variantMutation{target: target, poke: inserting(swapped), name: "bypass opened before there is a jump"},
			variantMutation{target: target, poke: deleting(swapped), name: "jump removed before the bypass is closed"},
			variantMutation{target: target, poke: deleting(leavingOut(isWait)), name: "no wait between the pokes of a deletion"},
			variantMutation{target: target, poke: deleting(waitLast), name: "wait after the pokes of a deletion"},
		)
	}
	return append(rows, []variantMutation{
		{target: "6.12", poke: inserting(leavingOut(isPart(image.PartBypass))), name: "bypass not opened by an insertion"},
		{target: "6.12", poke: inserting(leavingOut(isPart(image.PartJump))), name: "no jump put in by an insertion"},
		{target: "6.12", poke: deleting(leavingOut(isPart(image.PartBypass))), name: "bypass not closed by a deletion"},
		{target: "6.12", poke: deleting(leavingOut(isPart(image.PartJump))), name: "jump not removed by a deletion"},
		{target: "6.12", poke: replacing(leavingOut(isPart(image.PartJump))), name: "jump stays when the program is replaced"},
		{target: "6.12", poke: replacing(expects), name: "a nop expected where the old program's jump is"},
		{target: "6.12", poke: leads(-4), name: "jump leads an instruction too far up"},
		{target: "6.12", poke: leads(4), name: "jump leads past endbr64"},
		{target: "6.1", poke: leads(1), name: "jump leads one byte too far down"},
		{target: "direct-poke", poke: leads(-25), name: "jump leads to the entry"},
		{target: "direct-poke", poke: deleting(leavingOut(isPart(image.PartJump))), name: "jump not removed by a deletion"},
		{target: "direct-poke", poke: replacing(expects), name: "a nop expected where the old program's jump is"},
		{target: "6.12", poke: firstSite, name: "only the first of several sites is poked"},
		{target: "direct-poke", poke: firstSite, name: "only the first of several sites is poked"},
	}...)
}

const jump = 0xe9

// change says what a plan for a site does, by the last poke of its jump: a plan of a design with a bypass has
// one, too.
func change(steps []image.Patch) (from, to bool) {
	for i := range steps {
		if s := &steps[i]; s.Kind == image.PatchText && s.Part == image.PartJump {
			from, to = s.Old[0] == jump, s.New[0] == jump
		}
	}
	return from, to
}

func only(from, to bool, edit func([]image.Patch) []image.Patch) func([]image.Patch) []image.Patch {
	return func(steps []image.Patch) []image.Patch {
		if a, b := change(steps); a != from || b != to {
			return steps
		}
		return edit(steps)
	}
}

func inserting(edit func([]image.Patch) []image.Patch) func([]image.Patch) []image.Patch {
	return only(false, true, edit)
}

func replacing(edit func([]image.Patch) []image.Patch) func([]image.Patch) []image.Patch {
	return only(true, true, edit)
}

func deleting(edit func([]image.Patch) []image.Patch) func([]image.Patch) []image.Patch {
	return only(true, false, edit)
}

// swapped exchanges the first and the last step; the wait stays between them.
func swapped(steps []image.Patch) []image.Patch {
	last := len(steps) - 1
	steps[0], steps[last] = steps[last], steps[0]
	return steps
}

// waitLast puts the wait after everything else.
func waitLast(steps []image.Patch) []image.Patch {
	last := len(steps) - 1
	steps[last-1], steps[last] = steps[last], steps[last-1]
	return steps
}

func leavingOut(which func(*image.Patch) bool) func([]image.Patch) []image.Patch {
	return func(steps []image.Patch) (out []image.Patch) {
		for i := range steps {
			if !which(&steps[i]) && (steps[i].Kind != image.PatchWait || !which(&steps[steps[i].After])) {
				out = append(out, steps[i])
			}
		}
		return out
	}
}

func isWait(s *image.Patch) bool { return s.Kind == image.PatchWait }

func isPart(part image.PokePart) func(*image.Patch) bool {
	return func(s *image.Patch) bool { return s.Kind == image.PatchText && s.Part == part }
}

// expects makes the poke of the jump expect a nop.
func expects(steps []image.Patch) []image.Patch {
	steps[0].Old = [image.PokeSize]byte{0x0f, 0x1f, 0x44, 0x00, 0x00}
	return steps
}

// leads moves where the jump goes, both before and after.
func leads(by int32) func([]image.Patch) []image.Patch {
	return func(steps []image.Patch) []image.Patch {
		for i := range steps {
			if s := &steps[i]; isPart(image.PartJump)(s) {
				for _, insn := range []*[image.PokeSize]byte{&s.Old, &s.New} {
					if insn[0] == jump {
						rel := insn[1:]
						binary.LittleEndian.PutUint32(rel, binary.LittleEndian.Uint32(rel)+uint32(by))
					}
				}
			}
		}
		return steps
	}
}

// firstSite pokes no other site.
func firstSite(steps []image.Patch) []image.Patch {
	if len(steps) > 0 && steps[0].Site > 0 {
		return nil
	}
	return steps
}
