// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

// The record of a marked instruction.

#include "engine.h"

#include <string.h>

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

// host is tcs_host for hooks.
static inline uint8_t *host(tcs *m, uint64_t addr)
{
	uint64_t vpn = addr >> 12;
	uint32_t i = vpn & (TCS_TLB - 1);

	if (likely(m->tlb[i].vpn == vpn && m->tlb[i].host))
		return m->tlb[i].host + (addr & 4095);
	return tcs_host(m, addr);
}

// word reads n little-endian bytes of guest memory, 0 where it is not mapped.
static inline uint64_t word(tcs *m, uint64_t addr, unsigned n)
{
	uint64_t v = 0;
	uint8_t *p = host(m, addr);

	if (__builtin_expect(p && (addr & 4095) + n <= 4096, 1)) {
		if (n == 8)
			memcpy(&v, p, 8);
		else
			memcpy(&v, p, n);
		return v;
	}
	for (unsigned i = 0; i < n; i++) {
		p = host(m, addr + i);
		v |= (uint64_t)(p ? *p : 0) << 8 * i;
	}
	return v;
}

// counter reads tail_call_cnt as the function's description says.
static inline void counter(tcs *m, const tcs_mark *k, uint64_t rbp, tcs_site *s)
{
	uint64_t at = rbp + (uint64_t)(int64_t)k->off;

	s->counter = s->counter_addr = s->counter_ptr_at = 0;
	if (!k->form)
		return;
	if (k->form == 2) {
		s->counter_ptr_at = at;
		at = word(m, at, 8);
	}
	if (k->form == 3)
		at = m->gs_base + (uint64_t)(int64_t)k->off;
	s->counter_addr = at;
	s->counter = word(m, at, k->size);
}

// below copies the TCS_FRAME bytes below an address; what is not mapped reads 0.
static void below(tcs *m, uint64_t end, uint8_t *to)
{
	uint64_t at = end - TCS_FRAME;

	while (at != end) {
		uint64_t n = 4096 - (at & 4095);
		const uint8_t *p = host(m, at);

		if (n > end - at)
			n = end - at;
		if (p)
			memcpy(to, p, n);
		else
			memset(to, 0, n);
		to += n;
		at += n;
	}
}

// tcs_site_record records the marked instruction at addr; adj corrects rsp if the instruction has already
// run.
void tcs_site_record(tcs *m, uint64_t addr, const tcs_insn *e, uint64_t seq, uint64_t prev, int adj)
{
	const uint64_t *r = regs(m);
	tcs_site *s;
	uint8_t *p;

	if (unlikely(m->nsites == TCS_SITE_CAP) && !tcs_drain(m))
		return;
	s = &m->sites[m->nsites++];
	s->seq = seq;
	s->rip = addr;
	s->rax = r[0];
	s->rcx = r[1];
	s->rdx = r[2];
	s->rbx = r[3];
	s->rsp = r[4] + (uint64_t)(int64_t)adj;
	s->rbp = r[5];
	s->rsi = r[6];
	s->rdi = r[7];
	s->r8 = r[8];
	s->r12 = r[12];
	s->r13 = r[13];
	s->r14 = r[14];
	s->r15 = r[15];
	if (likely((s->rsp & 4095) <= 4096 - 16) && (p = host(m, s->rsp))) {
		memcpy(s->stack, p, 16);
	} else {
		s->stack[0] = word(m, s->rsp, 8);
		s->stack[1] = word(m, s->rsp + 8, 8);
	}
	s->prev = prev;
	counter(m, &m->marks[e->mark], s->rbp, s);
	if (m->frames)
		below(m, s->rbp, m->frames + (s - m->sites) * TCS_FRAME);
	if (unlikely(m->events + m->nsites >= m->max_events))
		tcs_stop(m, TCS_STOP_EVENTS);
}
