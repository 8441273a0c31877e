// SPDX-License-Identifier: GPL-2.0-only

// Package gdb is the server's side of the remote serial protocol, which gdb and lldb speak (GDB manual,
// appendix E): packets, and a server over whatever implements Machine.
//
//	err := gdb.Serve(ctx, conn, machine)
//
// Machine is one processor with one thread, which goes forward and back and cannot be written to. The
// package knows nothing of emulators and must not import any. Nothing that a client sends makes it panic.
package gdb
