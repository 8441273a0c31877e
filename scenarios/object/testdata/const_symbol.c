// SPDX-License-Identifier: GPL-2.0-only
/* clang -target bpf -O2 -g -c const_symbol.c: a kernel symbol as the selftests declare it, which cilium/ebpf
 * does not read. */
extern const void some_symbol __attribute__((section(".ksyms")));

__attribute__((section("tc"), used)) int reads(void *skb)
{
	return (int)(long)&some_symbol;
}

char _license[] __attribute__((section("license"), used)) = "GPL";
