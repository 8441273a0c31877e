/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <linux/bpf.h>
struct bpf_map;
struct bpf_program;
struct bpf_test_run_opts {
	const void *data_in, *ctx_in;
	__u32 data_size_in, ctx_size_in, retval;
	int repeat;
};
#define LIBBPF_OPTS(type, name, ...) struct type name = { __VA_ARGS__ }
int judge(int ok, const char *name);
#define ASSERT_OK(res, name) judge((res) == 0, name)
#define ASSERT_EQ(a, b, name) judge((a) == (b), name)
#define ASSERT_OK_PTR(p, name) judge((p) != 0, name)
int bpf_map__fd(const struct bpf_map *map);
int bpf_program__fd(const struct bpf_program *prog);
int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags);
int bpf_map_delete_elem(int fd, const void *key);
int bpf_prog_test_run_opts(int fd, struct bpf_test_run_opts *opts);
