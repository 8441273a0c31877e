// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

// The C side of a machine: hooks that fill rings, guest memory access, and the engine controls
// that the Go binding lacks. One tcs belongs to one engine and is used by one thread at a time.

#ifndef TCSIM_EMU_ENGINE_H
#define TCSIM_EMU_ENGINE_H

#include <stdint.h>
#include <unicorn/unicorn.h>

// MinEngine of doctor.go says why. Who builds with the headers of an older library hears of it here, not from every run.
#if UC_API_MAJOR * 10000 + UC_API_MINOR * 100 + UC_API_PATCH < 20101
#error "tcsim needs libunicorn 2.1.1 or newer with its headers, and these are older: Debian 13 has it in libunicorn-dev, make setup brings it to Debian 12"
#endif

// Records, laid out as record.Retired and record.Site.
typedef struct {
	uint64_t rip, ea;
} tcs_retired;

typedef struct {
	uint64_t seq, rip, rsp, rbp, rax, rbx, r12, r13, r14, r15, rdi, rsi, rdx, rcx, r8;
	uint64_t stack[2], counter, counter_addr, counter_ptr_at, prev;
} tcs_site;

enum { TCS_RETIRED_CAP = 1024, TCS_SITE_CAP = 128, TCS_RECENT = 32, TCS_TLB = 64, TCS_FRAME = 512, TCS_STOPS = 1024 };

// tcs_insn is what is known of the instruction that begins at one byte of text. size, count, last
// and back describe the translation block that begins there, if one has been seen.
typedef struct {
	uint16_t flags;
	uint8_t base;  // GPR number, TCS_NOREG or TCS_RIP
	uint8_t index; // GPR number, with the shift in bits 4 and 5; TCS_NOREG if none; see TCS_DIV
	int32_t disp;
	uint16_t mark; // index into marks, 0 for none
	uint16_t size;
	uint8_t len;
	// Of the block's last instruction: length, with TCS_LAST_MARKED, and distance to the one before.
	uint8_t last_len, back;
	uint16_t count; // instructions
	uint8_t quirk;
	uint8_t reg; // of a quirk: the operand, TCS_NOREG if it is in memory
} tcs_insn;

enum {
	TCS_LAST_LEN = 15,
	TCS_LAST_BAD = 64,     // the rest of the block cannot be decoded: executing it is a fault
	TCS_LAST_MARKED = 128, // the last instruction is a marked branch
	TCS_LAST_SPECIAL = TCS_LAST_BAD | TCS_LAST_MARKED,
};

enum {
	TCS_READY = 1,  // decoded, executable, nothing to look at
	TCS_MEM = 2,    // base, index and disp give an effective address
	TCS_GS = 4,     // relative to the gs base
	TCS_ADDR32 = 8, // the address is truncated to 32 bits
	TCS_BRANCH = 16, // ends a translation block
	TCS_CALL = 32,
	TCS_RET = 64,
	TCS_BAD = 128,  // cannot be decoded
	TCS_SLOW = 256, // marked, gs-relative, with an index or a division: not for the fast path
	TCS_DIV = 512,  // a division by register base; index is its width in bytes, with TCS_SIGNED
};
// What is done about an instruction that the engine gets wrong.
enum { TCS_QUIRK_NONE, TCS_QUIRK_CMPXCHG32, TCS_QUIRK_IDIV16, TCS_QUIRK_IDIV32 };

enum { TCS_NOREG = 0xff, TCS_RIP = 0xfe, TCS_SIGNED = 128 };

// tcs_mark says how the function of a marked instruction reaches tail_call_cnt.
typedef struct {
	uint8_t form; // image.CounterForm
	uint8_t size;
	int32_t off; // from rbp
} tcs_mark;

typedef struct {
	uint64_t vpn; // virtual page number; 0 is a free entry
	tcs_insn *insn;
} tcs_page;

enum { TCS_LEVEL_NONE, TCS_LEVEL_SITES, TCS_LEVEL_RETIRED };

// Why the hooks stopped a run.
enum {
	TCS_RUNNING,
	TCS_STOP_EXIT, // the outside caller's return address
	TCS_STOP_SEQ,
	TCS_STOP_ADDR,
	TCS_STOP_INSNS,
	TCS_STOP_EVENTS,
	TCS_STOP_OBSERVER,
	TCS_STOP_CANCEL,
	TCS_STOP_TRAP,    // processor exception: intno, cr2
	TCS_STOP_DECODE,  // undecodable instruction at bad_addr
	TCS_STOP_HELPER,  // a helper failed; Go holds the error
};

typedef struct {
	// What the block hook needs.
	uint64_t seq;         // sites level: retired before the block being executed
	volatile uint64_t go; // run while seq is below: max_insns, or 0 to look at reason and cancel
	tcs_insn *blk;        // the block being executed, NULL if none
	uint64_t blk_addr;
	uint64_t prev; // retired before the first of the ring; sites level: the last of the block before
	tcs_page recent_page;
	uint32_t nrecent;
	uint64_t recent[TCS_RECENT]; // blocks

	uc_engine *uc;
	uintptr_t handle; // of the Go machine
	uint64_t *env;    // the general purpose registers inside the engine; NULL: use the API
	uint64_t regbuf[16];

	uint8_t *arena; // guest physical memory
	uint64_t arena_size, root;
	uint64_t gs_base, exit_addr;
	struct {
		uint64_t vpn;
		uint8_t *host;
	} tlb[TCS_TLB];

	tcs_page *pages; // open hash, npages a power of two
	uint32_t npages, used;
	int blocks; // the size of some block is known
	tcs_mark *marks;

	uc_hook block_hook, code_hook, intr_hook, out_hook;
	uc_hook *mark_hooks, *quirk_hooks;
	uint32_t nmark_hooks, nquirk_hooks;
	// rax is to be kept at the instruction at keep_at, which follows a cmpxchg, if keep is not 0.
	int keep;
	uint64_t kept, keep_at;

	// The run.
	int level, reason, intno;
	uint64_t cr2, bad_addr;
	uint64_t stop_rip; // set if the block hook ended the run: the engine's own rip may be older
	volatile int cancel;
	uint64_t stop_seq, max_insns, max_events; // absolute numbers
	uint64_t stop_addr, stop_hits;
	uint64_t stops[TCS_STOPS]; // nstops more addresses to stop at
	uint32_t nstops;
	tcs_retired *ring;
	tcs_site *sites;
	uint8_t *frames; // TCS_FRAME bytes below rbp with each site; NULL if they are not wanted
	uint32_t n, stop_n; // records in ring; where room() must look
	uint32_t nsites;
	uint64_t base;   // retired level: instructions in drained batches
	uint64_t events; // sites in drained batches
} tcs;

tcs *tcs_new(uint64_t arena_size);
int tcs_attach(tcs *m, uc_engine *uc);
void tcs_free(tcs *m);
int tcs_hooks(tcs *m);
int tcs_set_level(tcs *m, int level);
int tcs_mark_hooks(tcs *m, const uint64_t *addrs, uint32_t n);
int tcs_quirk_hooks(tcs *m, const uint64_t *addrs, uint32_t n);
void tcs_quirk(tcs *m, uint64_t addr, const tcs_insn *e);
void tcs_settle(tcs *m, uint64_t addr);
uint64_t tcs_effective(tcs *m, const tcs_insn *e, uint64_t addr);
int tcs_run(tcs *m, uint64_t rip);
void tcs_finish(tcs *m, uint64_t rip);
void tcs_skip(tcs *m, uint64_t rip);
void tcs_stop(tcs *m, int reason);
void tcs_halt(tcs *m);
int tcs_remove_cache(tcs *m, uint64_t begin, uint64_t end);
int tcs_flush_tlb(tcs *m);
void tcs_get_regs(tcs *m, uint64_t *r);
void tcs_set_regs(tcs *m, const uint64_t *r);
uint8_t *tcs_host(tcs *m, uint64_t addr);
tcs_insn *tcs_insn_at(tcs *m, uint64_t addr);
void tcs_forget(tcs *m, uint64_t begin, uint64_t end);
void tcs_forget_all(tcs *m);
uint64_t tcs_seq(tcs *m);
int tcs_drain(tcs *m);
void tcs_site_record(tcs *m, uint64_t addr, const tcs_insn *e, uint64_t seq, uint64_t prev, int adj);

#endif
