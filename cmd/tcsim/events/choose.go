// SPDX-License-Identifier: GPL-2.0-only

package events

import (
	"fmt"
	"maps"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/inputs"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/nearest"
)

// Flags choose which events are shown.
func Flags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "first", Usage: "show only this many events from the beginning, 0 or left out for all"},
		&cli.IntFlag{Name: "last", Usage: "show only this many events from the end, 0 or left out for all"},
		&cli.StringSliceFlag{Name: "only", Usage: "show only these kinds: entry, call, helper, return, tailcall, refused, poke, hook"},
	}
}

// Choice is what Flags ask for.
type Choice struct {
	kinds       []trace.Kind // nil for all
	first, last int          // from the ends, 0 without a bound
}

// Chosen reads Flags.
func Chosen(cmd *cli.Command) (Choice, error) {
	c := Choice{first: cmd.Int("first"), last: cmd.Int("last")}
	var err error
	if c.kinds, err = kinds(cmd.StringSlice("only")); err != nil {
		return c, err
	}
	if c.first < 0 || c.last < 0 {
		return c, inputs.Bad(fmt.Errorf("--first and --last: expected numbers of events from 0, found %d", min(c.first, c.last)))
	}
	return c, nil
}

// kinds returns those with these names, nil for all.
func kinds(names []string) ([]trace.Kind, error) {
	all := map[string]trace.Kind{}
	for _, k := range trace.Kinds() {
		all[k.String()] = k
	}
	var out []trace.Kind
	for _, n := range names {
		k, ok := all[n]
		if !ok {
			return nil, inputs.Bad(fmt.Errorf("--only: no kind of event %q; expected entry, call, helper, return, tailcall, refused, poke or hook%s",
				n, nearest.DidYouMean(n, slices.Sorted(maps.Keys(all)))))
		}
		out = append(out, k)
	}
	return out, nil
}

// of reports whether events of a kind are chosen.
func (c *Choice) of(k trace.Kind) bool { return len(c.kinds) == 0 || slices.Contains(c.kinds, k) }

// at reports whether number i, from 0, of n events of the chosen kinds is chosen.
func (c *Choice) at(i, n int) bool {
	switch {
	case c.first > 0 && i < c.first, c.last > 0 && i >= n-c.last:
		return true
	}
	return c.first == 0 && c.last == 0
}

// Pick returns the events that are chosen.
func (c *Choice) Pick(events []trace.Event) []trace.Event {
	n := 0
	for i := range events {
		if c.of(events[i].Kind) {
			n++
		}
	}
	var out []trace.Event
	k := 0
	for i := range events {
		if !c.of(events[i].Kind) {
			continue
		}
		if c.at(k, n) {
			out = append(out, events[i])
		}
		k++
	}
	return out
}
