// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

#define _GNU_SOURCE
#include "engine.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

static const int gprs[16] = {
	UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX, UC_X86_REG_RSP, UC_X86_REG_RBP,
	UC_X86_REG_RSI, UC_X86_REG_RDI, UC_X86_REG_R8, UC_X86_REG_R9, UC_X86_REG_R10, UC_X86_REG_R11,
	UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15,
};

// batch calls a register batch function of the engine on 16 consecutive values.
static void batch(uc_err (*f)(uc_engine *, int *, void **, int), uc_engine *uc, uint64_t *r)
{
	int ids[16];
	void *p[16];

	for (int i = 0; i < 16; i++) {
		ids[i] = gprs[i];
		p[i] = &r[i];
	}
	f(uc, ids, p, 16);
}

static uc_err write_batch(uc_engine *uc, int *ids, void **p, int n)
{
	return uc_reg_write_batch(uc, ids, (void *const *)p, n);
}

static uc_err read_batch(uc_engine *uc, int *ids, void **p, int n)
{
	return uc_reg_read_batch(uc, ids, p, n);
}

// readable copies process memory without faulting on a wrong address.
static int readable(void *dst, const void *src, size_t n)
{
	struct iovec l = {dst, n}, r = {(void *)src, n};

	return process_vm_readv(getpid(), &l, 1, &r, 1, 0) == (ssize_t)n;
}

// follows returns where in the n bytes at from, of which body is a copy, the registers are, which hold want: what only looks
// like them, a copy somewhere, does not follow when they are written. NULL if they are not there.
static uint64_t *follows(uc_engine *uc, const uint64_t *want, uint64_t *from, const uint8_t *body, size_t n)
{
	uint64_t other[16], check[16];

	for (int i = 0; i < 16; i++)
		other[i] = ~want[i] + (uint64_t)i;
	for (const uint8_t *p = body, *at; (at = memmem(p, n - (size_t)(p - body), want, sizeof check)); p = at + 1) {
		uint64_t *here = from + (at - body) / 8;

		if ((at - body) & 7)
			continue;
		batch(write_batch, uc, other);
		bool same = readable(check, here, sizeof check) && !memcmp(check, other, sizeof check);
		batch(write_batch, uc, (uint64_t *)want);
		if (same)
			return here;
	}
	return NULL;
}

// find_env looks for the register file of the engine: hooks read and write it there some twenty
// times faster than by the API. A pattern is written by the API and searched for after every
// pointer in the first page of the engine's structure. The engine stores all registers there
// before it calls a hook. NULL if it is not found: then the API serves.
static uint64_t *find_env(uc_engine *uc)
{
	enum { HEAD = 4096, BODY = 128 * 1024 };
	uint64_t head[HEAD / 8], want[16], zero[16] = {0}, *found = NULL;
	uint8_t *body = malloc(BODY);

	for (int i = 0; i < 16; i++)
		want[i] = 0x7c51a9e3d4b60000ull + (uint64_t)i * 0x0101010101ull;
	batch(write_batch, uc, want);
	if (!body || !readable(head, uc, HEAD))
		memset(head, 0, HEAD);
	for (int i = 0; i < HEAD / 8 && !found && body; i++) {
		if (head[i] < 0x10000 || head[i] & 7)
			continue;
		for (size_t n = BODY; n >= 16384; n /= 2) {
			if (!readable(body, (void *)head[i], n))
				continue;
			found = follows(uc, want, (uint64_t *)head[i], body, n);
			break;
		}
	}
	free(body);
	batch(write_batch, uc, zero);
	return found;
}

static inline uint64_t *regs(tcs *m)
{
	if (__builtin_expect(m->env != NULL, 1))
		return m->env;
	batch(read_batch, m->uc, m->regbuf);
	return m->regbuf;
}

void tcs_get_regs(tcs *m, uint64_t *r) { memcpy(r, regs(m), 16 * sizeof *r); }

void tcs_set_regs(tcs *m, const uint64_t *r)
{
	if (m->env) {
		memcpy(m->env, r, 16 * sizeof *r);
		return;
	}
	memcpy(m->regbuf, r, sizeof m->regbuf);
	batch(write_batch, m->uc, m->regbuf);
}

// tcs_new allocates a machine without an engine. NULL if memory is short.
tcs *tcs_new(uint64_t arena_size)
{
	tcs *m = calloc(1, sizeof *m);

	if (!m)
		return NULL;
	m->arena_size = arena_size;
	m->arena = mmap(NULL, arena_size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->arena == MAP_FAILED)
		m->arena = NULL;
	m->ring = malloc(TCS_RETIRED_CAP * sizeof *m->ring);
	m->sites = malloc(TCS_SITE_CAP * sizeof *m->sites);
	m->npages = 64;
	m->pages = calloc(m->npages, sizeof *m->pages);
	if (!m->arena || !m->ring || !m->sites || !m->pages) {
		tcs_free(m);
		return NULL;
	}
	return m;
}

// tcs_attach gives the machine a new engine, without recording hooks. The one before must have
// been closed.
int tcs_attach(tcs *m, uc_engine *uc)
{
	m->uc = uc;
	m->block_hook = m->code_hook = 0;
	m->nmark_hooks = m->nquirk_hooks = 0;
	m->level = TCS_LEVEL_NONE;
	memset(m->tlb, 0, sizeof m->tlb);
	int err = uc_mem_map_ptr(uc, 0, m->arena_size, UC_PROT_ALL, m->arena);
	if (err)
		return err;
	m->env = find_env(uc);
	return tcs_hooks(m);
}

// tcs_free releases everything but the engine, which must have been closed before.
void tcs_free(tcs *m)
{
	if (m->pages)
		tcs_forget_all(m);
	if (m->arena)
		munmap(m->arena, m->arena_size);
	free(m->pages);
	free(m->ring);
	free(m->sites);
	free(m->marks);
	free(m->mark_hooks);
	free(m->quirk_hooks);
	free(m);
}

int tcs_remove_cache(tcs *m, uint64_t begin, uint64_t end)
{
	return uc_ctl_remove_cache(m->uc, begin, end);
}

// tcs_flush_tlb forgets address translations, the engine's and ours.
int tcs_flush_tlb(tcs *m)
{
	memset(m->tlb, 0, sizeof m->tlb);
	return uc_ctl_flush_tlb(m->uc);
}

// walk translates by the guest's page tables; NULL if the page is not mapped.
static uint8_t *walk(tcs *m, uint64_t addr)
{
	const uint64_t frame = 0x000ffffffffff000ull;
	uint64_t table = m->root, entry;

	for (int shift = 39; shift >= 12; shift -= 9) {
		memcpy(&entry, m->arena + table + (addr >> shift & 511) * 8, 8);
		table = entry & frame;
		if (!(entry & 1) || table >= m->arena_size)
			return NULL;
	}
	return m->arena + table;
}

// tcs_host returns where a guest byte is in host memory, valid to the end of its page.
uint8_t *tcs_host(tcs *m, uint64_t addr)
{
	uint64_t vpn = addr >> 12;
	uint32_t i = vpn & (TCS_TLB - 1);

	if (__builtin_expect(m->tlb[i].vpn != vpn || !m->tlb[i].host, 0)) {
		m->tlb[i].vpn = vpn;
		m->tlb[i].host = walk(m, addr);
		if (!m->tlb[i].host)
			return NULL;
	}
	return m->tlb[i].host + (addr & 4095);
}
