// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

#define _GNU_SOURCE
#include "native.h"

#include <string.h>

#if defined(__linux__) && defined(__x86_64__)

#include <cpuid.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

#ifndef MAP_FIXED_NOREPLACE // Linux 4.17; older kernels take the address as a hint
#define MAP_FIXED_NOREPLACE 0x100000
#endif

// tcs_native_enter(regs, code) switches to the stack that regs name, calls code with regs in the
// registers and returns the ticks that it took. The return address is pushed where regs[rsp] points.
uint64_t tcs_native_enter(const uint64_t *regs, uint64_t code);

__asm__(
	".local tcs_native_rsp\n .comm tcs_native_rsp, 8, 8\n"
	".local tcs_native_pc\n .comm tcs_native_pc, 8, 8\n"
	".local tcs_native_began\n .comm tcs_native_began, 8, 8\n"
	".text\n"
	".p2align 6\n"
	".type tcs_native_enter, @function\n"
	".globl tcs_native_enter\n"
	".hidden tcs_native_enter\n"
	"tcs_native_enter:\n"
	"	pushq %rbx\n	pushq %rbp\n	pushq %r12\n	pushq %r13\n	pushq %r14\n	pushq %r15\n"
	"	movq %rsp, tcs_native_rsp(%rip)\n"
	"	movq %rsi, tcs_native_pc(%rip)\n"
	"	movq 32(%rdi), %rsp\n"
	"	addq $8, %rsp\n"
	"	lfence\n	rdtsc\n	lfence\n"
	"	shlq $32, %rdx\n	orq %rdx, %rax\n"
	"	movq %rax, tcs_native_began(%rip)\n"
	"	movq 0(%rdi), %rax\n	movq 8(%rdi), %rcx\n	movq 16(%rdi), %rdx\n	movq 24(%rdi), %rbx\n"
	"	movq 40(%rdi), %rbp\n	movq 48(%rdi), %rsi\n"
	"	movq 64(%rdi), %r8\n	movq 72(%rdi), %r9\n	movq 80(%rdi), %r10\n	movq 88(%rdi), %r11\n"
	"	movq 96(%rdi), %r12\n	movq 104(%rdi), %r13\n	movq 112(%rdi), %r14\n	movq 120(%rdi), %r15\n"
	"	movq 56(%rdi), %rdi\n"
	"	call *tcs_native_pc(%rip)\n"
	"	lfence\n	rdtsc\n	lfence\n"
	"	shlq $32, %rdx\n	orq %rdx, %rax\n"
	"	subq tcs_native_began(%rip), %rax\n"
	"	movq tcs_native_rsp(%rip), %rsp\n"
	"	cld\n"
	"	popq %r15\n	popq %r14\n	popq %r13\n	popq %r12\n	popq %rbp\n	popq %rbx\n"
	"	ret\n"
	".size tcs_native_enter, . - tcs_native_enter\n");

static inline uint64_t now(void)
{
	uint32_t lo, hi;
	__asm__ volatile("lfence\n rdtsc\n lfence" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

// adds and nops time n blocks of 100 dependent register adds, or of 100 nops.
static __attribute__((noinline)) uint64_t adds(uint32_t n)
{
	uint64_t began = now();
	__asm__ volatile(".p2align 6\n"
			 "1: .rept 100\n addq %%rbx, %%rax\n .endr\n decl %0\n jnz 1b"
			 : "+c"(n) : : "rax", "rbx", "cc");
	return now() - began;
}

static __attribute__((noinline)) uint64_t nops(uint32_t n)
{
	uint64_t began = now();
	__asm__ volatile(".p2align 6\n"
			 "1: .rept 100\n nop\n .endr\n decl %0\n jnz 1b"
			 : "+c"(n) : : "cc");
	return now() - began;
}

// 200 blocks are 20000 instructions; what it costs to begin and to end cancels.
static uint64_t chain(void)
{
	uint64_t part = adds(25);
	return adds(225) - part;
}

const char *tcs_native_usable(void)
{
	unsigned a, b, c, d;
	if (!__get_cpuid(0x80000007, &a, &b, &c, &d) || !(d & 1 << 8))
		return "the time stamp counter does not run at a constant rate (no constant and nonstop TSC)";
	return NULL;
}

void tcs_native_name(char name[49])
{
	unsigned r[12] = {0};
	for (unsigned i = 0; i < 3; i++)
		if (!__get_cpuid(0x80000002 + i, r + 4 * i, r + 4 * i + 1, r + 4 * i + 2, r + 4 * i + 3))
			break;
	memcpy(name, r, 48);
	name[48] = 0;
}

// tcs_native_family is the family of an AMD processor, 0 of others.
int tcs_native_family(void)
{
	unsigned a, b, c, d;
	if (!__get_cpuid(0, &a, &b, &c, &d) || b != signature_AMD_ebx || !__get_cpuid(1, &a, &b, &c, &d))
		return 0;
	return (a >> 8 & 15) + ((a >> 8 & 15) == 15 ? a >> 20 & 255 : 0);
}

// map maps fresh memory at exactly at, never over something else.
static int map(uint64_t at, uint64_t len)
{
	void *p = mmap((void *)at, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0);
	if (p == MAP_FAILED)
		return -1;
	if ((uint64_t)p == at)
		return 0;
	munmap(p, len);
	errno = EEXIST;
	return -1;
}

static void measure(const tcs_native_job *job, tcs_native_rep *reps, int n)
{
	uint64_t part[16], full[16];
	memcpy(part, job->regs, sizeof part);
	memcpy(full, job->regs, sizeof full);
	part[12] = job->part;
	full[12] = job->full;
	for (int i = 0; i < n; i++) {
		tcs_native_rep *r = reps + i;
		r->nops[0] = nops(200);
		r->chain[0] = chain();
		r->part = tcs_native_enter(part, job->code_at);
		r->full = tcs_native_enter(full, job->code_at);
		r->chain[1] = chain();
		r->nops[1] = nops(200);
	}
}

// alone runs measure on one processor without signals.
static const char *alone(const tcs_native_job *job, tcs_native_rep *reps, int n)
{
	cpu_set_t before, one;
	sigset_t all, mask;
	CPU_ZERO(&one);
	int cpu = sched_getcpu();
	if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof before, &before))
		return "asking for the processor";
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof one, &one))
		return "staying on one processor";
	sigfillset(&all);
	errno = pthread_sigmask(SIG_SETMASK, &all, &mask);
	if (errno)
		return "blocking signals";
	measure(job, reps, n);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	sched_setaffinity(0, sizeof before, &before);
	return NULL;
}

const char *tcs_native_run(const tcs_native_job *job, tcs_native_rep *reps, int n, int *err)
{
	const char *bad = NULL;
	int regions = 0;
	if (map(job->code_at, job->code_len)) {
		*err = errno;
		return "mapping the code";
	}
	memcpy((void *)job->code_at, job->code, job->code_len);
	if (mprotect((void *)job->code_at, job->code_len, PROT_READ | PROT_EXEC))
		bad = "making the code executable";
	for (; !bad && regions < 2; regions++)
		if (map(job->region[regions], job->span)) {
			bad = "mapping data and stack";
			break;
		}
	if (!bad) {
		for (uint64_t i = 0; i < job->nwords; i++)
			memcpy((void *)job->words[2 * i], &job->words[2 * i + 1], 8);
		bad = alone(job, reps, n);
	}
	*err = errno;
	while (regions--)
		munmap((void *)job->region[regions], job->span);
	munmap((void *)job->code_at, job->code_len);
	return bad;
}

#else

const char *tcs_native_usable(void)
{
	return "only Linux on amd64 can run the sequences";
}

const char *tcs_native_run(const tcs_native_job *job, tcs_native_rep *reps, int n, int *err)
{
	*err = 0;
	return tcs_native_usable();
}

void tcs_native_name(char name[49])
{
	memset(name, 0, 49);
}

int tcs_native_family(void)
{
	return 0;
}

#endif
