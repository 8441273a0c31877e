// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/kernels"
)

// releases are the kernels that there are targets for, newest first.
var releases = [][2]int{{7, 2}, {6, 18}, {6, 12}, {6, 1}, {5, 10}}

// Target returns the target that the capture's header calls for: jit.TargetFor, with the offsets in
// structures and layout of contexts that the kernel itself reported. A kernel between two that are known is taken for the
// older one, one that is newer than all for the newest; Source of the target then says so.
func (h *Header) Target() (*jit.Target, error) {
	t, err := h.target()
	if err != nil {
		return nil, err
	}
	if h.Offsets != nil {
		t.Offsets = *h.Offsets
	}
	if h.Context != nil {
		t.Context = kernels.NewContext(*h.Context)
	}
	return t, nil
}

func (h *Header) target() (*jit.Target, error) {
	major, minor, ok := release(h.Kernel.Release)
	for _, r := range releases {
		if !ok || major < r[0] || major == r[0] && minor < r[1] {
			continue
		}
		if major == r[0] && minor == r[1] {
			break
		}
		near := h.Kernel
		near.Release = fmt.Sprintf("%d.%d", r[0], r[1])
		t, err := jit.TargetFor(near)
		if err != nil {
			return nil, err
		}
		t.Source = fmt.Sprintf("%s, taken for kernel %s, which is not known", t.Source, h.Kernel.Release)
		t.Evidence = jit.BySource
		return t, nil
	}
	return jit.TargetFor(h.Kernel)
}

// release reads the first two numbers of uname -r.
func release(text string) (major, minor int, ok bool) {
	first, rest, found := strings.Cut(text, ".")
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	major, err1 := strconv.Atoi(first)
	minor, err2 := strconv.Atoi(rest[:end])
	return major, minor, found && err1 == nil && err2 == nil
}
