// SPDX-License-Identifier: GPL-2.0-only

package source

import "github.com/tcsim/tcsim/jit"

// CompareWith has the JIT's code compared with our own of a target, as that of an unedited release.
func (j *JIT) CompareWith(t *jit.Target, release string) { j.twin = &twin{release: release, target: t} }

// Compared reports whether the JIT's code is compared with our own.
func (j *JIT) Compared() bool { return j.twin != nil }
