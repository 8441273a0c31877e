/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What struct bpf_map, bpf_array and bpf_prog of a tree's headers are made of, in the sizes that a 64-bit
 * kernel without debugging options has. layout.go lays the structures out with it; nothing of it is run.
 * All of it is used by every kernel unless a comment says since when.
 */
#if defined(CONFIG_DEBUG_LOCK_ALLOC) || defined(CONFIG_DEBUG_MUTEXES) || defined(CONFIG_DEBUG_SPINLOCK) || \
	defined(CONFIG_PREEMPT_RT) || defined(CONFIG_LOCKDEP)
#error "locks have other sizes with this configuration"
#endif

typedef unsigned char u8, __u8;
typedef unsigned short u16, __u16;
typedef unsigned int u32, __u32;
typedef unsigned long long u64, __u64;
typedef int s32, __s32;
typedef long long s64;
typedef _Bool bool;
typedef struct { int counter; } atomic_t, refcount_t;
typedef struct { long long counter; } atomic64_t;
typedef struct { long counter; } atomic_long_t;
typedef struct { unsigned int raw; } spinlock_t, raw_spinlock_t;
typedef struct { u32 v; } rqspinlock_t; /* 6.15 */
struct list_head { struct list_head *next, *prev; };
struct hlist_node { struct hlist_node *next, **pprev; };
struct rcu_head { void *next, *func; };
struct work_struct { long data; struct list_head entry; void *func; };
#ifdef TCSIM_FIRST_WAITER /* 7.1 */
struct mutex { long owner; u32 lock, queue; void *first_waiter; };
#else
struct mutex { long owner; u32 lock, queue; struct list_head wait; };
#endif
struct bpf_map_memory { u32 pages; void *user; }; /* 5.3 to 5.10 */
struct sock_filter { u16 code; u8 jt, jf; u32 k; };
struct bpf_insn { u8 code, regs; short off; s32 imm; };

#define __percpu
#define __rcu
#define __user
#define __private
#define __counted_by(n)
#define ____cacheline_aligned __attribute__((aligned(64)))
#define __aligned(n) __attribute__((aligned(n)))
#define kmemcheck_bitfield_begin(name) /* until 4.14 */
#define kmemcheck_bitfield_end(name)
#define __packed __attribute__((packed))
#define BPF_OBJ_NAME_LEN 16
#define BPF_TAG_SIZE 8
#define SHA256_DIGEST_SIZE 32 /* 6.18 */
#define SHA1_DIGEST_SIZE 20
#define DECLARE_FLEX_ARRAY(type, name) struct { struct { } empty_##name; type name[]; }
#define struct_group_tagged(tag, name, ...) union { struct { __VA_ARGS__ }; struct tag { __VA_ARGS__ } name; }
