/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What arch/x86/net/bpf_jit_comp.c finds after its #include lines when tcsim compiles it: the names that
 * it uses and nothing else. Every header that it includes is this one.
 *
 * A comment after a declaration says since when (or until when) kernels use the name, as far as that is
 * known. What differs between kernels and is not in the C file comes from outside as TCSIM_ and CONFIG_
 * macros, see facts.go; X86_FEATURE_ numbers are made from the names that the file mentions.
 *
 * To add a kernel name: declare it here with the kernel's own signature. A function that only the image
 * refers to needs no more, its address is asked of the place where the program will run. One that the
 * JIT itself calls is defined in runtime.c.
 */
#ifndef TCSIM_SHIM_H
#define TCSIM_SHIM_H

#include "types.h"
#include "usual.h"
#include "sync.h"
#include "percpu.h"
#include "insn.h"
#include "features.h"

/* messages */
void tcsim_print(const char *file, int line, const char *fmt, ...);
void tcsim_warn(const char *file, int line, const char *what);
void tcsim_bug(const char *file, int line, const char *what) __attribute__((noreturn));
/* what a name that nothing declares stands for: it stops when it is used */
u64 *tcsim_unknown(const char *file, int line, const char *name);

#ifndef pr_fmt
#define pr_fmt(fmt) fmt
#endif
#define printk(fmt, ...) tcsim_print(__FILE__, __LINE__, fmt, ##__VA_ARGS__)
#define KERN_ERR
#define KERN_INFO
#define KERN_WARNING
#define KERN_DEBUG
#define KERN_EMERG
#define KERN_ALERT
#define KERN_CRIT
#define KERN_NOTICE
#define KERN_CONT
#define KERN_DEFAULT
#define pr_err(fmt, ...) printk(pr_fmt(fmt), ##__VA_ARGS__)
#define pr_err_once pr_err
#define pr_err_ratelimited pr_err
#define pr_emerg pr_err
#define pr_emerg_once pr_err
#define pr_alert pr_err
#define pr_crit pr_err
#define pr_crit_once pr_err
#define pr_notice pr_err
#define pr_notice_once pr_err
#define pr_notice_ratelimited pr_err
#define pr_warn pr_err
#define pr_warning pr_err
#define pr_warn_once pr_err
#define pr_warn_ratelimited pr_err
#define pr_info pr_err
#define pr_info_once pr_err
#define pr_info_ratelimited pr_err
#define pr_cont pr_err
#define pr_debug pr_err
#define pr_debug_once pr_err
#define pr_debug_ratelimited pr_err
#define pr_devel pr_err
#define printk_once printk
#define printk_ratelimited printk
#define printk_deferred printk
#define trace_printk printk
#define net_err_ratelimited pr_err
#define net_warn_ratelimited pr_err
#define no_printk(fmt, ...) 0
#define print_hex_dump(...) do { } while (0)
#define print_hex_dump_bytes(...) do { } while (0)
#define print_hex_dump_debug(...) do { } while (0)
#define BUG() tcsim_bug(__FILE__, __LINE__, "BUG()")
#define BUG_ON(c) do { if (c) tcsim_bug(__FILE__, __LINE__, "BUG_ON(" #c ")"); } while (0)
#define BUILD_BUG_ON(c) BUG_ON(c) /* what kernels check is not always a constant without their optimisation */
#define BUILD_BUG_ON_MSG(c, msg) BUG_ON(c)
#define WARN_ON(c) ({ int warn_ = !!(c); if (warn_) tcsim_warn(__FILE__, __LINE__, "WARN_ON(" #c ")"); warn_; })
#define WARN_ON_ONCE(c) WARN_ON(c)
#define WARN(c, fmt, ...) ({ int warn_ = !!(c); if (warn_) printk(fmt, ##__VA_ARGS__); warn_; })
#define WARN_ONCE WARN
#define WARN_RATELIMIT WARN
#define WARN_ON_RATELIMIT(c, state) WARN_ON(c)
#define WARN_TAINT(c, taint, fmt, ...) WARN(c, fmt, ##__VA_ARGS__)
#define DEBUG_NET_WARN_ON_ONCE(c) WARN_ON(c)
#define VM_WARN_ON(c) WARN_ON(c)
#define VM_WARN_ON_ONCE(c) WARN_ON(c)
#define VM_BUG_ON(c) BUG_ON(c)
#define BUILD_BUG() BUG()
#define BUILD_BUG_ON_NOT_POWER_OF_2(n) BUG_ON(!is_power_of_2(n))
#define compiletime_assert(c, msg) BUG_ON(!(c))
#define panic(fmt, ...) do { printk(fmt, ##__VA_ARGS__); BUG(); } while (0)
#define dump_stack() do { } while (0)

/* features of the processor: what the target says */
extern u8 tcsim_features[];
#define boot_cpu_has(f) (tcsim_features[f])
#define static_cpu_has(f) (tcsim_features[f])
#define cpu_feature_enabled(f) (tcsim_features[f])
#define this_cpu_has(f) (tcsim_features[f])
#define boot_cpu_has_bug(f) (tcsim_features[f])
#define cpu_has(c, f) (tcsim_features[f])
enum { X86_VENDOR_INTEL = 0, X86_VENDOR_AMD = 2, X86_VENDOR_HYGON = 9 };
struct cpuinfo_x86 { u8 x86, x86_vendor, x86_model, x86_stepping; };
extern struct cpuinfo_x86 boot_cpu_data;
#define cpu_has_xmm2 1 /* until 4.6 */

/* indirect branches and returns (asm/nospec-branch.h) */
typedef u8 retpoline_thunk_t[32];
typedef u8 its_thunk_t[64];
extern retpoline_thunk_t __x86_indirect_thunk_array[];      /* 5.12 */
extern u8 __x86_indirect_thunk_rdx[];                       /* 5.6 to 5.12 */
extern retpoline_thunk_t __x86_indirect_call_thunk_array[]; /* 6.2 */
extern retpoline_thunk_t __x86_indirect_jump_thunk_array[]; /* 6.2 */
extern u8 *its_static_thunk(int reg);                       /* 6.12, stable trees */
extern void (*x86_return_thunk)(void);                      /* 6.2 */
extern void __x86_return_thunk(void);                       /* 5.19 */
extern void clear_bhb_loop(void);                           /* stable trees of 2025 */
#if TCSIM_ACCOUNT_ARGS == 3
int x86_call_depth_emit_accounting(u8 **pprog, void *func, void *ip); /* 6.9 */
#else
int x86_call_depth_emit_accounting(u8 **pprog, void *func); /* 6.2 */
#endif
static inline bool cpu_wants_rethunk(void) { return tcsim_features[TCSIM_FEATURE_RETHUNK]; } /* 6.12, stable */
static inline bool cpu_wants_rethunk_at(void *at) { return cpu_wants_rethunk(); }

/*
 * Until 5.11 the retpoline is inline and nospec-branch.h emits it with the EMIT macros of the C file:
 * call +7; pause; lfence; jmp -7; mov [rsp], reg; ret. Without retpolines it is jmp *reg.
 */
#define TCSIM_JMP_REG(mov, jmp) do { \
	if (TCSIM_INLINE_RETPOLINE) { \
		EMIT1_off32(0xE8, 7); EMIT2(0xF3, 0x90); EMIT3(0x0F, 0xAE, 0xE8); EMIT2(0xEB, 0xF9); \
		EMIT4(0x48, 0x89, mov, 0x24); EMIT1(0xC3); \
	} else { EMIT2(0xFF, jmp); } } while (0)
#define RETPOLINE_RAX_BPF_JIT() TCSIM_JMP_REG(0x04, 0xE0) /* 4.15 to 5.9 */
#define RETPOLINE_RCX_BPF_JIT() TCSIM_JMP_REG(0x0C, 0xE1) /* 5.10 to 5.11 */
#define RETPOLINE_EDX_BPF_JIT() TCSIM_JMP_REG(0x14, 0xE2)
#define RETPOLINE_RDX_BPF_JIT() TCSIM_JMP_REG(0x14, 0xE2) /* 5.5 to 5.11 */
#define RETPOLINE_RAX_BPF_JIT_SIZE (TCSIM_INLINE_RETPOLINE ? 17 : 2)
#define RETPOLINE_RCX_BPF_JIT_SIZE (TCSIM_INLINE_RETPOLINE ? 17 : 2)

/* nops */
#define ASM_NOP_MAX TCSIM_NOP_MAX
extern const unsigned char *const x86_nops[];  /* 5.13 */
#define ideal_nops x86_nops                    /* until 5.12 */
#define P6_NOP5_ATOMIC 5
#define NOP_ATOMIC5 5
#define BYTES_NOP5 0x0f, 0x1f, 0x44, 0x00, 0x00
#define GENERIC_NOP5_ATOMIC BYTES_NOP5

/* IBT and CFI (asm/ibt.h, asm/cfi.h); 5.18 and 6.8 */
#ifdef CONFIG_X86_KERNEL_IBT
#define HAS_KERNEL_IBT 1
#define ENDBR_INSN_SIZE 4
#else
#define HAS_KERNEL_IBT 0
#define ENDBR_INSN_SIZE 0
#endif
static inline u32 gen_endbr(void) { return 0xfa1e0ff3; }
static inline u32 gen_endbr_poison(void) { return TCSIM_ENDBR_POISON; }
#ifdef CONFIG_X86_KERNEL_IBT
static inline bool tcsim_endbr(u32 v) { return v == gen_endbr_poison() || (v & ~0x01000000u) == gen_endbr(); }
#else
static inline bool tcsim_endbr(u32 v) { return false; }
#endif
static inline bool tcsim_endbr_at(const void *at) { return HAS_KERNEL_IBT && tcsim_endbr(*(const u32 *)at); }
/* takes the value, and since 6.15 its address */
#define is_endbr(v) _Generic((v), u32: tcsim_endbr, default: tcsim_endbr_at)(v)
enum cfi_mode { CFI_AUTO, CFI_OFF, CFI_KCFI, CFI_FINEIBT };
extern enum cfi_mode cfi_mode;
extern bool cfi_bhi;                        /* 6.15 */
extern u32 cfi_bpf_hash, cfi_bpf_subprog_hash;
extern u8 __bhi_args[][32];                 /* 6.15 */
static inline int cfi_get_offset(void) { return cfi_mode == CFI_KCFI || cfi_mode == CFI_FINEIBT ? 16 : 0; }
extern u32 cfi_get_func_hash(void *func);
extern int cfi_get_func_arity(void *func);  /* 6.15 */

/* memory */
void *tcsim_alloc(size_t n);
#define kmalloc(n, ...) tcsim_alloc(n)
#define kzalloc(n, ...) tcsim_alloc(n)
#define kcalloc(n, size, ...) tcsim_alloc((size_t)(n) * (size))
#define kmalloc_array(n, size, ...) tcsim_alloc((size_t)(n) * (size))
#define kvmalloc(n, ...) tcsim_alloc(n)
#define kvzalloc(n, ...) tcsim_alloc(n)
#define kvcalloc(n, size, ...) tcsim_alloc((size_t)(n) * (size))
#define kvmalloc_array(n, size, ...) tcsim_alloc((size_t)(n) * (size))
#define vzalloc(n) tcsim_alloc(n)
#define vmalloc(n) tcsim_alloc(n)
#define kmalloc_node(n, ...) tcsim_alloc(n)
#define kzalloc_node(n, ...) tcsim_alloc(n)
#define kvzalloc_node(n, ...) tcsim_alloc(n)
#define __vmalloc(n, ...) tcsim_alloc(n)
#define vcalloc(n, size) tcsim_alloc((size_t)(n) * (size))
#define kmemdup(p, n, ...) memcpy(tcsim_alloc(n), p, n)
#define krealloc(p, n, ...) tcsim_realloc(p, n)
#define kvrealloc(p, n, ...) tcsim_realloc(p, n)
#define krealloc_array(p, n, size, ...) tcsim_realloc(p, (size_t)(n) * (size))
void *tcsim_realloc(const void *p, size_t n);
#define kzalloc_obj(obj, ...) ((__typeof__(obj) *)tcsim_alloc(sizeof(obj)))                    /* 7.0 */
#define kvmalloc_objs(obj, n, ...) ((__typeof__(obj) *)tcsim_alloc(sizeof(obj) * (size_t)(n))) /* 7.0 */
#define kmalloc_objs kvmalloc_objs
#define kmalloc_obj kzalloc_obj
#define kzalloc_objs kvmalloc_objs
void tcsim_free(const void *p);
#define kfree(p) tcsim_free(p)
#define kvfree(p) ((void)(p))
#define vfree(p) ((void)(p))
#define kfree_sensitive(p) tcsim_free(p)
#define kfree_rcu(p, ...) tcsim_free(p)
#define kvfree_rcu(p, ...) ((void)(p))
#define __get_free_page(g) get_zeroed_page(g)
#define free_page(p) ((void)(p))
#define get_zeroed_page(g) ((unsigned long)tcsim_alloc(PAGE_SIZE))
#define module_alloc(n) tcsim_alloc(n)
#define module_memfree(p) ((void)(p))
enum execmem_type { EXECMEM_DEFAULT, EXECMEM_MODULE_TEXT = 0, EXECMEM_KPROBES, EXECMEM_FTRACE, EXECMEM_BPF, EXECMEM_MODULE_DATA };
#define execmem_alloc(type, n) tcsim_alloc(n) /* 7.3 */
#define execmem_free(p) ((void)(p))
#define bpf_jit_alloc_exec(n) tcsim_alloc(n)
#define bpf_jit_alloc_exec_page() tcsim_alloc(PAGE_SIZE)
#define bpf_jit_free_exec(p) ((void)(p))
#define set_memory_ro(a, n) 0
#define set_memory_rw(a, n) 0
#define set_memory_x(a, n) 0
#define set_memory_nx(a, n) 0
#define set_memory_rox(a, n) 0
#define set_vm_flush_reset_perms(p) ((void)(p))

/* per-CPU variables of the kernel (percpu.h) */
extern char const_pcpu_hot[], __x86_call_depth[];

/* locks, RCU, scheduling: one processor and nothing else */
struct mutex { int held; };
#define DEFINE_MUTEX(m) struct mutex m
#define mutex_lock(m) ((void)(m))
#define mutex_unlock(m) ((void)(m))
#define lockdep_assert_held(m) ((void)(m))
#define mutex_is_locked(m) 1
#define smp_wmb() barrier()
#define smp_rmb() barrier()
#define smp_mb() barrier()
#define cond_resched() do { } while (0)
#define might_sleep() do { } while (0)
#define rcu_read_lock() do { } while (0)
#define rcu_read_unlock() do { } while (0)
void synchronize_rcu(void);
#define synchronize_rcu_tasks() synchronize_rcu()
#define synchronize_rcu_expedited() synchronize_rcu()
extern struct mutex text_mutex;
struct work_struct { int pending; };
struct task_struct;
#define current ((struct task_struct *)0)
/* numbers that are the same in every run */
u32 get_random_u32(void);
#define get_random_u64() ((u64)get_random_u32() << 32 | get_random_u32())
#define get_random_u32_below(n) (get_random_u32() % (n))
#define get_random_int() get_random_u32()
#define prandom_u32() get_random_u32()

/* changes of code */
void *text_poke(void *addr, const void *code, size_t n);
void *text_poke_copy(void *addr, const void *code, size_t n);
void *text_poke_set(void *addr, int c, size_t n);
void text_poke_bp(void *addr, const void *code, size_t n, const void *emulate); /* until 6.14 */
void smp_text_poke_single(void *addr, const void *code, size_t n, const void *emulate); /* 6.15 */
void text_poke_finish(void);
void text_poke_sync(void);
bool is_kernel_text(unsigned long addr);
bool is_bpf_text_address(unsigned long addr);
bool core_kernel_text(unsigned long addr);
#define flush_icache_range(a, b) do { } while (0)
void sort(void *base, size_t n, size_t size, int (*cmp)(const void *, const void *), void (*swp)(void *, void *, int));
#define ns_capable_noaudit(ns, cap) 1
#define capable(cap) 1
#define bpf_capable() 1
#define perfmon_capable() 1
#define CAP_SYS_ADMIN 21
extern struct user_namespace { int level; } init_user_ns;

/* 4.x: the address space of user mode, packets that programs load from, classic programs */
typedef struct { unsigned long seg; } mm_segment_t;
#define KERNEL_DS ((mm_segment_t){ -1UL })
#define USER_DS ((mm_segment_t){ TASK_SIZE_MAX })
#define get_fs() KERNEL_DS
#define set_fs(s) ((void)(s))
struct sk_buff { u32 len, data_len; unsigned char *data; u32 mark, hash, queue_mapping; u16 vlan_tci, protocol; };
#define SKF_AD_OFF (-0x1000)
#define SKF_NET_OFF (-0x100000)
#define SKF_LL_OFF (-0x200000)
#define BPF_LL_OFF SKF_LL_OFF
#define BPF_NET_OFF SKF_NET_OFF

/* exceptions and stacks of the processor */
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
struct exception_table_entry { int insn, fixup; union { int data, handler; }; }; /* handler until 5.15 */
#define EX_TYPE_BPF 7
#define EX_TYPE_REG_MASK 0xff
struct unwind_state { unsigned long sp, bp; };
void unwind_start(struct unwind_state *s, struct task_struct *t, struct pt_regs *r, unsigned long *sp);
bool unwind_next_frame(struct unwind_state *s);
bool unwind_done(struct unwind_state *s);
unsigned long unwind_get_return_address(struct unwind_state *s);
#define __START_KERNEL_map 0xffffffff80000000UL
#define MODULES_VADDR 0xffffffffa0000000UL
#define VSYSCALL_ADDR (-10UL << 20)
#define TASK_SIZE_MAX ((1UL << 47) - PAGE_SIZE)
#define TASK_SIZE_MAX_LA57 ((1UL << 56) - PAGE_SIZE)
#define VMALLOC_START 0xffffc90000000000UL
#define X86_PATCH_SIZE_DEFAULT 5

#include "bpf.h"

/* what an extra file can define to do to a program what other files of a patch do before its JIT gets it */
void tcsim_before_jit(struct bpf_prog *p, struct bpf_prog *main);

#endif
