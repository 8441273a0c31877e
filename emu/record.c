// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

// The hooks. At retired level one code hook sees every instruction. At sites level one block hook
// sees every translation block: a marked branch, which always ends a block, is recorded when the
// next block begins, its registers being those of that moment but for rsp; other marked
// instructions have code hooks of their own.

#include "engine.h"

#include <stdlib.h>
#include <string.h>

#include "_cgo_export.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

static inline uint64_t *regs(tcs *m)
{
	if (unlikely(!m->env)) {
		tcs_get_regs(m, m->regbuf);
		return m->regbuf;
	}
	return m->env;
}

void tcs_stop(tcs *m, int reason)
{
	if (!m->reason)
		m->reason = reason;
	m->go = 0;
	uc_emu_stop(m->uc);
}

// tcs_halt asks a running engine to stop; any thread may call it.
void tcs_halt(tcs *m)
{
	m->cancel = 1;
	m->go = 0;
	uc_emu_stop(m->uc);
}

// insn_at is tcs_insn_at for hooks.
static inline tcs_insn *insn_at(tcs *m, uint64_t addr)
{
	if (unlikely(m->recent_page.vpn != addr >> 12)) {
		m->recent_page.insn = tcs_insn_at(m, addr & ~4095ull);
		m->recent_page.vpn = addr >> 12;
	}
	return &m->recent_page.insn[addr & 4095];
}

// tcs_drain hands both rings to Go.
int tcs_drain(tcs *m)
{
	int stop = tcsDrain(m->handle);

	if (m->n)
		m->prev = m->ring[m->n - 1].rip;
	m->base += m->n;
	m->events += m->nsites;
	m->n = 0;
	m->nsites = 0;
	if (stop)
		tcs_stop(m, TCS_STOP_OBSERVER);
	return !stop;
}

static inline uint64_t min(uint64_t a, uint64_t b) { return a < b ? a : b; }

// room is called at retired level when n has come to stop_n. It makes room for one more record,
// or stops the run.
static int room(tcs *m)
{
	uint64_t seq = m->base + m->n;

	if (m->cancel)
		tcs_stop(m, TCS_STOP_CANCEL);
	else if (seq >= m->stop_seq)
		tcs_stop(m, TCS_STOP_SEQ);
	else if (seq >= m->max_insns)
		tcs_stop(m, TCS_STOP_INSNS);
	else if (m->n < TCS_RETIRED_CAP || tcs_drain(m)) {
		m->stop_n = min(TCS_RETIRED_CAP, min(m->stop_seq, m->max_insns) - m->base);
		return 1;
	}
	return 0;
}

// tcs_effective is the address that an instruction accesses.
uint64_t tcs_effective(tcs *m, const tcs_insn *e, uint64_t addr)
{
	const uint64_t *r = regs(m);
	uint64_t ea = (uint64_t)(int64_t)e->disp;

	if (likely(e->base < 16))
		ea += r[e->base];
	else if (e->base == TCS_RIP)
		ea += addr + e->len;
	if (e->index != TCS_NOREG)
		ea += r[e->index & 15] << (e->index >> 4);
	if (e->flags & TCS_ADDR32)
		ea = (uint32_t)ea;
	if (e->flags & TCS_GS)
		ea += m->gs_base;
	return ea;
}

// magnitude is the absolute value of a signed number.
static unsigned __int128 magnitude(__int128 v)
{
	return v < 0 ? -(unsigned __int128)v : (unsigned __int128)v;
}

// quotient is the number of bits of the quotient of a division by a register, 0 if it traps.
static uint64_t quotient(tcs *m, const tcs_insn *e)
{
	const uint64_t *r = regs(m);
	unsigned width = e->index & ~TCS_SIGNED, bits = 0;
	unsigned __int128 n = (unsigned __int128)r[2] << 64 | r[0], d = r[e->base & 15];

	if (width == 4) {
		n = (uint64_t)(uint32_t)r[2] << 32 | (uint32_t)r[0];
		d = (uint32_t)d;
	}
	if (e->index & TCS_SIGNED) {
		n = magnitude(width == 4 ? (__int128)(int64_t)n : (__int128)n);
		d = magnitude(width == 4 ? (__int128)(int32_t)d : (__int128)(int64_t)d);
	}
	if (!d)
		return 0;
	for (n /= d; n; n >>= 1)
		bits++;
	return bits <= 8 * width ? bits : 0;
}

// operand_of is what is recorded of an instruction's operand: its address, or how long a division takes.
static inline uint64_t operand_of(tcs *m, const tcs_insn *e, uint64_t addr)
{
	if (e->flags & TCS_MEM)
		return tcs_effective(m, e, addr);
	return e->flags & TCS_DIV ? quotient(m, e) : 0;
}

// known decodes an instruction if that has not been done. It returns 0 if the address is the end
// of the run, or undecodable.
static int known(tcs *m, uint64_t addr, tcs_insn *e)
{
	if (addr == m->exit_addr)
		return 0;
	if (!e->len && !(e->flags & TCS_BAD))
		tcsDecode(m->handle, addr, e);
	return !(e->flags & TCS_BAD);
}

// refuse ends the run at an instruction that is not known.
static void refuse(tcs *m, uint64_t addr)
{
	if (addr != m->exit_addr) {
		m->bad_addr = addr;
		tcs_stop(m, TCS_STOP_DECODE);
		return;
	}
	if (!m->reason)
		m->reason = TCS_STOP_EXIT;
	m->go = 0;
}

// slow looks at an instruction that is not ready: not decoded yet, undecodable, the end of the
// run, or the address to stop at. It returns 0 if the instruction must not be recorded.
static int slow(tcs *m, uint64_t addr, tcs_insn *e)
{
	if (!known(m, addr, e)) {
		refuse(m, addr);
		return 0;
	}
	if (addr == m->stop_addr && m->stop_hits) {
		if (--m->stop_hits)
			return 1;
		tcs_stop(m, TCS_STOP_ADDR);
		return 0;
	}
	for (uint32_t i = 0; i < m->nstops; i++)
		if (m->stops[i] == addr) {
			tcs_stop(m, TCS_STOP_ADDR);
			return 0;
		}
	e->flags |= TCS_READY;
	if (e->mark || e->quirk || e->flags & TCS_DIV || (e->flags & TCS_MEM &&
			(e->base > 15 || e->index != TCS_NOREG || e->flags & (TCS_GS | TCS_ADDR32))))
		e->flags |= TCS_SLOW;
	return 1;
}

// full_insn is the code hook with everything that can happen.
static __attribute__((noinline)) void full_insn(tcs *m, uint64_t addr)
{
	tcs_insn *e = insn_at(m, addr);
	uint64_t prev;

	if (m->keep)
		tcs_settle(m, addr);
	if (m->reason)
		return;
	if (m->n >= m->stop_n && addr != m->exit_addr && !room(m))
		return;
	if (!(e->flags & TCS_READY) && !slow(m, addr, e))
		return;
	if (e->mark && m->nsites == TCS_SITE_CAP) {
		// Drain before this instruction is recorded, so that its record stays in the ring.
		if (!tcs_drain(m))
			return;
		m->stop_n = min(TCS_RETIRED_CAP, min(m->stop_seq, m->max_insns) - m->base);
	}
	prev = m->n ? m->ring[m->n - 1].rip : m->prev;
	m->ring[m->n].rip = addr;
	m->ring[m->n++].ea = operand_of(m, e, addr);
	if (e->mark)
		tcs_site_record(m, addr, e, m->base + m->n - 1, prev, 0);
	if (e->quirk) {
		tcs_quirk(m, addr, e);
		if (m->keep)
			m->stop_n = m->n; // the next instruction must come here, too
	}
}

// on_insn does what full_insn does for instructions that are known and not marked, with no memory
// operand or one of base and displacement.
static void on_insn(uc_engine *uc, uint64_t addr, uint32_t size, void *user)
{
	tcs *m = user;
	const tcs_insn *e;
	tcs_retired *r;
	uint64_t ea = 0;

	if (unlikely(m->recent_page.vpn != addr >> 12 || m->n >= m->stop_n)) {
		full_insn(m, addr);
		return;
	}
	e = &m->recent_page.insn[addr & 4095];
	if (unlikely((e->flags & (TCS_READY | TCS_SLOW)) != TCS_READY || !m->env)) {
		full_insn(m, addr);
		return;
	}
	if (e->flags & TCS_MEM)
		ea = m->env[e->base] + (uint64_t)(int64_t)e->disp;
	r = &m->ring[m->n++];
	r->rip = addr;
	r->ea = ea;
}

// block decodes a translation block seen for the first time. It returns 0 if there is nothing to
// execute.
static int block(tcs *m, uint64_t addr, uint32_t size, tcs_insn *b)
{
	uint64_t at = addr, prev = addr;
	uint32_t count = 0;
	tcs_insn *e, *last = b;

	for (; at < addr + size; count++) {
		e = tcs_insn_at(m, at);
		if (!known(m, at, e))
			break;
		last = e;
		b->back = (uint8_t)(at - prev);
		prev = at;
		at += e->len;
	}
	if (!count) {
		refuse(m, addr);
		return 0;
	}
	b->last_len = last->len;
	if (at < addr + size && at != m->exit_addr)
		b->last_len |= TCS_LAST_BAD;
	else if (last->mark && last->flags & TCS_BRANCH)
		b->last_len |= TCS_LAST_MARKED;
	b->count = (uint16_t)count;
	b->size = (uint16_t)size;
	m->blocks = 1;
	return 1;
}

// retire accounts for the block before, which has been executed to its end, and records its last
// instruction if that is a marked branch.
static inline void retire(tcs *m)
{
	const tcs_insn *b = m->blk, *e;
	uint64_t last, prev;

	if (unlikely(!b))
		return;
	last = m->blk_addr + b->size - (b->last_len & TCS_LAST_LEN);
	m->seq += b->count;
	m->blk = NULL;
	if (unlikely(b->last_len & TCS_LAST_BAD)) {
		for (last = m->blk_addr; known(m, last, tcs_insn_at(m, last));)
			last += tcs_insn_at(m, last)->len;
		refuse(m, last);
		return;
	}
	if (b->last_len & TCS_LAST_MARKED) {
		e = insn_at(m, last);
		prev = b->back ? last - b->back : m->prev;
		tcs_site_record(m, last, e, m->seq - 1, prev, e->flags & TCS_CALL ? 8 : e->flags & TCS_RET ? -8 : 0);
	}
	m->prev = last;
}

// no_go says why the block hook has nothing to record, or that it has.
static int no_go(tcs *m)
{
	if (m->reason)
		return 1;
	if (m->cancel)
		tcs_stop(m, TCS_STOP_CANCEL);
	else if (m->seq >= m->max_insns)
		tcs_stop(m, TCS_STOP_INSNS);
	return m->reason;
}

// full is the block hook with everything that can happen.
static __attribute__((noinline)) void full(tcs *m, uint64_t addr, uint32_t size)
{
	tcs_insn *b;

	retire(m);
	b = insn_at(m, addr);
	if (unlikely((m->seq >= m->go && no_go(m)) || (b->size != size && !block(m, addr, size, b)))) {
		m->stop_rip = addr;
		return;
	}
	m->blk_addr = addr;
	m->blk = b;
	m->recent[m->nrecent++ % TCS_RECENT] = addr;
}

// on_block does what full does if nothing is marked and the block is known. It calls nothing, so
// that it needs no stack.
static void on_block(uc_engine *uc, uint64_t addr, uint32_t size, void *user)
{
	tcs *m = user;
	tcs_insn *last = m->blk, *b;
	uint64_t seq;

	if (unlikely(!last || last->last_len & TCS_LAST_SPECIAL || m->recent_page.vpn != addr >> 12)) {
		full(m, addr, size);
		return;
	}
	b = &m->recent_page.insn[addr & 4095];
	seq = m->seq + last->count;
	if (unlikely(seq >= m->go || b->size != size)) {
		full(m, addr, size);
		return;
	}
	m->prev = m->blk_addr + last->size - last->last_len;
	m->seq = seq;
	m->blk_addr = addr;
	m->blk = b;
	m->recent[m->nrecent++ % TCS_RECENT] = addr;
}

// position returns how many instructions of the current block lie before addr, and the one
// directly before it.
static uint32_t position(tcs *m, uint64_t addr, uint64_t *prev)
{
	uint32_t n = 0;

	*prev = m->prev;
	for (uint64_t at = m->blk_addr; at < addr; n++) {
		const tcs_insn *e = tcs_insn_at(m, at);
		if (!e->len)
			break;
		*prev = at;
		at += e->len;
	}
	return n;
}

static void on_mark(uc_engine *uc, uint64_t addr, uint32_t size, void *user)
{
	tcs *m = user;
	uint64_t prev;
	uint32_t n;

	if (m->keep)
		tcs_settle(m, addr);
	if (m->reason)
		return;
	n = position(m, addr, &prev);
	tcs_site_record(m, addr, tcs_insn_at(m, addr), m->seq + n, prev, 0);
}

static void on_trap(uc_engine *uc, uint32_t intno, void *user)
{
	tcs *m = user;

	m->intno = (int)intno;
	uc_reg_read(uc, UC_X86_REG_CR2, &m->cr2);
	tcs_stop(m, TCS_STOP_TRAP);
}

static void on_out(uc_engine *uc, uint32_t port, int size, uint32_t value, void *user)
{
	tcs *m = user;
	uint64_t rip = 0;

	uc_reg_read(uc, UC_X86_REG_RIP, &rip); // where the block begins
	if (!m->reason)
		tcsHelper(m->handle, port, rip);
}

int tcs_hooks(tcs *m)
{
	int err = uc_hook_add(m->uc, &m->intr_hook, UC_HOOK_INTR, (void *)on_trap, m, 1, 0);

	if (err)
		return err;
	return uc_hook_add(m->uc, &m->out_hook, UC_HOOK_INSN, (void *)on_out, m, 1, 0, UC_X86_INS_OUT);
}

// tcs_set_level exchanges the hooks. Translations made with the old ones must be removed.
int tcs_set_level(tcs *m, int level)
{
	int err = 0;

	if (m->block_hook)
		uc_hook_del(m->uc, m->block_hook);
	if (m->code_hook)
		uc_hook_del(m->uc, m->code_hook);
	m->block_hook = m->code_hook = 0;
	m->level = level;
	if (level == TCS_LEVEL_SITES)
		err = uc_hook_add(m->uc, &m->block_hook, UC_HOOK_BLOCK, (void *)on_block, m, 1, 0);
	if (level == TCS_LEVEL_RETIRED)
		err = uc_hook_add(m->uc, &m->code_hook, UC_HOOK_CODE, (void *)on_insn, m, 1, 0);
	return err;
}

// tcs_mark_hooks replaces the code hooks of single instructions. Translations of these, and of
// those that had a hook before, must be removed.
int tcs_mark_hooks(tcs *m, const uint64_t *addrs, uint32_t n)
{
	for (uint32_t i = 0; i < m->nmark_hooks; i++)
		uc_hook_del(m->uc, m->mark_hooks[i]);
	free(m->mark_hooks);
	m->nmark_hooks = 0;
	m->mark_hooks = calloc(n + 1, sizeof *m->mark_hooks);
	if (!m->mark_hooks)
		return UC_ERR_NOMEM;
	for (; m->nmark_hooks < n; m->nmark_hooks++) {
		uint64_t a = addrs[m->nmark_hooks];
		int err = uc_hook_add(m->uc, &m->mark_hooks[m->nmark_hooks], UC_HOOK_CODE, (void *)on_mark, m, a, a);
		if (err)
			return err;
	}
	return 0;
}

// tcs_run executes from rip until a hook stops it or an error occurs. The caller has set the
// limits; records of a run that goes on are kept.
int tcs_run(tcs *m, uint64_t rip)
{
	m->reason = TCS_RUNNING;
	m->stop_rip = 0;
	m->keep = 0;
	m->stop_n = m->n;
	m->go = m->max_insns;
	return uc_emu_start(m->uc, rip, 0, 0, 0);
}

// tcs_finish brings the count of retired instructions in line with rip, where the run has ended.
void tcs_finish(tcs *m, uint64_t rip)
{
	uint64_t prev;

	if (m->level == TCS_LEVEL_RETIRED) {
		// A fault happens after the hook has recorded the instruction.
		if (m->reason != TCS_STOP_EXIT && m->n && m->ring[m->n - 1].rip == rip &&
		    (m->reason == TCS_STOP_TRAP || !m->reason)) {
			m->n--;
			// Cancelled before the instruction: it will be recorded when the run goes on.
			if (!m->reason && m->nsites && m->sites[m->nsites - 1].seq == m->base + m->n)
				m->nsites--;
		}
		return;
	}
	if (m->level != TCS_LEVEL_SITES || !m->blk)
		return;
	if (rip >= m->blk_addr && rip < m->blk_addr + m->blk->size) {
		uint32_t n = position(m, rip, &prev);
		const tcs_insn *e = tcs_insn_at(m, rip);
		if (e->mark && e->flags & TCS_BRANCH && n + 1 == m->blk->count)
			tcs_site_record(m, rip, e, m->seq + n, prev, 0);
		m->seq += n;
		m->prev = prev;
		m->blk = NULL;
		return;
	}
	retire(m);
}

// tcs_skip accounts for an instruction at rip that faulted and counts as retired: the run goes on
// after it. At retired level it has been recorded already.
void tcs_skip(tcs *m, uint64_t rip)
{
	uint64_t prev;

	if (m->level != TCS_LEVEL_SITES || !m->blk)
		return;
	m->seq += position(m, rip, &prev) + 1;
	m->prev = rip;
	m->blk = NULL;
}

uint64_t tcs_seq(tcs *m) { return m->level == TCS_LEVEL_RETIRED ? m->base + m->n : m->seq; }
