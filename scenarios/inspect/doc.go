// SPDX-License-Identifier: GPL-2.0-only

// Package inspect looks at the code that a target's JIT made of a scenario, whether or not a run reaches it: tail calls,
// entries and calls against what the design demands, and the code of a kernel's source against what is known of that
// kernel. What it cannot compare it names.
//
// It owns the verdict on code that nothing executed. It must not run anything.
package inspect
