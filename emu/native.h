// SPDX-License-Identifier: GPL-2.0-only

// Runs code on this processor and times it by the time stamp counter.

#ifndef TCSIM_EMU_NATIVE_H
#define TCSIM_EMU_NATIVE_H

#include <stdint.h>

// One repetition, laid out as timing.HostRep.
typedef struct {
	uint64_t chain[2], nops[2], part, full;
} tcs_native_rep;

// What is run: code at code_at, which is entered with regs (by register number, r12 replaced) and
// leaves by ret; two regions of span bytes, zero but for words (pairs of address and value).
typedef struct {
	const uint8_t *code;
	uint64_t code_at, code_len, region[2], span;
	const uint64_t *words;
	uint64_t nwords;
	uint64_t regs[16];
	uint64_t part, full; // trips of the two runs of a repetition
} tcs_native_job;

// tcs_native_usable says what is missing here to trust a measurement, NULL if nothing is.
const char *tcs_native_usable(void);

// tcs_native_run fills n repetitions. It returns what was refused (errno in *err), NULL if nothing
// was. The calling thread stays on one processor and takes no signals until it is done; a signal
// that the code itself raises ends the process.
const char *tcs_native_run(const tcs_native_job *job, tcs_native_rep *reps, int n, int *err);

// tcs_native_name stores the processor's name, 48 characters and a NUL.
void tcs_native_name(char name[49]);

// tcs_native_family is the family of an AMD processor, 0 of others.
int tcs_native_family(void);

#endif
