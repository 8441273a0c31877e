// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

// The table of decoded instructions: an entry for each byte of a page of text, made when the page
// is executed for the first time.

#include "engine.h"

#include <stdlib.h>
#include <string.h>

static tcs_page *slot(tcs *m, uint64_t vpn)
{
	uint32_t i = (uint32_t)(vpn * 0x9e3779b97f4a7c15ull >> 40);

	for (;; i++) {
		tcs_page *p = &m->pages[i & (m->npages - 1)];
		if (p->vpn == vpn || !p->vpn)
			return p;
	}
}

static void grow(tcs *m)
{
	tcs_page *old = m->pages;
	uint32_t n = m->npages;

	m->npages = n * 2;
	m->pages = calloc(m->npages, sizeof *m->pages);
	if (!m->pages)
		abort();
	for (uint32_t i = 0; i < n; i++)
		if (old[i].vpn)
			*slot(m, old[i].vpn) = old[i];
	free(old);
}

// tcs_insn_at returns the entry of an address. It stays where it is until tcs_forget_all.
tcs_insn *tcs_insn_at(tcs *m, uint64_t addr)
{
	uint64_t vpn = addr >> 12;
	tcs_page *p = slot(m, vpn);

	if (!p->vpn) {
		if (m->used * 2 >= m->npages) {
			grow(m);
			p = slot(m, vpn);
		}
		m->used++;
		p->vpn = vpn;
		p->insn = calloc(4096, sizeof *p->insn);
		if (!p->insn)
			abort();
	}
	return &p->insn[addr & 4095];
}

void tcs_forget_all(tcs *m)
{
	m->recent_page.vpn = 0;
	for (uint32_t i = 0; i < m->npages; i++)
		free(m->pages[i].insn);
	memset(m->pages, 0, m->npages * sizeof *m->pages);
	m->used = 0;
	m->blocks = 0;
	m->blk = NULL;
}

// tcs_forget drops what was decoded from bytes [begin, end), and what is known of all blocks that
// may contain them. Marks stay.
void tcs_forget(tcs *m, uint64_t begin, uint64_t end)
{
	for (uint64_t addr = begin - 15; addr < end; addr++) {
		tcs_page *p = slot(m, addr >> 12);
		if (p->vpn)
			p->insn[addr & 4095].flags = p->insn[addr & 4095].len = p->insn[addr & 4095].quirk = 0;
	}
	// Blocks are known at sites level only.
	for (uint64_t vpn = (begin >> 12) - 1; m->blocks && vpn <= (end - 1) >> 12; vpn++) {
		tcs_page *p = slot(m, vpn);
		for (uint32_t i = 0; p->vpn && i < 4096; i++)
			p->insn[i].size = 0;
	}
	m->blk = NULL;
}
