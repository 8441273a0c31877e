// SPDX-License-Identifier: GPL-2.0-only

// Package profile writes what a run cost, and what it did, for tools that draw that: profiles for go tool pprof
// and flame graphs, and the calls over time for Perfetto and the like.
//
//	p, err := profile.Of("hierarchy on 6.1", run, invocation, core, warm)
//	err = p.WritePProf(w)
//
// The profile's format is that of github.com/google/pprof (proto/profile.proto), whose code has a licence that cannot be
// linked with the engine: what is needed of it is written here.
package profile
