// SPDX-License-Identifier: GPL-2.0-only
/* What patches use of a kernel besides what its JIT uses: TestNames has the JIT call tcsim_try_names. */

DEFINE_PER_CPU(u32, try_cpu);
static DEFINE_SPINLOCK(try_lock);
static DEFINE_RAW_SPINLOCK(try_raw);
static DEFINE_STATIC_KEY_FALSE(try_off);
static DEFINE_STATIC_KEY_TRUE(try_on);
static LIST_HEAD(try_list);
static atomic_t try_count = ATOMIC_INIT(3);
static atomic64_t try_count64 = ATOMIC64_INIT(0);
static unsigned int try_param __read_mostly = 1;
module_param(try_param, uint, 0644);
MODULE_PARM_DESC(try_param, "a number");

struct try_entry { struct list_head list; int n; u8 data[]; };

static int try_one(int x) { return x + 1; }
static int try_two(int x) { return x + 2; }
DEFINE_STATIC_CALL(try_call, try_one);

static __always_inline __must_check bool try_numbers(u32 v)
{
	u64 wide = v, sum;
	u8 raw[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	return min3(3, 1, 2) == 1 && max3(3, 1, 2) == 3 && clamp_val(wide, 1, 4) == 4 && is_power_of_2(64) && !is_power_of_2(v) &&
	       roundup_pow_of_two(5) == 8 && rounddown_pow_of_two(5) == 4 && ALIGN_DOWN(15, 8) == 8 && DIV_ROUND_CLOSEST(7, 2) == 4 &&
	       fls64(v) == 4 && __ffs(v) == 0 && BIT_WORD(65) == 1 && GENMASK_U32(7, 4) == 0xf0 && FIELD_MAX(0xf0) == 15 &&
	       sign_extend32(0x80, 7) == -128 && rol32(1, 31) == 0x80000000u && ror32(1, 1) == 0x80000000u && swab32(0x01020304) == 0x04030201 &&
	       cpu_to_le32(v) == v && get_unaligned_le32(raw + 1) == 0x05040302 && !check_add_overflow(wide, 1ULL, &sum) && sum == 10 &&
	       struct_size((struct try_entry *)NULL, data, 4) >= 4 && array_index_nospec(3, 4) == 3 && in_range(5, 4, 2) && U32_MAX == UINT_MAX &&
	       BITS_PER_LONG == 64 && S64_MIN < 0 && PTR_ERR_OR_ZERO(ERR_PTR(-EIO)) == -EIO && abs_diff(3, 5) == 2;
}

static noinline_for_stack bool try_memory(void)
{
	DECLARE_BITMAP(bits, 100);
	struct try_entry *e __free(kfree) = kzalloc(struct_size(e, data, 4), GFP_KERNEL | __GFP_NOWARN), *n, *next;
	u8 *copy = kmemdup("abc", 4, GFP_ATOMIC), *more = krealloc(copy, 64, GFP_NOWAIT);
	char name[4];
	int seen = 0, at;

	if (!e || IS_ERR_OR_NULL(copy) || strcmp((char *)more, "abc"))
		return false;
	bitmap_zero(bits, 100);
	__set_bit(70, bits);
	if (!test_bit(70, bits) || find_first_bit(bits, 100) != 70 || test_and_set_bit(3, bits))
		return false;
	for_each_set_bit(at, bits, 100)
		seen += at;
	e->n = 5;
	list_add_tail(&e->list, &try_list);
	list_for_each_entry(n, &try_list, list)
		seen += n->n;
	list_for_each_entry_safe(n, next, &try_list, list)
		list_del_init(&n->list);
	kfree_sensitive(more);
	return list_empty(&try_list) && seen == 78 && strscpy(name, "long name", sizeof(name)) == -E2BIG && !strncmp(name, "longer", 3) &&
	       strnlen(name, 2) == 2 && memchr(name, 'n', 3) == name + 2 && str_has_prefix("hier", "hi") == 2;
}

static bool try_locks(void)
{
	unsigned long flags;
	u32 old = 1;

	guard(mutex)(&text_mutex);
	spin_lock_irqsave(&try_lock, flags);
	raw_spin_lock(&try_raw);
	raw_spin_unlock(&try_raw);
	spin_unlock_irqrestore(&try_lock, flags);
	scoped_guard(rcu)
		atomic64_inc(&try_count64);
	preempt_disable();
	local_irq_save(flags);
	local_irq_restore(flags);
	preempt_enable();
	static_call_update(try_call, try_two);
	static_branch_enable(&try_off);
	if (!static_branch_unlikely(&try_off) || !static_branch_likely(&try_on))
		return false;
	alternative("nop", "lfence", X86_FEATURE_LFENCE_RDTSC);
	asm_inline volatile(ALTERNATIVE("", "lfence", X86_FEATURE_LFENCE_RDTSC));
	return atomic_inc_return(&try_count) == 4 && atomic_cmpxchg(&try_count, 4, 9) == 4 && atomic_read(&try_count) == 9 &&
	       cmpxchg(&try_param, 1, 2) == 1 && xchg(&try_param, 1) == 2 && try_cmpxchg(&try_param, &old, 7) && atomic64_read(&try_count64) == 1 &&
	       static_call(try_call)(1) == 3 && smp_load_acquire(&try_param) == 7;
}

static bool try_cpus(void)
{
	u32 __percpu *own = this_cpu_ptr(&try_cpu);

	this_cpu_write(try_cpu, 40);
	this_cpu_inc(try_cpu);
	this_cpu_add(try_cpu, 1);
	return this_cpu_read(try_cpu) == 42 && *own == 42 && this_cpu_inc_return(try_cpu) == 43 && raw_cpu_read(try_cpu) == 43 &&
	       smp_processor_id() == 0 && !boot_cpu_has(X86_FEATURE_UNHEARD_OF) && !boot_cpu_has_bug(X86_BUG_UNHEARD_OF) &&
	       boot_cpu_data.x86_vendor == X86_VENDOR_INTEL && IS_ENABLED(CONFIG_SMP) && !IS_ENABLED(CONFIG_UNHEARD_OF);
}

bool __init_or_module tcsim_try_names(void)
{
	static bool done;

	if (done)
		return true;
	done = true;
	if (WARN_ON_ONCE(!try_numbers(9)) || WARN_ON(!try_memory()) || WARN_ON(!try_locks()) || WARN_ONCE(!try_cpus(), "CPUs\n"))
		return false;
	pr_info_ratelimited("all %s are there, program type %d\n", "names", BPF_PROG_TYPE_XDP);
	printk_once(KERN_NOTICE "%u\n", get_random_u32_below(1));
	pr_debug("%#llx\n", 1ULL);
	return true;
}
