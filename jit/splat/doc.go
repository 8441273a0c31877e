// SPDX-License-Identifier: GPL-2.0-only

// Package splat reads what kernels print when something went wrong, as people paste it into mails: oops, soft
// lockup, RCU stall, panic, backtrace by NMI. Read finds the reports in a text, Analyse says what a report tells
// of BPF: functions, the tail call that the processor was in, the counter, and which tail call of how many it was.
// It goes by what the log has, and says what it has not. It must not run code.
//
//	log, err := splat.Read(text)
//	for i := range log.Reports {
//		a := splat.Analyse(&log.Reports[i])
//		a.Write(os.Stdout)
//	}
package splat
