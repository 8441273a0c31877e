// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"errors"
	"io/fs"
	"strings"
)

// BadInputs makes a row of each file that cannot be read, named by what its first mistake begins with; none of nil.
func BadInputs(err error) (rows []RunRow) {
	if err == nil {
		return nil
	}
	var joined interface{ Unwrap() []error }
	list := []error{err}
	if errors.As(err, &joined) {
		list = joined.Unwrap()
	}
	for _, e := range list {
		text := strings.TrimSpace(e.Error())
		if p := (*fs.PathError)(nil); errors.As(e, &p) {
			text = p.Path + ": " + p.Err.Error()
		}
		name, _, ok := strings.Cut(text, ":")
		if !ok || strings.ContainsAny(name, " \n") {
			name = "(bad input)"
		}
		rows = append(rows, RunRow{Scenario: name, Rejected: text})
	}
	return rows
}

// BadInput is a file that cannot be read, in JSON.
type BadInput struct {
	Scenario string `json:"scenario"`
	Rejected string `json:"rejected"`
}

// Rejected are rows of BadInputs in JSON.
func Rejected(rows []RunRow) (out []BadInput) {
	for _, r := range rows {
		out = append(out, BadInput{r.Scenario, r.Rejected})
	}
	return out
}
