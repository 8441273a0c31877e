// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

#define _GNU_SOURCE
#include "processor.h"

#include <stdlib.h>
#include <sys/mman.h>

static const int gprs[16] = {
	UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX, UC_X86_REG_RSP, UC_X86_REG_RBP,
	UC_X86_REG_RSI, UC_X86_REG_RDI, UC_X86_REG_R8, UC_X86_REG_R9, UC_X86_REG_R10, UC_X86_REG_R11,
	UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15,
};

// tcp_new allocates a processor without an engine. NULL if memory is short.
tcp *tcp_new(uint64_t arena_size)
{
	tcp *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->arena_size = arena_size;
	p->arena = mmap(NULL, arena_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p->arena == MAP_FAILED) {
		free(p);
		return NULL;
	}
	return p;
}

// tcp_free releases everything but the engine, which must have been closed before.
void tcp_free(tcp *p)
{
	munmap(p->arena, p->arena_size);
	free(p->begun);
	free(p);
}

// tcp_watch notes from now on which blocks of some code are begun; a size of 0 ends that.
int tcp_watch(tcp *p, uint64_t from, uint64_t size)
{
	uint8_t *begun = calloc(1, size / 8 + 1);

	if (!begun)
		return UC_ERR_NOMEM;
	free(p->begun);
	p->begun = begun;
	p->watch_from = from;
	p->watch_size = size;
	return 0;
}

static void on_trap(uc_engine *uc, uint32_t intno, void *user)
{
	tcp *p = user;

	p->intno = (int)intno;
	uc_reg_read(uc, UC_X86_REG_CR2, &p->cr2);
	uc_emu_stop(uc);
}

static void on_block(uc_engine *uc, uint64_t addr, uint32_t size, void *user)
{
	tcp *p = user;
	uint64_t off = addr - p->watch_from;

	if (__builtin_expect(off < p->watch_size, 0))
		p->begun[off / 8] |= 1 << off % 8;
	if (__builtin_expect(++p->blocks > p->max_blocks, 0)) {
		p->over = 1;
		uc_emu_stop(uc);
	}
}

int tcp_attach(tcp *p, uc_engine *uc)
{
	int err;

	p->uc = uc;
	err = uc_mem_map_ptr(uc, 0, p->arena_size, UC_PROT_ALL, p->arena);
	if (!err)
		err = uc_hook_add(uc, &p->intr_hook, UC_HOOK_INTR, (void *)on_trap, p, 1, 0);
	if (!err)
		err = uc_hook_add(uc, &p->block_hook, UC_HOOK_BLOCK, (void *)on_block, p, 1, 0);
	return err;
}

int tcp_flush(tcp *p) { return uc_ctl_flush_tlb(p->uc); }
int tcp_remove_cache(tcp *p, uint64_t begin, uint64_t end) { return uc_ctl_remove_cache(p->uc, begin, end); }

// tcp_run executes from rip with the registers until the code halts, faults or has used its budget.
int tcp_run(tcp *p, uint64_t rip, uint64_t *regs, uint64_t *end)
{
	int ids[16], err;
	void *at[16];

	for (int i = 0; i < 16; i++) {
		ids[i] = gprs[i];
		at[i] = &regs[i];
	}
	p->intno = -1;
	p->over = 0;
	uc_reg_write_batch(p->uc, ids, (void *const *)at, 16);
	err = uc_emu_start(p->uc, rip, 0, 0, 0);
	uc_reg_read_batch(p->uc, ids, at, 16);
	uc_reg_read(p->uc, UC_X86_REG_RIP, end);
	return err;
}
