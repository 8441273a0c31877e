// SPDX-License-Identifier: GPL-2.0-only

// Package explore enumerates the ways in which a map update on one processor can fall between the
// instructions that another one executes.
//
// An update is a Script: steps in a fixed order, each of which stores something, or waits. A
// schedule says for each step after how many instructions of the run it happens. It ends with the
// run, by a return or by a broken invariant; steps that are left then follow in one way.
//
// The schedules are far too many to execute (5 instructions and 7 steps make 792, 100 and 14 some
// 10^17), and nearly all are alike: a step commutes with every instruction that does not read what the step
// stores. So schedules are put into classes by what the instructions that do read it find there, and
// one schedule of each class is executed. This is a partial order reduction:
//
//   - A store of code matters to an instruction that is fetched from the bytes stored to, the store
//     of a pointer to one that loads it (Touch). All other instructions do the same before and after
//     the step, so the two can change places.
//   - What a touching instruction finds depends only on the number of steps done, the version. Versions
//     in which it finds the same are one choice. For patched code "the same" means that control goes
//     on at the same address: of a nop, a jump and a breakpoint with its handler nothing else remains.
//
// How many schedules a class stands for is counted exactly: the number of ways to place the steps
// so that each touching instruction finds the version that it found.
//
// A wait for a grace period is two steps: it begins, and it ends. It cannot end while an invocation
// runs that had begun before the wait began (synchronize_rcu). An invocation that began later does
// not hold it up.
//
// The package executes nothing itself and needs no engine: see Machine.
package explore
