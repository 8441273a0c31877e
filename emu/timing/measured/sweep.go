// SPDX-License-Identifier: GPL-2.0-only

package measured

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/emu/timing"
)

// Sweep is what values of one parameter do to the error of a core; its JSON form carries the same values
// as the text.
type Sweep struct {
	Schema string       `json:"schema"` // "tcsim.sweep/v1"
	Core   string       `json:"core"`
	Param  timing.Param `json:"parameter"`
	Points []SweepItem  `json:"points"`
	// Interrupted says that values are missing.
	Interrupted bool `json:"interrupted,omitempty"`
}

// Parameters are those of a core, as tcsim cycles --sweep list has them.
type Parameters struct {
	Schema     string         `json:"schema"` // "tcsim.parameters/v1"
	Parameters []timing.Param `json:"parameters"`
}

// SweepItem is one value.
type SweepItem struct {
	Value string `json:"value"`
	// MAPE is the error on all sequences, Fitted and HeldOut that on those that parameters may be fitted
	// to and on the others, in percent.
	MAPE    float64 `json:"mape"`
	Fitted  float64 `json:"fitted_mape"`
	HeldOut float64 `json:"held_out_mape"`
	// Moved are the sequences whose prediction is another than with the present value.
	Moved []SweepMove `json:"moved"`
}

// SweepMove is a sequence that a parameter moves.
type SweepMove struct {
	Name string `json:"name"`
	// Predicted are cycles; Before and Error the signed errors in percent with the present value and
	// with this one.
	Predicted float64 `json:"predicted"`
	Before    float64 `json:"error_before_percent"`
	Error     float64 `json:"error_percent"`
}

// sweepMove is the smallest change of a prediction that counts as one, in percent.
const sweepMove = 0.5

// ErrSweep is wrapped by the errors of a parameter or a value that there is not.
var ErrSweep = errors.New("cannot sweep")

// TrySweep has measure predict all sequences with each value of a parameter, NAME=VALUE,... or NAME for those
// near its present one. If measure fails, values before that are returned with its error, nil if the present one failed.
func TrySweep(core *timing.Core, what string, measure func(*timing.Core) ([]Result, error)) (*Sweep, error) {
	path, list, given := strings.Cut(what, "=")
	params := core.Params()
	n := slices.IndexFunc(params, func(p timing.Param) bool { return p.Path == path })
	if n < 0 {
		return nil, fmt.Errorf("%w: no parameter %q; --sweep list lists them", ErrSweep, path)
	}
	values := params[n].Near()
	if given {
		values = strings.Split(list, ",")
	}
	var cores []*timing.Core
	for _, v := range values {
		c, err := core.With(path, v)
		if err != nil && given {
			return nil, fmt.Errorf("%w: %w", ErrSweep, err)
		}
		if err == nil {
			cores = append(cores, c)
		}
	}
	base, err := measure(core)
	if err != nil {
		return nil, err
	}
	var results [][]Result
	values = values[:0]
	for _, c := range cores {
		rs, err := measure(c)
		if err != nil {
			s := NewSweep(core, params[n], base, values, results)
			s.Interrupted = true
			return s, err
		}
		values, results = append(values, c.Params()[n].Value), append(results, rs)
	}
	return NewSweep(core, params[n], base, values, results), nil
}

// NewSweep compares the results of each value with those of the present one; all are of the same
// sequences in the same order.
func NewSweep(core *timing.Core, p timing.Param, base []Result, values []string, results [][]Result) *Sweep {
	s := &Sweep{Schema: "tcsim.sweep/v1", Core: core.Name, Param: p}
	for n, rs := range results {
		item := SweepItem{Value: values[n], Moved: []SweepMove{}}
		for _, sc := range Scores(rs) {
			switch sc.Kind {
			case "all":
				item.MAPE = sc.MAPE
			case kindFitted:
				item.Fitted = sc.MAPE
			case kindHeldOut:
				item.HeldOut = sc.MAPE
			}
		}
		for i, r := range rs {
			if b := base[i]; 100*math.Abs(r.Predicted-b.Predicted) > sweepMove*b.Predicted {
				item.Moved = append(item.Moved, SweepMove{r.Name, r.Predicted, b.Error, r.Error})
			}
		}
		slices.SortStableFunc(item.Moved, func(a, b SweepMove) int {
			x, y := math.Abs(math.Abs(a.Error)-math.Abs(a.Before)), math.Abs(math.Abs(b.Error)-math.Abs(b.Before))
			switch {
			case x > y:
				return -1
			case x < y:
				return 1
			}
			return strings.Compare(a.Name, b.Name)
		})
		s.Points = append(s.Points, item)
	}
	return s
}

// WriteText prints a table of values, then the sequences that each value moves.
func (s *Sweep) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "core %s, parameter %s: %s (%s)\n\n", s.Core, s.Param.Path, s.Param.Value, s.Param.Source)
	fmt.Fprintf(&b, "%8s %8s %8s %8s %6s\n", "value", "MAPE %", "fitted", "held out", "moved")
	for _, p := range s.Points {
		note := ""
		if p.Value == s.Param.Value {
			note = "  now"
		}
		fmt.Fprintf(&b, "%8s %8.2f %8.2f %8.2f %6d%s\n", p.Value, p.MAPE, p.Fitted, p.HeldOut, len(p.Moved), note)
	}
	for _, p := range s.Points {
		if len(p.Moved) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s = %s\n", s.Param.Path, p.Value)
		for _, m := range p.Moved {
			held := ""
			if HeldOut(m.Name) {
				held = "  held out"
			}
			fmt.Fprintf(&b, "  %-28s %10.2f %+8.1f %% -> %+.1f %%%s\n", m.Name, m.Predicted, m.Before, m.Error, held)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
