/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What kernel code of any kind takes for granted and no kernel's JIT has used so far: a patch may. The meaning is the
 * kernel's, as far as one processor on which nothing else runs has it.
 */
#ifndef TCSIM_USUAL_H
#define TCSIM_USUAL_H

#include "types.h"

/* attributes that change no code here */
#define __cold
#define __pure
#define __must_check
#define __attribute_const__
#define __always_unused __attribute__((unused))
#define __noreturn __attribute__((noreturn))
#define __naked __attribute__((naked))
#define __noclone
#define __flatten
#define __initdata
#define __initconst
#define __init_or_module
#define __exit
#define __nonstring
#define __counted_by(n)
#define __private
#define __latent_entropy
#define __randomize_layout
#define __no_sanitize_address
#define __no_kcsan
#define __nocfi
#define __noendbr
#define __kprobes
#define __acquires(x)
#define __releases(x)
#define __must_hold(x)
#define __printf(a, b)
#define __section(s) __attribute__((section(s)))
#define ____cacheline_aligned_in_smp
#define __cacheline_aligned
#define noinstr noinline
#define noinline_for_stack noinline
#define nokprobe_inline inline
#define asm_inline asm
#define unreachable() __builtin_unreachable()
#define prefetch(p) ((void)(p))
#define struct_group(name, ...) union { struct { __VA_ARGS__ }; struct { __VA_ARGS__ } name; }
#define DECLARE_FLEX_ARRAY(type, name) struct { struct { } empty_##name; type name[]; }
#define ACCESS_PRIVATE(p, member) ((p)->member)
#define __same_type(a, b) __builtin_types_compatible_p(__typeof__(a), __typeof__(b))
#define typecheck(t, x) 1
#define __stringify_1(...) #__VA_ARGS__
#define __stringify(...) __stringify_1(__VA_ARGS__)
#define ___PASTE(a, b) a##b
#define __PASTE(a, b) ___PASTE(a, b)
#define __UNIQUE_ID(x) __PASTE(x, __COUNTER__)

/* types and limits */
typedef u16 __le16, __be16;
typedef u32 __le32, __be32;
typedef u64 __le64, __be64, phys_addr_t, dma_addr_t;
typedef unsigned int uint;
typedef unsigned short ushort;
typedef unsigned long ulong, kernel_ulong_t;
typedef long intptr_t, ptrdiff_t;
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t, pid_t;
typedef long long int64_t, loff_t, ktime_t;
typedef struct { s64 counter; } atomic64_t;
typedef struct { long counter; } atomic_long_t;
typedef atomic_t refcount_t;
#define UINT_MAX (~0u)
#define INT_MIN (-INT_MAX - 1)
#define LONG_MAX ((long)(~0UL >> 1))
#define LONG_MIN (-LONG_MAX - 1)
#define ULONG_MAX (~0UL)
#define LLONG_MAX ((long long)(~0ULL >> 1))
#define ULLONG_MAX (~0ULL)
#define SIZE_MAX (~(size_t)0)
#define S16_MIN (-32768)
#define S64_MAX ((s64)(U64_MAX >> 1))
#define S64_MIN (-S64_MAX - 1)
#define SZ_1K 0x400
#define SZ_4K 0x1000
#define SZ_64K 0x10000
#define SZ_1M 0x100000
#define SZ_2M 0x200000
#define BITS_PER_BYTE 8
#define BITS_PER_LONG 64
#define BITS_PER_LONG_LONG 64
#define L1_CACHE_BYTES 64
#define EIO 5
#define ENXIO 6
#define EAGAIN 11
#define ENODEV 19
#define ENOSYS 38
#define ENODATA 61
#define EPROTO 71
#define EOVERFLOW 75
#define EMSGSIZE 90
#define EPROTONOSUPPORT 93
#define ETIMEDOUT 110
#define EALREADY 114
#define ECANCELED 125
#define ERR_CAST(p) ((void *)(p))
#define PTR_ERR_OR_ZERO(p) (IS_ERR(p) ? PTR_ERR(p) : 0)

/* numbers */
#define min3(a, b, c) min(min(a, b), c)
#define max3(a, b, c) max(max(a, b), c)
#define clamp_val(v, lo, hi) clamp_t(__typeof__(v), v, lo, hi)
#define min_not_zero(a, b) ((a) == 0 ? (b) : (b) == 0 ? (a) : min(a, b))
#define abs_diff(a, b) ((a) > (b) ? (a) - (b) : (b) - (a))
#define in_range(v, start, len) ((u64)(v) - (u64)(start) < (u64)(len))
#define is_power_of_2(n) ((n) != 0 && ((n) & ((n) - 1)) == 0)
#define roundup_pow_of_two(n) ((n) <= 1 ? 1UL : 1UL << (64 - __builtin_clzll((n) - 1)))
#define rounddown_pow_of_two(n) (1UL << ilog2(n))
#define rounddown(x, y) ((x) - (x) % (y))
#define ALIGN_DOWN(x, a) ((x) & ~((__typeof__(x))(a) - 1))
#define PTR_ALIGN_DOWN(p, a) ((__typeof__(p))ALIGN_DOWN((unsigned long)(p), (a)))
#define DIV_ROUND_CLOSEST(n, d) (((n) + (d) / 2) / (d))
#define do_div(n, base) ({ u32 b_ = (base), r_ = (u64)(n) % b_; (n) = (u64)(n) / b_; r_; })
#define div_u64(n, d) ((u64)(n) / (u32)(d))
#define div64_u64(n, d) ((u64)(n) / (u64)(d))
#define fls64(v) ((v) ? 64 - __builtin_clzll(v) : 0)
#define __ffs(v) ((unsigned long)__builtin_ctzll(v))
#define __fls(v) ((unsigned long)(63 - __builtin_clzll(v)))
#define ffz(v) __ffs(~(v))
#define hweight16(v) __builtin_popcount((v) & 0xffff)
#define hweight_long(v) __builtin_popcountll(v)
#define upper_16_bits(v) ((u16)((v) >> 16))
#define lower_16_bits(v) ((u16)(v))
#define BIT_MASK(n) (1UL << ((n) % 64))
#define BIT_WORD(n) ((n) / 64)
#define BITS_TO_LONGS(n) DIV_ROUND_UP(n, 64)
#define GENMASK_U8(h, l) ((u8)GENMASK(h, l))
#define GENMASK_U16(h, l) ((u16)GENMASK(h, l))
#define GENMASK_U32(h, l) ((u32)GENMASK(h, l))
#define FIELD_MAX(mask) ((mask) >> TCSIM_SHIFT(mask))
#define FIELD_FIT(mask, v) (((v) & ~FIELD_MAX(mask)) == 0)
#define sign_extend32(v, bit) ((s32)((u32)(v) << (31 - (bit))) >> (31 - (bit)))
#define sign_extend64(v, bit) ((s64)((u64)(v) << (63 - (bit))) >> (63 - (bit)))
#define rol32(v, n) ((u32)((v) << ((n) & 31) | (u32)(v) >> (-(n) & 31)))
#define ror32(v, n) ((u32)((u32)(v) >> ((n) & 31) | (v) << (-(n) & 31)))
#define rol64(v, n) ((u64)((v) << ((n) & 63) | (u64)(v) >> (-(n) & 63)))
#define swab16(v) __builtin_bswap16(v)
#define swab32(v) __builtin_bswap32(v)
#define swab64(v) __builtin_bswap64(v)
#define cpu_to_le16(v) ((u16)(v))
#define cpu_to_le32(v) ((u32)(v))
#define cpu_to_le64(v) ((u64)(v))
#define le16_to_cpu(v) ((u16)(v))
#define le32_to_cpu(v) ((u32)(v))
#define le64_to_cpu(v) ((u64)(v))
#define cpu_to_be16(v) swab16(v)
#define cpu_to_be32(v) swab32(v)
#define cpu_to_be64(v) swab64(v)
#define TCSIM_UNALIGNED(type, p) (((const struct { type v; } __attribute__((packed)) *)(p))->v)
#define get_unaligned(p) TCSIM_UNALIGNED(__typeof__(*(p)), p)
#define get_unaligned_le16(p) TCSIM_UNALIGNED(u16, p)
#define get_unaligned_le32(p) TCSIM_UNALIGNED(u32, p)
#define get_unaligned_le64(p) TCSIM_UNALIGNED(u64, p)
#define TCSIM_PUT(type, x, p) (((struct { type v; } __attribute__((packed)) *)(p))->v = (x))
#define put_unaligned(x, p) TCSIM_PUT(__typeof__(*(p)), x, p)
#define put_unaligned_le16(x, p) TCSIM_PUT(u16, x, p)
#define put_unaligned_le32(x, p) TCSIM_PUT(u32, x, p)
#define put_unaligned_le64(x, p) TCSIM_PUT(u64, x, p)
#define check_add_overflow(a, b, d) __builtin_add_overflow(a, b, d)
#define check_sub_overflow(a, b, d) __builtin_sub_overflow(a, b, d)
#define check_mul_overflow(a, b, d) __builtin_mul_overflow(a, b, d)
#define size_add(a, b) ((size_t)(a) + (size_t)(b))
#define size_mul(a, b) ((size_t)(a) * (size_t)(b))
#define array_size(a, b) size_mul(a, b)
#define flex_array_size(p, member, n) size_mul(n, sizeof(*(p)->member))
#define struct_size(p, member, n) size_add(sizeof(*(p)), flex_array_size(p, member, n))
#define array_index_nospec(i, n) (i)
#define barrier_nospec() do { } while (0)

/* bits in memory */
#define DECLARE_BITMAP(name, bits) unsigned long name[BITS_TO_LONGS(bits)]
#define test_bit(n, p) (((p)[BIT_WORD(n)] >> ((n) % 64)) & 1)
#define __set_bit(n, p) ((void)((p)[BIT_WORD(n)] |= BIT_MASK(n)))
#define __clear_bit(n, p) ((void)((p)[BIT_WORD(n)] &= ~BIT_MASK(n)))
#define __change_bit(n, p) ((void)((p)[BIT_WORD(n)] ^= BIT_MASK(n)))
#define set_bit __set_bit
#define clear_bit __clear_bit
#define __assign_bit(n, p, v) ((v) ? __set_bit(n, p) : __clear_bit(n, p))
#define assign_bit __assign_bit
#define __test_and_set_bit(n, p) ({ bool was_ = test_bit(n, p); __set_bit(n, p); was_; })
#define test_and_set_bit __test_and_set_bit
#define __test_and_clear_bit(n, p) ({ bool was_ = test_bit(n, p); __clear_bit(n, p); was_; })
#define test_and_clear_bit __test_and_clear_bit
#define bitmap_zero(p, bits) memset(p, 0, BITS_TO_LONGS(bits) * sizeof(long))
#define bitmap_fill(p, bits) memset(p, 0xff, BITS_TO_LONGS(bits) * sizeof(long))
static inline unsigned long find_next_bit(const unsigned long *p, unsigned long size, unsigned long from)
{
	while (from < size && !test_bit(from, p))
		from++;
	return from < size ? from : size;
}
static inline unsigned long find_next_zero_bit(const unsigned long *p, unsigned long size, unsigned long from)
{
	while (from < size && test_bit(from, p))
		from++;
	return from < size ? from : size;
}
#define find_first_bit(p, size) find_next_bit(p, size, 0)
#define find_first_zero_bit(p, size) find_next_zero_bit(p, size, 0)
#define for_each_set_bit(n, p, size) for ((n) = find_first_bit(p, size); (n) < (size); (n) = find_next_bit(p, size, (n) + 1))

/* strings and memory */
void *memchr(const void *s, int c, size_t n);
char *strchr(const char *s, int c);
char *strcpy(char *to, const char *from);
int strncmp(const char *a, const char *b, size_t n);
ssize_t strscpy(char *to, const char *from, size_t n);
size_t strnlen(const char *s, size_t n);
#define strlcpy strscpy
#define strncpy(to, from, n) ((void)strscpy(to, from, n))
#define str_has_prefix(s, p) (strncmp(s, p, strlen(p)) ? 0 : strlen(p))
#define memset32(p, v, n) ({ u32 *p_ = (void *)(p); for (size_t n_ = (n); n_; n_--) *p_++ = (v); })
#define memset64(p, v, n) ({ u64 *p_ = (void *)(p); for (size_t n_ = (n); n_; n_--) *p_++ = (v); })
#define memzero_explicit(p, n) memset(p, 0, n)
#define __memcpy memcpy
#define __memset memset

#endif
