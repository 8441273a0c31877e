/* SPDX-License-Identifier: GPL-2.0-only */
/* The declarations that the C of a graph needs, so that a compiler can check it without kernel headers. */
#ifndef TCSIM_LINUX_BPF_H
#define TCSIM_LINUX_BPF_H
typedef unsigned int __u32;
typedef unsigned long long __u64;
struct __sk_buff {
	__u32 len, mark;
};
enum { BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_PROG_ARRAY = 3, BPF_ANY = 0 };
#endif
