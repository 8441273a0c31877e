// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

// What is done about instructions that the engine gets wrong: see quirk.go.

#include "engine.h"

#include <stdlib.h>

#include "_cgo_export.h"

// registers returns a copy of the registers.
static void registers(tcs *m, uint64_t *r) { tcs_get_regs(m, r); }

// little reads n little-endian bytes, 0 where memory is not mapped.
static uint64_t little(tcs *m, uint64_t addr, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++) {
		uint8_t *p = tcs_host(m, addr + i);
		v |= (uint64_t)(p ? *p : 0) << 8 * i;
	}
	return v;
}

// operand is the n bytes that the instruction's explicit operand has.
static uint64_t operand(tcs *m, uint64_t addr, const tcs_insn *e, const uint64_t *r, unsigned n)
{
	if (e->reg < 16)
		return r[e->reg];
	return little(m, tcs_effective(m, e, addr), n);
}

// overflow ends the run with a division error at addr.
static void overflow(tcs *m, uint64_t addr)
{
	m->intno = 0;
	m->stop_rip = addr;
	tcs_stop(m, TCS_STOP_TRAP);
}

// tcs_quirk is called before an instruction with a quirk is executed.
void tcs_quirk(tcs *m, uint64_t addr, const tcs_insn *e)
{
	uint64_t r[16];

	registers(m, r);
	switch (e->quirk) {
	case TCS_QUIRK_CMPXCHG32:
		if ((uint32_t)operand(m, addr, e, r, 4) != (uint32_t)r[0])
			return;
		m->kept = r[0];
		m->keep_at = addr + e->len;
		m->keep = 1;
		return;
	case TCS_QUIRK_IDIV16:
		if ((uint16_t)operand(m, addr, e, r, 2) == 0xffff && (uint16_t)r[2] == 0x8000 && !(uint16_t)r[0])
			overflow(m, addr);
		return;
	case TCS_QUIRK_IDIV32:
		if ((uint32_t)operand(m, addr, e, r, 4) == 0xffffffff && (uint32_t)r[2] == 0x80000000 && !(uint32_t)r[0])
			overflow(m, addr);
		return;
	}
}

// tcs_settle puts back what a cmpxchg before addr has cleared, if that is where it led to.
void tcs_settle(tcs *m, uint64_t addr)
{
	uint64_t r[16];

	m->keep = 0;
	if (addr != m->keep_at)
		return;
	if (m->env) {
		m->env[0] = m->kept;
		return;
	}
	registers(m, r);
	r[0] = m->kept;
	tcs_set_regs(m, r);
}

static void on_quirk(uc_engine *uc, uint64_t addr, uint32_t size, void *user)
{
	tcs *m = user;
	tcs_insn *e = tcs_insn_at(m, addr);

	(void)uc;
	(void)size;
	if (m->keep)
		tcs_settle(m, addr);
	if (m->reason || addr == m->exit_addr)
		return;
	if (!e->len && !(e->flags & TCS_BAD))
		tcsDecode(m->handle, addr, e);
	if (e->flags & TCS_BAD) {
		m->bad_addr = m->stop_rip = addr;
		tcs_stop(m, TCS_STOP_DECODE);
	} else if (e->quirk) {
		tcs_quirk(m, addr, e);
	}
}

// tcs_quirk_hooks replaces the hooks of single instructions with quirks. Translations of these, and of
// those that had a hook before, must be removed.
int tcs_quirk_hooks(tcs *m, const uint64_t *addrs, uint32_t n)
{
	for (uint32_t i = 0; i < m->nquirk_hooks; i++)
		uc_hook_del(m->uc, m->quirk_hooks[i]);
	free(m->quirk_hooks);
	m->nquirk_hooks = 0;
	m->quirk_hooks = calloc(n + 1, sizeof *m->quirk_hooks);
	if (!m->quirk_hooks)
		return UC_ERR_NOMEM;
	for (; m->nquirk_hooks < n; m->nquirk_hooks++) {
		uint64_t a = addrs[m->nquirk_hooks];
		int err = uc_hook_add(m->uc, &m->quirk_hooks[m->nquirk_hooks], UC_HOOK_CODE, (void *)on_quirk, m, a, a);
		if (err)
			return err;
	}
	return 0;
}
