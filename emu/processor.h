// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

// A processor that runs compiled C code at kernel addresses, without anything that records.

#ifndef TCSIM_EMU_PROCESSOR_H
#define TCSIM_EMU_PROCESSOR_H

#include <stdint.h>
#include <unicorn/unicorn.h>

typedef struct {
	uc_engine *uc;
	uint8_t *arena;
	uint64_t arena_size;
	uint64_t blocks, max_blocks; // translation blocks begun, and how many may be
	uint64_t cr2, error;         // of a page fault
	int intno;                   // of the exception that ended the run, -1 if none did
	int over;                    // the budget did
	uc_hook intr_hook, block_hook;
	uint64_t watch_from, watch_size; // code of which it is noted what is begun
	uint8_t *begun;                  // a bit for each byte of it
} tcp;

tcp *tcp_new(uint64_t arena_size);
int tcp_attach(tcp *p, uc_engine *uc);
void tcp_free(tcp *p);
int tcp_run(tcp *p, uint64_t rip, uint64_t *regs, uint64_t *end);
int tcp_watch(tcp *p, uint64_t from, uint64_t size);
int tcp_flush(tcp *p);
int tcp_remove_cache(tcp *p, uint64_t begin, uint64_t end);

#endif
