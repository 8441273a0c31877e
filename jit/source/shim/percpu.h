/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Per-CPU variables (linux/percpu-defs.h, asm/percpu.h). Their addresses are displacements from the gs base, here and
 * where programs run: routines of the C file that programs call work with either. The JIT runs on one processor.
 */
#ifndef TCSIM_PERCPU_H
#define TCSIM_PERCPU_H

#include "types.h"

#define TCSIM_PER_CPU __attribute__((section(".data..percpu")))
#define DECLARE_PER_CPU(type, name) extern TCSIM_PER_CPU __typeof__(type) name
#define DEFINE_PER_CPU(type, name) TCSIM_PER_CPU __typeof__(type) name
#define DECLARE_PER_CPU_ALIGNED DECLARE_PER_CPU
#define DEFINE_PER_CPU_ALIGNED DEFINE_PER_CPU
#define DECLARE_PER_CPU_SHARED_ALIGNED DECLARE_PER_CPU
#define DEFINE_PER_CPU_SHARED_ALIGNED DEFINE_PER_CPU
#define DECLARE_PER_CPU_READ_MOSTLY DECLARE_PER_CPU
#define DEFINE_PER_CPU_READ_MOSTLY DEFINE_PER_CPU
#define DECLARE_PER_CPU_FIRST DECLARE_PER_CPU
#define DEFINE_PER_CPU_FIRST DEFINE_PER_CPU
#define DECLARE_PER_CPU_CACHE_HOT DECLARE_PER_CPU /* 6.15 */
#define DEFINE_PER_CPU_CACHE_HOT DEFINE_PER_CPU
#define EXPORT_PER_CPU_SYMBOL(name)
#define EXPORT_PER_CPU_SYMBOL_GPL(name)

/* the distance of this CPU's variables from their addresses; __my_cpu_var is for operands of asm */
extern unsigned long this_cpu_off;
#define __percpu_seg gs
#define __percpu_prefix "%%gs:"
#define __percpu_arg(n) "%%gs:%" #n
#define __my_cpu_var(v) (v)
#define __my_cpu_offset ({ unsigned long o_; __asm__ __volatile__("movq %%gs:%1, %0" : "=r"(o_) : "m"(this_cpu_off)); o_; })
#define this_cpu_ptr(p) ({ __typeof__(&*(p)) p_ = (p); (__typeof__(p_))((unsigned long)p_ + __my_cpu_offset); })
#define raw_cpu_ptr this_cpu_ptr
#define get_cpu_ptr this_cpu_ptr
#define put_cpu_ptr(p) ((void)(p))
#define get_cpu_var(v) (*this_cpu_ptr(&(v)))
#define put_cpu_var(v) ((void)&(v))
#define per_cpu_ptr(p, cpu) ((void)(cpu), (__typeof__(&*(p)))(p))
#define per_cpu(v, cpu) (*per_cpu_ptr(&(v), cpu))
#define for_each_possible_cpu(cpu) for ((cpu) = 0; (cpu) < 0; (cpu)++) /* what it would do to each is done outside */
#define for_each_online_cpu(cpu) for_each_possible_cpu(cpu)

#define TCSIM_CPU_OP(op, v, x) __asm__ __volatile__(op " %1, %%gs:%0" : "+m"(v) : "r"((__typeof__(v))(x)) : "cc")
#define this_cpu_read(v) ({ __typeof__(v) v_; __asm__ __volatile__("mov %%gs:%1, %0" : "=r"(v_) : "m"(v)); v_; })
#define this_cpu_write(v, x) TCSIM_CPU_OP("mov", v, x)
#define this_cpu_add(v, x) TCSIM_CPU_OP("add", v, x)
#define this_cpu_sub(v, x) TCSIM_CPU_OP("sub", v, x)
#define this_cpu_and(v, x) TCSIM_CPU_OP("and", v, x)
#define this_cpu_or(v, x) TCSIM_CPU_OP("or", v, x)
#define this_cpu_inc(v) this_cpu_add(v, 1)
#define this_cpu_dec(v) this_cpu_sub(v, 1)
#define this_cpu_add_return(v, x) ({ \
	__typeof__(v) x_ = (x), r_ = x_; \
	__asm__ __volatile__("xadd %0, %%gs:%1" : "+r"(r_), "+m"(v) : : "cc"); \
	(__typeof__(v))(r_ + x_); })
#define this_cpu_inc_return(v) this_cpu_add_return(v, 1)
#define this_cpu_dec_return(v) this_cpu_add_return(v, -1)
#define this_cpu_xchg(v, x) ({ __typeof__(v) r_ = (x); __asm__ __volatile__("xchg %0, %%gs:%1" : "+r"(r_), "+m"(v)); r_; })
#define raw_cpu_read this_cpu_read
#define raw_cpu_write this_cpu_write
#define raw_cpu_add this_cpu_add
#define raw_cpu_inc this_cpu_inc
#define raw_cpu_dec this_cpu_dec
#define __this_cpu_read this_cpu_read
#define __this_cpu_write this_cpu_write
#define __this_cpu_add this_cpu_add
#define __this_cpu_sub this_cpu_sub
#define __this_cpu_inc this_cpu_inc
#define __this_cpu_dec this_cpu_dec
#define __this_cpu_inc_return this_cpu_inc_return
#define this_cpu_read_stable this_cpu_read
#define percpu_read this_cpu_read

/* memory of each CPU: of a function that has a private stack, that; else variables that programs refer to */
void *tcsim_alloc_percpu(size_t n);
#define __alloc_percpu_gfp(n, align, g) tcsim_alloc_percpu(n) /* 6.13 */
#define __alloc_percpu(n, align) tcsim_alloc_percpu(n)
#define alloc_percpu(type) ((__typeof__(type) *)tcsim_alloc_percpu(sizeof(type)))
#define alloc_percpu_gfp(type, g) alloc_percpu(type)
#define free_percpu(p) ((void)(p))

#define smp_processor_id() 0
#define raw_smp_processor_id() 0
#define get_cpu() 0
#define put_cpu() do { } while (0)
#define num_possible_cpus() 1
#define num_online_cpus() 1
#define nr_cpu_ids 1

#endif
