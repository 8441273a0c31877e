/* SPDX-License-Identifier: GPL-2.0-only */
#define __uint(name, val) int(*name)[val]
#define SEC(name) __attribute__((section(name), used))
#define __noinline __attribute__((noinline))
long bpf_tail_call(void *ctx, void *map, __u32 index);
long bpf_tail_call_static(void *ctx, const void *map, const __u32 slot);
void *bpf_map_lookup_elem(void *map, const void *key);
__u64 bpf_ktime_get_ns(void);
__u32 bpf_get_prandom_u32(void);
__u32 bpf_get_smp_processor_id(void);
