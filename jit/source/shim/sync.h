/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Locks, atomic operations, lists, static keys and the like for one processor on which nothing else runs. A mutex and
 * RCU are in shim.h.
 */
#ifndef TCSIM_SYNC_H
#define TCSIM_SYNC_H

#include "types.h"
#include "usual.h"

/* locks */
typedef struct { int held; } spinlock_t, raw_spinlock_t, rwlock_t, seqlock_t, local_lock_t;
struct rw_semaphore { int held; };
#define DEFINE_SPINLOCK(l) spinlock_t l
#define DEFINE_RAW_SPINLOCK(l) raw_spinlock_t l
#define DEFINE_RWLOCK(l) rwlock_t l
#define DECLARE_RWSEM(l) struct rw_semaphore l
#define TCSIM_LOCK(l) ((void)(l))
#define spin_lock_init TCSIM_LOCK
#define raw_spin_lock_init TCSIM_LOCK
#define spin_lock TCSIM_LOCK
#define spin_unlock TCSIM_LOCK
#define spin_lock_bh TCSIM_LOCK
#define spin_unlock_bh TCSIM_LOCK
#define spin_lock_irq TCSIM_LOCK
#define spin_unlock_irq TCSIM_LOCK
#define raw_spin_lock TCSIM_LOCK
#define raw_spin_unlock TCSIM_LOCK
#define spin_lock_irqsave(l, f) ((void)(l), (f) = 0)
#define spin_unlock_irqrestore(l, f) ((void)(l), (void)(f))
#define raw_spin_lock_irqsave spin_lock_irqsave
#define raw_spin_unlock_irqrestore spin_unlock_irqrestore
#define read_lock TCSIM_LOCK
#define read_unlock TCSIM_LOCK
#define write_lock TCSIM_LOCK
#define write_unlock TCSIM_LOCK
#define down_read TCSIM_LOCK
#define up_read TCSIM_LOCK
#define down_write TCSIM_LOCK
#define up_write TCSIM_LOCK
#define mutex_init TCSIM_LOCK
#define mutex_destroy TCSIM_LOCK
#define mutex_trylock(l) ((void)(l), 1)
#define mutex_lock_interruptible(l) ((void)(l), 0)
#define lockdep_is_held(l) 1
#define lockdep_assert_held_write TCSIM_LOCK
#define lockdep_assert_irqs_disabled() do { } while (0)
static inline void tcsim_guarded() { }
#define guard(kind) tcsim_guarded
#define scoped_guard(...) if (1)
#define __free(how)
#define no_free_ptr(p) (p)
#define return_ptr(p) return (p)

#define local_irq_save(f) ((f) = 0)
#define local_irq_restore(f) ((void)(f))
#define local_irq_disable() do { } while (0)
#define local_irq_enable() do { } while (0)
#define local_bh_disable() do { } while (0)
#define local_bh_enable() do { } while (0)
#define preempt_disable() do { } while (0)
#define preempt_enable() do { } while (0)
#define migrate_disable() do { } while (0)
#define migrate_enable() do { } while (0)
#define cpus_read_lock() do { } while (0)
#define cpus_read_unlock() do { } while (0)
#define in_nmi() 0
#define in_interrupt() 0
#define in_task() 1
#define irqs_disabled() 0
#define need_resched() 0
#define might_fault() do { } while (0)
#define cpu_relax() __asm__ __volatile__("pause")
#define udelay(n) ((void)(n))
#define rcu_access_pointer(p) (p)
#define rcu_dereference_check(p, c) (p)
#define rcu_dereference_raw(p) (p)
#define rcu_assign_pointer(p, v) ((p) = (v))
#define RCU_INIT_POINTER(p, v) ((p) = (v))
#define rcu_read_lock_trace() do { } while (0)
#define rcu_read_unlock_trace() do { } while (0)

/* atomic operations */
#define ATOMIC_INIT(n) { (n) }
#define ATOMIC64_INIT(n) { (n) }
#define atomic_read(a) READ_ONCE((a)->counter)
#define atomic_set(a, n) ((void)((a)->counter = (n)))
#define atomic_add_return(n, a) ((a)->counter += (n))
#define atomic_sub_return(n, a) ((a)->counter -= (n))
#define atomic_fetch_add(n, a) (((a)->counter += (n)) - (n))
#define atomic_add(n, a) ((void)atomic_add_return(n, a))
#define atomic_sub(n, a) ((void)atomic_sub_return(n, a))
#define atomic_inc(a) atomic_add(1, a)
#define atomic_dec(a) atomic_sub(1, a)
#define atomic_inc_return(a) atomic_add_return(1, a)
#define atomic_dec_return(a) atomic_sub_return(1, a)
#define atomic_dec_and_test(a) (atomic_sub_return(1, a) == 0)
#define atomic_inc_and_test(a) (atomic_add_return(1, a) == 0)
#define atomic64_read atomic_read
#define atomic64_set atomic_set
#define atomic64_add atomic_add
#define atomic64_sub atomic_sub
#define atomic64_inc atomic_inc
#define atomic64_dec atomic_dec
#define atomic64_inc_return atomic_inc_return
#define atomic64_add_return atomic_add_return
#define atomic64_fetch_add atomic_fetch_add
#define atomic_long_read atomic_read
#define atomic_long_set atomic_set
#define atomic_long_add atomic_add
#define atomic_long_sub atomic_sub
#define atomic_long_inc atomic_inc
#define atomic_long_dec atomic_dec
#define refcount_set atomic_set
#define refcount_read atomic_read
#define refcount_inc atomic_inc
#define refcount_dec_and_test atomic_dec_and_test
#define xchg(p, v) ({ __typeof__(*(p)) o_ = *(p); *(p) = (v); o_; })
#define cmpxchg(p, old, new) ({ __typeof__(*(p)) o_ = *(p); if (o_ == (old)) *(p) = (new); o_; })
#define atomic_xchg(a, v) xchg(&(a)->counter, v)
#define atomic_cmpxchg(a, old, new) cmpxchg(&(a)->counter, old, new)
#define try_cmpxchg(p, old, new) ({ bool s_ = *(p) == *(old); if (s_) *(p) = (new); else *(old) = *(p); s_; })
#define smp_load_acquire(p) READ_ONCE(*(p))
#define smp_store_release(p, v) WRITE_ONCE(*(p), v)
#define smp_store_mb(v, x) WRITE_ONCE(v, x)
#define smp_mb__before_atomic() barrier()
#define smp_mb__after_atomic() barrier()
#define mb() barrier()
#define rmb() barrier()
#define wmb() barrier()

/* lists */
struct list_head { struct list_head *next, *prev; };
struct hlist_node { struct hlist_node *next, **pprev; };
struct hlist_head { struct hlist_node *first; };
#define LIST_HEAD_INIT(name) { &(name), &(name) }
#define LIST_HEAD(name) struct list_head name = LIST_HEAD_INIT(name)
static inline void INIT_LIST_HEAD(struct list_head *l) { l->next = l->prev = l; }
static inline void list_add(struct list_head *n, struct list_head *l)
{
	n->next = l->next, n->prev = l;
	l->next->prev = n, l->next = n;
}
static inline void list_add_tail(struct list_head *n, struct list_head *l) { list_add(n, l->prev); }
static inline void list_del(struct list_head *n) { n->next->prev = n->prev, n->prev->next = n->next; }
static inline void list_del_init(struct list_head *n)
{
	list_del(n);
	INIT_LIST_HEAD(n);
}
static inline bool list_empty(const struct list_head *l) { return l->next == l; }
#define list_entry(p, type, member) container_of(p, type, member)
#define list_first_entry(l, type, member) list_entry((l)->next, type, member)
#define list_last_entry(l, type, member) list_entry((l)->prev, type, member)
#define list_for_each(p, l) for (p = (l)->next; p != (l); p = p->next)
#define list_for_each_entry(p, l, member) \
	for (p = list_entry((l)->next, __typeof__(*p), member); &p->member != (l); p = list_entry(p->member.next, __typeof__(*p), member))
#define list_for_each_entry_safe(p, n, l, member) \
	for (p = list_entry((l)->next, __typeof__(*p), member), n = list_entry(p->member.next, __typeof__(*p), member); \
	     &p->member != (l); p = n, n = list_entry(n->member.next, __typeof__(*n), member))
#define list_for_each_entry_rcu(p, l, member, ...) list_for_each_entry(p, l, member)

/* static keys and static calls: plain variables */
struct static_key { int enabled; };
struct static_key_true { struct static_key key; };
struct static_key_false { struct static_key key; };
#define DEFINE_STATIC_KEY_TRUE(name) struct static_key_true name = { { 1 } }
#define DEFINE_STATIC_KEY_FALSE(name) struct static_key_false name
#define DEFINE_STATIC_KEY_TRUE_RO DEFINE_STATIC_KEY_TRUE
#define DEFINE_STATIC_KEY_FALSE_RO DEFINE_STATIC_KEY_FALSE
#define DECLARE_STATIC_KEY_TRUE(name) extern struct static_key_true name
#define DECLARE_STATIC_KEY_FALSE(name) extern struct static_key_false name
#define static_branch_likely(k) ((k)->key.enabled > 0)
#define static_branch_unlikely(k) ((k)->key.enabled > 0)
#define static_branch_maybe(config, k) ((k)->key.enabled > 0)
#define static_key_enabled(k) (((const struct static_key *)(k))->enabled > 0)
#define static_branch_enable(k) ((void)((k)->key.enabled = 1))
#define static_branch_disable(k) ((void)((k)->key.enabled = 0))
#define static_branch_inc(k) ((void)(k)->key.enabled++)
#define static_branch_dec(k) ((void)(k)->key.enabled--)
#define DEFINE_STATIC_CALL(name, f) __typeof__(&(f)) tcsim_static_call_##name = (f)
#define DECLARE_STATIC_CALL(name, f) extern __typeof__(&(f)) tcsim_static_call_##name
#define static_call(name) (*tcsim_static_call_##name)
#define static_call_update(name, f) ((void)(tcsim_static_call_##name = (f)))

/* code that a kernel patches when it boots (asm/alternative.h): as it is before that */
#define ALTERNATIVE(old, new, feature) old
#define ALTERNATIVE_2(old, new1, feature1, new2, feature2) old
#define ALTERNATIVE_TERNARY(old, feature, yes, no) old
#define alternative(old, new, feature) __asm__ __volatile__(old : : : "memory")
#define alternative_2(old, new1, feature1, new2, feature2) __asm__ __volatile__(old : : : "memory")
#define LOCK_PREFIX "lock; "
#define ANNOTATE_RETPOLINE_SAFE ""
#define ANNOTATE_NOENDBR ""
#define ANNOTATE_UNRET_SAFE ""
#define ASM_RET "ret\n\t"
#define ASM_CALL_CONSTRAINT
#define ASM_ENDBR ""
#define _ASM_PTR " .quad "
#define _ASM_ALIGN " .balign 8 "

/* what makes a kernel's file part of it */
#define module_param(name, type, perm)
#define module_param_named(name, var, type, perm)
#define core_param(name, var, type, perm)
#define MODULE_PARM_DESC(name, text)
#define MODULE_LICENSE(x)
#define MODULE_AUTHOR(x)
#define MODULE_DESCRIPTION(x)
#define NOKPROBE_SYMBOL(f)
#define STACK_FRAME_NON_STANDARD(f)
#define STACK_FRAME_NON_STANDARD_FP(f)
#define BTF_SET_START(name)
#define BTF_SET_END(name)
#define BTF_ID(kind, name)
#define __bpf_kfunc_start_defs()
#define __bpf_kfunc_end_defs()
#define early_param(name, f) TCSIM_KEEP(f)
#define __setup(name, f) TCSIM_KEEP(f)
#define TCSIM_KEEP(f) static const void *tcsim_keep_##f __attribute__((used)) = (f)

#endif
