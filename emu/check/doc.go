// SPDX-License-Identifier: GPL-2.0-only

// Package check judges a run: it follows the recorded stream and names the first invariant that
// the code broke.
//
//	ck := check.New(code, trace.Config{}, check.Config{Writable: regions})
//	for batch := range machine {
//		if ck.Consume(batch) { // true: an invariant is broken, or the recorder has seen enough
//			break
//		}
//	}
//	ck.Finish()
//	if v := ck.Violation(); v != nil {
//		fmt.Println(v)
//	}
//	fmt.Print(trace.Text(code, ck.Recorder().Events()))
//
// What each invariant rests on:
//
//   - limit: the tail calls taken, as events; and, if nothing else is broken, a refusal by the limit before as
//     many were tried. Both recording levels.
//   - balance: rsp and the return address at each return against what the call pushed; at the jump
//     of a taken tail call the landing invariant of the design, see below; rsp where a refused tail
//     call goes on, and at calls against the frame as described, where it also is a multiple of 8, which
//     code of the kernel counts on. Both levels. Where exactly a tail call lands is only seen at the retired level.
//   - callee-saved: the registers at a return, and at a tail call that has taken its frame down,
//     against those at the call; where a refused tail call goes on against those at its start,
//     which must be marked (trace.MarkStart).
//     That the BPF stack of a caller survives is a matter of stores: see frame.
//   - frame: every store, from its address and from whose code it is. Retired level only. A program
//     may write the BPF stack of any live frame, because it may have been given a pointer; code of
//     the design may write no BPF stack at all. So a caller's stack can only change through a
//     pointer, and a saved register, return address or counter only by the design's own code.
//   - stack-budget: the lowest rsp seen or, where a function's frame is described, reached by the
//     frame as a whole. Both levels, and faults in the guard pages.
//   - pokes: that control does not fall through a frame that has been taken down. Both levels.
//   - fault: what the machine reports through Fault, flags that the kernel does not allow where it is
//     entered included; a call into the middle of a function; and, of kernels with IBT, an indirect tail
//     call by a jump that lands where is no endbr64, seen at the retired level only.
//   - backtrace: at each call rbp must be where the frame's saved rbp lies, directly below the return
//     address. By induction the chain then leads to the outside caller: that the word there is the
//     caller's rbp is shown at the retired level by the push that wrote it (frame forbids other
//     stores), and at both levels by rbp at the return. Memory is not read: a batch is seen when the
//     machine has gone on already.
//   - below-rsp: that nothing is read which lies below rsp, or was written there, because an interrupt
//     may come at any moment. rsp at each instruction follows from the code; the reads are those of
//     the design that go through tail_call_cnt_ptr, and all once something was written below rsp.
//     Such a run goes on, since no interrupt came: Latent, which counts if nothing else is broken.
//     Retired level only; not where a frame is handed over as a whole.
//   - helper-clobber: the machine's helper stubs leave junk in every caller-saved register. A design
//     that relies on one hands the junk over in rax instead of the counter, which is seen at the next
//     call or tail call and reported under this name. A program value kept in such a register shows
//     as broken semantics or as a fault.
//
// The landing invariant: a design that unwinds leaves with rsp == rbp, the caller's rbp at [rbp] and
// the return address at [rbp+8], or with rsp lower where what the target's prologue does before its landing
// is left in place (image.Frame.Kept). A design in which a tail call hands over the whole frame
// (image.Frame.Reused) leaves with rsp and rbp as they are in the body.
//
// The package must not import the engine.
package check
