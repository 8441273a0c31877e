// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"fmt"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
)

// Listed returns the programs of scenario i of a capture with their frames, sites and BPF instructions, as the kernel
// had them in a state. It errors if the kernel refused one, or if code does not decode.
func Listed(src *capture.Source, t *jit.Target, i int, state capture.State) (name string, images []*image.Image, err error) {
	sc, err := src.Scenario(i)
	if err != nil {
		return "", nil, err
	}
	c := &Facts{Scenario: sc, Target: t, header: &src.Header, symbols: &src.Symbols, decoded: decoder{sc: sc}, src: src}
	for p := range sc.Progs {
		if why := sc.Progs[p].LoadError; why != "" {
			return sc.Name, nil, fmt.Errorf("%s:%d: %s: the kernel refused program %s: %s", src.Name, sc.Line, sc.Name, sc.Progs[p].Name, why)
		}
		img, err := c.image(p, state)
		if err != nil {
			return sc.Name, nil, fmt.Errorf("%s:%d: %s: %w", src.Name, sc.Line, sc.Name, err)
		}
		images = append(images, img)
	}
	if len(images) == 0 {
		return sc.Name, nil, fmt.Errorf("%s:%d: %s: %s", src.Name, sc.Line, sc.Name, sc.Error)
	}
	return sc.Name, images, nil
}
