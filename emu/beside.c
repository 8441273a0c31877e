// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

#define _GNU_SOURCE
#include "beside.h"

#include <stddef.h>
#include <string.h>

void tcs_beside_put(uint64_t at, const void *bytes, uint64_t n) { memcpy((void *)at, bytes, n); }

#if defined(__linux__) && defined(__x86_64__)

#include <asm/prctl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE // Linux 4.17; older kernels take the address as a hint
#define MAP_FIXED_NOREPLACE 0x100000
#endif

// tcs_beside_enter(cpu) loads the registers and flags of cpu and jumps to cpu->rip. Code comes back by
// jumping to tcs_beside_leave, which stores registers and flags, or, after an exception, to
// tcs_beside_caught, which does not.
void tcs_beside_enter(const tcs_cpu *cpu);
void tcs_beside_leave(void);
void tcs_beside_caught(void);
extern uint64_t tcs_beside_regs[18]; // by number, then flags

_Static_assert(offsetof(tcs_cpu, flags) == 128 && offsetof(tcs_cpu, rip) == 136, "layout of tcs_cpu");

__asm__(
	".local tcs_beside_rsp\n .comm tcs_beside_rsp, 8, 8\n"
	".local tcs_beside_pc\n .comm tcs_beside_pc, 8, 8\n"
	".globl tcs_beside_regs\n .hidden tcs_beside_regs\n .comm tcs_beside_regs, 144, 16\n"
	".text\n"
	".p2align 4\n"
	".type tcs_beside_enter, @function\n .globl tcs_beside_enter\n .hidden tcs_beside_enter\n"
	"tcs_beside_enter:\n"
	"	pushq %rbx\n	pushq %rbp\n	pushq %r12\n	pushq %r13\n	pushq %r14\n	pushq %r15\n"
	"	movq %rsp, tcs_beside_rsp(%rip)\n"
	"	movq 136(%rdi), %rax\n	movq %rax, tcs_beside_pc(%rip)\n"
	"	pushq 128(%rdi)\n	popfq\n"
	"	movq 0(%rdi), %rax\n	movq 8(%rdi), %rcx\n	movq 16(%rdi), %rdx\n	movq 24(%rdi), %rbx\n"
	"	movq 32(%rdi), %rsp\n	movq 40(%rdi), %rbp\n	movq 48(%rdi), %rsi\n"
	"	movq 64(%rdi), %r8\n	movq 72(%rdi), %r9\n	movq 80(%rdi), %r10\n	movq 88(%rdi), %r11\n"
	"	movq 96(%rdi), %r12\n	movq 104(%rdi), %r13\n	movq 112(%rdi), %r14\n	movq 120(%rdi), %r15\n"
	"	movq 56(%rdi), %rdi\n"
	"	jmp *tcs_beside_pc(%rip)\n"
	".globl tcs_beside_leave\n .hidden tcs_beside_leave\n"
	"tcs_beside_leave:\n"
	"	movq %rax, 0+tcs_beside_regs(%rip)\n	movq %rcx, 8+tcs_beside_regs(%rip)\n"
	"	movq %rdx, 16+tcs_beside_regs(%rip)\n	movq %rbx, 24+tcs_beside_regs(%rip)\n"
	"	movq %rsp, 32+tcs_beside_regs(%rip)\n	movq %rbp, 40+tcs_beside_regs(%rip)\n"
	"	movq %rsi, 48+tcs_beside_regs(%rip)\n	movq %rdi, 56+tcs_beside_regs(%rip)\n"
	"	movq %r8, 64+tcs_beside_regs(%rip)\n	movq %r9, 72+tcs_beside_regs(%rip)\n"
	"	movq %r10, 80+tcs_beside_regs(%rip)\n	movq %r11, 88+tcs_beside_regs(%rip)\n"
	"	movq %r12, 96+tcs_beside_regs(%rip)\n	movq %r13, 104+tcs_beside_regs(%rip)\n"
	"	movq %r14, 112+tcs_beside_regs(%rip)\n	movq %r15, 120+tcs_beside_regs(%rip)\n"
	"	movq tcs_beside_rsp(%rip), %rsp\n"
	"	pushfq\n	popq 128+tcs_beside_regs(%rip)\n"
	".globl tcs_beside_caught\n .hidden tcs_beside_caught\n"
	"tcs_beside_caught:\n"
	"	movq tcs_beside_rsp(%rip), %rsp\n"
	"	pushq $2\n	popfq\n"
	"	popq %r15\n	popq %r14\n	popq %r13\n	popq %r12\n	popq %rbp\n	popq %rbx\n"
	"	ret\n"
	".size tcs_beside_enter, . - tcs_beside_enter\n");

uint64_t tcs_beside_exit(void) { return (uint64_t)tcs_beside_leave; }

static struct {
	uint64_t begin, end; // of the code
	int64_t fault;
	uint64_t rip;
} run;

static const int signals[] = {SIGFPE, SIGSEGV, SIGBUS, SIGILL, SIGTRAP};
enum { NSIG_CAUGHT = sizeof signals / sizeof *signals };
static struct sigaction before[NSIG_CAUGHT];

// caught stores the registers of code that raised an exception, and leaves it.
static void caught(int sig, siginfo_t *info, void *context)
{
	static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
				      REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
	greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
	uint64_t rip = (uint64_t)g[REG_RIP];

	(void)info;
	if (rip < run.begin || rip >= run.end) { // not ours: it happens again, to who had it before
		for (int i = 0; i < NSIG_CAUGHT; i++)
			if (signals[i] == sig)
				sigaction(sig, &before[i], NULL);
		return;
	}
	for (int i = 0; i < 16; i++)
		tcs_beside_regs[i] = (uint64_t)g[order[i]];
	tcs_beside_regs[16] = (uint64_t)g[REG_EFL];
	run.fault = g[REG_TRAPNO];
	run.rip = rip;
	g[REG_RIP] = (greg_t)tcs_beside_caught;
	g[REG_EFL] &= ~0x40500ll; // AC, DF, TF
}

static const char *map(uint64_t at, uint64_t len, int prot, int *err)
{
	void *p = mmap((void *)at, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0);

	*err = errno;
	if (p == MAP_FAILED)
		return "mapping memory at a fixed address";
	if ((uint64_t)p == at)
		return NULL;
	munmap(p, len);
	*err = EEXIST;
	return "mapping memory at a fixed address";
}

const char *tcs_beside_map(uint64_t code_at, uint64_t code_len, uint64_t data_at, uint64_t data_len, int *err)
{
	const char *bad = map(code_at, code_len, PROT_READ | PROT_WRITE | PROT_EXEC, err);

	if (bad)
		return bad;
	bad = map(data_at, data_len, PROT_READ | PROT_WRITE, err);
	if (bad)
		munmap((void *)code_at, code_len);
	return bad;
}

void tcs_beside_unmap(uint64_t code_at, uint64_t code_len, uint64_t data_at, uint64_t data_len)
{
	munmap((void *)data_at, data_len);
	munmap((void *)code_at, code_len);
}

const char *tcs_beside_run(const tcs_cpu *in, tcs_cpu *out, int n, uint64_t window_at, uint64_t gs_base,
			   uint64_t code_at, uint64_t code_len)
{
	struct sigaction act = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	sigset_t block, mask;

	if (syscall(SYS_arch_prctl, ARCH_SET_GS, gs_base)) // of this thread
		return "setting the gs base";
	run.begin = code_at;
	run.end = code_at + code_len;
	sigfillset(&block);
	sigfillset(&act.sa_mask);
	for (int i = 0; i < NSIG_CAUGHT; i++) {
		sigdelset(&block, signals[i]);
		if (sigaction(signals[i], &act, &before[i]))
			return "catching signals";
	}
	if (pthread_sigmask(SIG_SETMASK, &block, &mask))
		return "blocking signals";
	for (int i = 0; i < n; i++) {
		memcpy((void *)window_at, in[i].window, TCS_WINDOW);
		run.fault = -1;
		run.rip = 0;
		tcs_beside_enter(&in[i]);
		memcpy(out[i].regs, tcs_beside_regs, sizeof out[i].regs);
		out[i].flags = tcs_beside_regs[16];
		out[i].fault = run.fault;
		out[i].rip = run.rip;
		memcpy(out[i].window, (void *)window_at, TCS_WINDOW);
	}
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	for (int i = 0; i < NSIG_CAUGHT; i++)
		sigaction(signals[i], &before[i], NULL);
	syscall(SYS_arch_prctl, ARCH_SET_GS, 0ul);
	return NULL;
}

#else

const char *tcs_beside_map(uint64_t code_at, uint64_t code_len, uint64_t data_at, uint64_t data_len, int *err)
{
	*err = 0;
	return "only Linux on amd64 can run the code";
}

void tcs_beside_unmap(uint64_t code_at, uint64_t code_len, uint64_t data_at, uint64_t data_len) {}
uint64_t tcs_beside_exit(void) { return 0; }

const char *tcs_beside_run(const tcs_cpu *in, tcs_cpu *out, int n, uint64_t window_at, uint64_t gs_base,
			   uint64_t code_at, uint64_t code_len)
{
	return "only Linux on amd64 can run the code";
}

#endif
