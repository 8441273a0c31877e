/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Types and the helpers of plain C that a kernel's C files take for granted. Every name here is one
 * that arch/x86/net/bpf_jit_comp.c of some kernel uses; the meaning is the kernel's, the words are ours.
 */
#ifndef TCSIM_TYPES_H
#define TCSIM_TYPES_H

typedef unsigned char u8, __u8, uint8_t;
typedef unsigned short u16, __u16, uint16_t;
typedef unsigned int u32, __u32, uint32_t, gfp_t;
typedef unsigned long long u64, __u64, uint64_t;
typedef signed char s8, __s8;
typedef short s16, __s16;
typedef int s32, __s32;
typedef long long s64, __s64;
typedef unsigned long size_t, uintptr_t;
typedef long ssize_t;
typedef _Bool bool;
typedef struct { int counter; } atomic_t;

enum { false = 0, true = 1 };
#define NULL ((void *)0)

/* attributes and annotations that change no code */
#define __percpu
#define __force
#define __rcu
#define __user
#define __init
#define __iomem
#define __weak __attribute__((weak))
#define __always_inline inline __attribute__((always_inline))
#define noinline __attribute__((noinline))
#define __maybe_unused __attribute__((unused))
#define __used __attribute__((used))
#define __packed __attribute__((packed))
#define __aligned(n) __attribute__((aligned(n)))
#define __visible
#define asmlinkage
#define notrace
#define __ro_after_init
#define __read_mostly
#define __bpf_kfunc
#define fallthrough __attribute__((fallthrough))
#define ____cacheline_aligned
#define EXPORT_SYMBOL(x)
#define EXPORT_SYMBOL_GPL(x)

#define likely(x) (x)
#define unlikely(x) (x)
#define barrier() __asm__ __volatile__("" ::: "memory")
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))
#define ACCESS_ONCE(x) (*(volatile __typeof__(x) *)&(x))
#define OPTIMIZER_HIDE_VAR(v) __asm__("" : "=r"(v) : "0"(v))
#define RELOC_HIDE(p, off) ((__typeof__(p))((unsigned long)(p) + (off)))
#define rcu_dereference_protected(p, c) (p)
#define rcu_dereference(p) (p)

#undef offsetof
#define offsetof(type, member) __builtin_offsetof(type, member)
#define offsetofend(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))
#define sizeof_field(type, member) sizeof(((type *)0)->member)
#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define BUILD_BUG_ON_ZERO(c) 0
#define static_assert(c, ...) _Static_assert(c, #c)

#define BIT(n) (1UL << (n))
#define BIT_ULL(n) (1ULL << (n))
#define GENMASK(h, l) ((~0UL << (l)) & (~0UL >> (63 - (h))))
#define GENMASK_ULL(h, l) GENMASK(h, l)
#define TCSIM_SHIFT(mask) __builtin_ctzll(mask)
#define FIELD_PREP(mask, v) (((__typeof__(mask))(v) << TCSIM_SHIFT(mask)) & (mask))
#define FIELD_GET(mask, v) ((__typeof__(mask))(((v) & (mask)) >> TCSIM_SHIFT(mask)))
#define hweight32(v) __builtin_popcount(v)
#define hweight8(v) __builtin_popcount((v) & 0xff)
#define hweight64(v) __builtin_popcountll(v)
#define fls(v) ((v) ? 32 - __builtin_clz(v) : 0)
#define ffs(v) __builtin_ffs(v)
#define ilog2(v) (63 - __builtin_clzll(v))
#define upper_32_bits(v) ((u32)((u64)(v) >> 32))
#define lower_32_bits(v) ((u32)(v))

#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define min_t(t, a, b) ((t)(a) < (t)(b) ? (t)(a) : (t)(b))
#define max_t(t, a, b) ((t)(a) > (t)(b) ? (t)(a) : (t)(b))
#define clamp_t(t, v, lo, hi) min_t(t, max_t(t, v, lo), hi)
#define clamp(v, lo, hi) min(max(v, lo), hi)
#define abs(v) ((v) < 0 ? -(v) : (v))
#define swap(a, b) do { __typeof__(a) t_ = (a); (a) = (b); (b) = t_; } while (0)
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define round_up(x, y) ((((x) - 1) | ((__typeof__(x))((y) - 1))) + 1)
#define round_down(x, y) ((x) & ~((__typeof__(x))((y) - 1)))
#define roundup(x, y) ((((x) + ((y) - 1)) / (y)) * (y))
#define ALIGN(x, a) (((x) + ((__typeof__(x))(a) - 1)) & ~((__typeof__(x))(a) - 1))
#define PTR_ALIGN(p, a) ((__typeof__(p))ALIGN((unsigned long)(p), (a)))
#define IS_ALIGNED(x, a) (((x) & ((__typeof__(x))(a) - 1)) == 0)

#define PAGE_SHIFT 12
#define PAGE_SIZE (1UL << PAGE_SHIFT)
#define PAGE_MASK (~(PAGE_SIZE - 1))
#define PAGE_ALIGN(x) ALIGN(x, PAGE_SIZE)
#define INT_MAX 0x7fffffff
#define U8_MAX 0xff
#define U16_MAX 0xffff
#define U32_MAX 0xffffffffu
#define S8_MAX 127
#define S8_MIN (-128)
#define S16_MAX 32767
#define S32_MAX 0x7fffffff
#define S32_MIN (-0x7fffffff - 1)
#define U64_MAX (~0ULL)
#define GFP_KERNEL 1u
#define GFP_USER 2u
#define GFP_ATOMIC 4u
#define GFP_NOWAIT 32u
#define GFP_NOFS 64u
#define GFP_NOIO 128u
#define GFP_KERNEL_ACCOUNT GFP_KERNEL
#define GFP_USER_ACCOUNT GFP_USER
#define __GFP_ACCOUNT 0u
#define __GFP_NORETRY 0u
#define __GFP_NOFAIL 0u
#define __GFP_RETRY_MAYFAIL 0u
#define __GFP_ZERO 8u
#define __GFP_NOWARN 16u

#define EPERM 1
#define ENOENT 2
#define EINTR 4
#define E2BIG 7
#define ENOMEM 12
#define EACCES 13
#define EFAULT 14
#define EBUSY 16
#define EEXIST 17
#define EINVAL 22
#define ENOSPC 28
#define ERANGE 34
#define EOPNOTSUPP 95
#define ENOTSUPP 524
#define MAX_ERRNO 4095
#define IS_ERR_VALUE(x) ((unsigned long)(void *)(x) >= (unsigned long)-MAX_ERRNO)
#define ERR_PTR(e) ((void *)(long)(e))
#define PTR_ERR(p) ((long)(p))
#define IS_ERR(p) IS_ERR_VALUE((unsigned long)(p))
#define IS_ERR_OR_NULL(p) (!(p) || IS_ERR(p))

/*
 * IS_ENABLED(CONFIG_X) is 1 where CONFIG_X is defined as 1 and 0 where it is not defined: a defined
 * option turns its name into a pair, and the second of what follows is taken.
 */
#define TCSIM_PAIR_1 0, 1
#define TCSIM_SECOND(a, b, ...) b
#define TCSIM_PICK(...) TCSIM_SECOND(__VA_ARGS__)
#define TCSIM_JOIN(v) TCSIM_PAIR_##v
#define TCSIM_IS(v) TCSIM_PICK(TCSIM_JOIN(v), 0, 0)
#define IS_ENABLED(option) TCSIM_IS(option)
#define IS_BUILTIN(option) TCSIM_IS(option)
#define IS_REACHABLE(option) TCSIM_IS(option)
#define config_enabled(option) TCSIM_IS(option)

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);

#endif
