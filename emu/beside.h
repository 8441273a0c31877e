// SPDX-License-Identifier: GPL-2.0-only

// Runs single instructions on this processor, to be compared with the engine.

#ifndef TCSIM_EMU_BESIDE_H
#define TCSIM_EMU_BESIDE_H

#include <stdint.h>

enum { TCS_WINDOW = 256 };

// The state of a processor before and after code: registers by number, memory in a window.
typedef struct {
	uint64_t regs[16];
	uint64_t flags, rip;
	int64_t fault; // vector of the exception, -1 if none
	uint8_t window[TCS_WINDOW];
} tcs_cpu;

// tcs_beside_map maps code_len bytes for code and data_len for data at fixed addresses. It
// returns what was refused (errno in *err), NULL if nothing was.
const char *tcs_beside_map(uint64_t code_at, uint64_t code_len, uint64_t data_at, uint64_t data_len, int *err);
void tcs_beside_unmap(uint64_t code_at, uint64_t code_len, uint64_t data_at, uint64_t data_len);

// tcs_beside_put stores n bytes there.
void tcs_beside_put(uint64_t at, const void *bytes, uint64_t n);

// tcs_beside_exit is what code has to jump to at its end.
uint64_t tcs_beside_exit(void);

// tcs_beside_run executes code at in->rip for each of n states, with the window at an address.
const char *tcs_beside_run(const tcs_cpu *in, tcs_cpu *out, int n, uint64_t window_at, uint64_t gs_base,
			   uint64_t code_at, uint64_t code_len);

#endif
