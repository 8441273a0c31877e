// SPDX-License-Identifier: GPL-2.0-only

// Package interp is a reference interpreter of eBPF: the oracle against which emulated machine
// code is compared. It owns the meaning of BPF instructions, tail calls, maps and helpers and
// shares no code with emission: of jit it uses the plain data types only (Insn, Program, Map),
// never Analyse or Compile, and it must not import emu, which needs cgo.
//
// Programs are taken in submitted form: helper ids and distances in call instructions, map indexes
// in ld_imm64, and context accesses at the offsets of the user-space structures (__sk_buff,
// xdp_md). A Machine holds programs and maps; maps keep their contents from one Run to the next
// until Reset.
//
//	m, err := interp.New(interp.Config{
//		Programs:   []interp.Program{{Program: entry}, {Program: leaf}},
//		ProgArrays: []interp.Slot{{Map: 1, Key: 0, Prog: 1}},
//	})
//	res, err := m.Run(0, interp.SKB(packet))
//	fmt.Println(uint32(res.Return), len(res.Taken), res.Refused[interp.RefusedLimit])
//
// # Memory
//
// Pointers are plain 64-bit numbers in kernel-like ranges, so programs can store, load, subtract
// and compare them. Every access is checked against the regions that exist: the BPF stacks of
// live frames (512 bytes each, with gaps between them), the values of maps, the context and the
// packet. What lies outside ends the run with a *Fault. Reads of stack bytes that were never written
// give zero and are counted in Result.Uninit, because machine code gives whatever was there.
//
// # Tail calls
//
// The rules are one counter per invocation and the parameters of Rules: the limit, whether an empty
// slot uses up budget (kernels up to 6.11) and, to explain what those kernels really did, whether
// each frame has its own copy of the counter.
//
// # Comparing with another engine
//
// Return value, Entries of each map, Taken and the Snapshots of an Observer are what a correct
// engine must reproduce, given the same Config.Outside and Layout. Stack bytes that are not in
// Snapshot.Written, R0 after a refused tail call and pointers to stacks, which Locate recognises,
// are up to the engine.
package interp
