// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/tcsim/tcsim/jit/splat"
	"github.com/tcsim/tcsim/scenarios/locate"
)

// Splat is the object of tcsim splat.
type Splat struct {
	Notes   []string      `json:"notes,omitempty"`
	Reports []SplatReport `json:"reports"`
	Schema  Schema        `json:"schema"`
}

// SplatReport is one report of the log, with its moment in a run if that was asked for.
type SplatReport struct {
	splat.Facts
	Elsewhere string        `json:"elsewhere,omitempty"` // why it is not of the scenario
	Located   *locate.Found `json:"-"`
	Pace      *locate.Pace  `json:"pace,omitempty"`
}

// MarshalJSON adds the moment.
func (r SplatReport) MarshalJSON() ([]byte, error) {
	type plain struct {
		splat.Facts
		Elsewhere string        `json:"elsewhere,omitempty"`
		Pace      *locate.Pace  `json:"pace,omitempty"`
		Run       *locate.Facts `json:"run,omitempty"`
	}
	p := plain{Facts: r.Facts, Elsewhere: r.Elsewhere, Pace: r.Pace}
	if r.Located != nil {
		p.Run = r.Located.Facts()
	}
	return json.Marshal(p)
}

// SplatText prints what the reports of a log tell.
func SplatText(w io.Writer, s *Splat) error {
	for i := range s.Reports {
		r := &s.Reports[i]
		if len(s.Reports) > 1 {
			if i > 0 {
				fmt.Fprintln(w)
			}
			fmt.Fprintf(w, "== Report %d of %d, line %d\n", i+1, len(s.Reports), r.Line)
		}
		if err := r.Write(w); err != nil {
			return err
		}
		switch {
		case r.Located != nil:
			fmt.Fprintln(w)
			if err := r.Located.Write(w); err != nil {
				return err
			}
		case r.Elsewhere != "":
			fmt.Fprintf(w, "\n%s\n", r.Elsewhere)
		}
		if r.Pace != nil {
			fmt.Fprintln(w)
			if err := r.Pace.Write(w); err != nil {
				return err
			}
		}
	}
	for _, n := range s.Notes {
		fmt.Fprintln(w, strings.Join(Fold("note: "+n, Width-4), "\n    "))
	}
	return nil
}
