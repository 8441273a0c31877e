// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"slices"

	"github.com/tcsim/tcsim/jit/image"
)

// Filled returns the images with their code as it is in memory where the timeline stands: after Begin, with prog arrays
// filled and trampolines attached as the scenario begins.
func (s *Session) Filled() ([]*image.Image, error) {
	var out []*image.Image
	for _, img := range s.c.Images {
		now := *img
		now.Funcs = slices.Clone(img.Funcs)
		for i := range now.Funcs {
			f := &now.Funcs[i]
			code, err := s.m.Bytes(f.Addr, len(f.Code))
			if err != nil {
				return nil, err
			}
			f.Code = code
		}
		out = append(out, &now)
	}
	return out, nil
}
