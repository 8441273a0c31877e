/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The structures that the kernel hands to its JIT. Where fields are matters for those whose offsets go
 * into code (bpf_map.max_entries, bpf_array.ptrs, bpf_prog.bpf_func): these come from the target.
 */
#ifndef TCSIM_BPF_H
#define TCSIM_BPF_H

/* fields that only the tree's headers have: see tree_names.go */
#ifndef TCSIM_HAS_MORE_bpf_array_aux
#define TCSIM_MORE_bpf_array_aux
#endif
#ifndef TCSIM_HAS_MORE_bpf_jit_poke_descriptor
#define TCSIM_MORE_bpf_jit_poke_descriptor
#endif
#ifndef TCSIM_HAS_MORE_bpf_ksym
#define TCSIM_MORE_bpf_ksym
#endif
#ifndef TCSIM_HAS_MORE_bpf_prog
#define TCSIM_MORE_bpf_prog
#endif
#ifndef TCSIM_HAS_MORE_bpf_prog_aux
#define TCSIM_MORE_bpf_prog_aux
#endif
#ifndef TCSIM_HAS_MORE_bpf_tramp_run_ctx
#define TCSIM_MORE_bpf_tramp_run_ctx
#endif
#ifndef TCSIM_HAS_MORE_bpf_tramp_image
#define TCSIM_MORE_bpf_tramp_image
#endif
#ifndef TCSIM_HAS_MORE_bpf_link
#define TCSIM_MORE_bpf_link
#endif
#ifndef TCSIM_HAS_MORE_bpf_tramp_link
#define TCSIM_MORE_bpf_tramp_link
#endif
#ifndef TCSIM_HAS_MORE_bpf_tramp_node
#define TCSIM_MORE_bpf_tramp_node
#endif
#ifndef TCSIM_HAS_MORE_btf_func_model
#define TCSIM_MORE_btf_func_model
#endif
#ifndef TCSIM_HAS_MORE_bpf_run_ctx
#define TCSIM_MORE_bpf_run_ctx
#endif
#ifndef TCSIM_HAS_MORE_bpf_arena
#define TCSIM_MORE_bpf_arena
#endif
#define TCSIM_MORE(structure) TCSIM_MORE_##structure

struct bpf_prog;
struct bpf_prog_aux;
struct bpf_verifier_env; /* in the JIT's signature since 7.1 */
struct bpf_arena { u64 kern, user;  TCSIM_MORE(bpf_arena) };
struct bpf_binary_header { u32 size, pages; u8 image[]; };

struct bpf_map {
	union {
		struct {
			char before_[TCSIM_MAX_ENTRIES];
			u32 max_entries;
		};
		u32 map_type;
	};
};

struct bpf_array_aux { struct mutex poke_mutex; bool cgroup;  TCSIM_MORE(bpf_array_aux) };

struct bpf_array {
	union {
		struct bpf_map map;
		struct {
			u64 gap_;
			struct bpf_array_aux *aux;
		};
		struct {
			char before_[TCSIM_PTRS];
			void *ptrs[];
		};
	};
};

enum bpf_jit_poke_reason { BPF_POKE_REASON_TAIL_CALL };

struct bpf_jit_poke_descriptor {
	void *ip;              /* until 5.9 */
	void *tailcall_target; /* 5.10 */
	void *tailcall_bypass;
	void *bypass_addr;
	void *aux;
	union {
		struct { struct bpf_map *map; u32 key; } tail_call;
	};
	bool ip_stable, tailcall_target_stable;
	u8 adj_off;
	u16 reason;
	u32 insn_idx;
	TCSIM_MORE(bpf_jit_poke_descriptor)
};

/* 4 kinds in old kernels, 3 later: only told apart */
enum bpf_text_poke_type { BPF_MOD_CALL, BPF_MOD_JUMP, BPF_MOD_NOP };
#define BPF_MOD_CALL_TO_NOP 10
#define BPF_MOD_NOP_TO_CALL 11
#define BPF_MOD_CALL_TO_CALL 12
#define BPF_MOD_NOP_TO_JUMP 13
#define BPF_MOD_JUMP_TO_NOP 14
#define BPF_MOD_JUMP_TO_JUMP 15

struct bpf_ksym { unsigned long start, end; u32 fp_start, fp_end; char name[64]; bool prog;  TCSIM_MORE(bpf_ksym) };

struct bpf_prog_aux {
	u32 stack_depth, func_idx, func_cnt, real_func_cnt, size_poke_tab, num_exentries;
	u32 max_pkt_offset;
	bool verifier_zext, tail_call_reachable, exception_cb, exception_boundary;
	bool jits_use_priv_stack, priv_stack_requested, sleepable, has_callchain_buf;
	u16 stack_arg_depth, stack_arg_sp_adjust; /* 7.1 */
	void *jit_data;
	void __percpu *priv_stack_ptr;
	struct bpf_arena *arena;
	struct bpf_jit_poke_descriptor *poke_tab;
	struct exception_table_entry *extable;
	struct bpf_prog **func, *prog, *main_prog;
	struct bpf_ksym ksym;
	char name[16]; /* 6.13 to 6.14 */
	u32 *linfo;
	struct bpf_binary_header *rw_header;
	TCSIM_MORE(bpf_prog_aux)
};

struct bpf_prog {
	union {
		struct {
			char before_[TCSIM_BPF_FUNC];
			unsigned int (*bpf_func)(const void *ctx, const struct bpf_insn *insn);
		};
		u16 pages;
	};
	bool jited, jit_requested, is_func, sleepable, cb_access, dst_needed, blinded, blinding_requested, gpl_compatible;
	bool call_session_cookie; /* 7.0 */
	TCSIM_MORE(bpf_prog)
	u32 type, expected_attach_type, len, jited_len;
	struct bpf_prog_aux *aux;
	union {
		struct sock_filter insns[0];
		struct bpf_insn insnsi[0];
	};
};

enum bpf_prog_type {
	BPF_PROG_TYPE_UNSPEC, BPF_PROG_TYPE_SOCKET_FILTER, BPF_PROG_TYPE_KPROBE, BPF_PROG_TYPE_SCHED_CLS, BPF_PROG_TYPE_SCHED_ACT,
	BPF_PROG_TYPE_TRACEPOINT, BPF_PROG_TYPE_XDP, BPF_PROG_TYPE_PERF_EVENT, BPF_PROG_TYPE_CGROUP_SKB, BPF_PROG_TYPE_CGROUP_SOCK,
	BPF_PROG_TYPE_LWT_IN, BPF_PROG_TYPE_LWT_OUT, BPF_PROG_TYPE_LWT_XMIT, BPF_PROG_TYPE_SOCK_OPS, BPF_PROG_TYPE_SK_SKB,
	BPF_PROG_TYPE_CGROUP_DEVICE, BPF_PROG_TYPE_SK_MSG, BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
	BPF_PROG_TYPE_LWT_SEG6LOCAL, BPF_PROG_TYPE_LIRC_MODE2, BPF_PROG_TYPE_SK_REUSEPORT, BPF_PROG_TYPE_FLOW_DISSECTOR,
	BPF_PROG_TYPE_CGROUP_SYSCTL, BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE, BPF_PROG_TYPE_CGROUP_SOCKOPT, BPF_PROG_TYPE_TRACING,
	BPF_PROG_TYPE_STRUCT_OPS, BPF_PROG_TYPE_EXT, BPF_PROG_TYPE_LSM, BPF_PROG_TYPE_SK_LOOKUP, BPF_PROG_TYPE_SYSCALL, BPF_PROG_TYPE_NETFILTER,
};

/* set from outside, so that the limit can be varied without compiling again */
extern int tcsim_limit;
#define MAX_TAIL_CALL_CNT tcsim_limit
#define BPF_MAX_TRAMP_PROGS TCSIM_MAX_TRAMP_LINKS
#define BPF_MAX_TRAMP_LINKS TCSIM_MAX_TRAMP_LINKS
#define MAX_BPF_FUNC_ARGS 12
#define MAX_BPF_FUNC_REG_ARGS 5

extern int bpf_jit_enable, bpf_jit_harden;
extern char __bpf_call_base[];
#define BPF_CALL_IMM(f) ((s32)((long)(f) - (long)__bpf_call_base))
#define BPF_CAST_CALL(f) ((u64 (*)(u64, u64, u64, u64, u64))(f))

static inline bool bpf_prog_was_classic(const struct bpf_prog *p) { return false; }
static inline bool bpf_prog_ebpf_jited(const struct bpf_prog *p) { return p->jited; }
static inline bool bpf_is_subprog(const struct bpf_prog *p) { return p->aux->func_idx != 0; } /* 6.7 */
static inline u64 bpf_arena_get_kern_vm_start(struct bpf_arena *a) { return a ? a->kern : 0; } /* 6.9 */
static inline u64 bpf_arena_get_user_vm_start(struct bpf_arena *a) { return a ? a->user : 0; }
#define bpf_jit_dump(...) do { } while (0)
#define bpf_jit_blind_constants(...) TCSIM_LAST_OF(__VA_ARGS__, 2, 1)
#define TCSIM_LAST_OF(a, b, n, ...) TCSIM_LAST_##n(a, b)
#define TCSIM_LAST_1(a, b) (a)
#define TCSIM_LAST_2(a, b) (b)
#define bpf_jit_prog_release_other(a, b) do { } while (0)
#define bpf_prog_lock_ro(p) 0
#define bpf_prog_unlock_free(p) do { } while (0)
#define bpf_prog_kallsyms_verify_off(p) 1
#define bpf_jit_binary_lock_ro(h) 0
#define bpf_jit_binary_unlock_ro(h) do { } while (0)
#define bpf_jit_get_prog_name(p) ""

typedef void (*bpf_jit_fill_hole_t)(void *area, unsigned int size);
void *tcsim_binary_alloc(unsigned int n, u8 **image, void **rw_header, u8 **rw_image, bpf_jit_fill_hole_t fill);
int tcsim_binary_finalize(struct bpf_binary_header *ro, struct bpf_binary_header *rw);
/* 5.18; one more argument in trees of 2025. Until 5.17 there is one image, which is written in place. */
#define bpf_jit_binary_pack_alloc(n, image, align, rw_header, rw_image, fill, ...) \
	tcsim_binary_alloc(n, image, (void **)(rw_header), rw_image, fill)
#define bpf_jit_binary_alloc(n, image, align, fill) tcsim_binary_alloc(n, image, (void **)0, (u8 **)0, fill)
/* with the program as first argument until 6.8 */
#define bpf_jit_binary_pack_finalize(...) TCSIM_FINALIZE(__VA_ARGS__, 3, 2)
#define TCSIM_FINALIZE(a, b, c, n, ...) TCSIM_FINALIZE_##n(a, b, c)
#define TCSIM_FINALIZE_3(a, b, c) tcsim_binary_finalize(b, c)
#define TCSIM_FINALIZE_2(a, b, c) tcsim_binary_finalize(a, b)
#define bpf_jit_binary_pack_free(ro, rw) do { } while (0)
#define bpf_jit_binary_free(h) do { } while (0)
struct bpf_binary_header *bpf_jit_binary_pack_hdr(const struct bpf_prog *p);
struct bpf_binary_header *bpf_jit_binary_hdr(const struct bpf_prog *p);
void *bpf_prog_pack_alloc(u32 n, bpf_jit_fill_hole_t fill, ...);
void bpf_prog_pack_free(void *p, ...);
void *bpf_arch_text_copy(void *to, void *from, size_t n);
/* 5.0: the offset in the image at which the code of each instruction ends */
void bpf_prog_fill_jited_linfo(struct bpf_prog *p, const u32 *ends);
void bpf_prog_update_insn_ptrs(struct bpf_prog *p, u32 *begins, void *image); /* 6.19 */
/* 7.1: indirect jumps and arguments on the stack, which no program of ours has */
static inline bool bpf_insn_is_indirect_target(const struct bpf_verifier_env *env, const struct bpf_prog *p, int i) { return false; }
static inline u16 bpf_out_stack_arg_cnt(const struct bpf_verifier_env *env, const struct bpf_prog *p) { return 0; }

/* kernel functions and traced functions */
#define BTF_FMODEL_STRUCT_ARG BIT(0)
#define BTF_FMODEL_SIGNED_ARG BIT(1)
#define BTF_FMODEL_ARENA_ARG BIT(2)    /* 7.3 */
#define BTF_FMODEL_NULLABLE_ARG BIT(3) /* 7.3 */
struct btf_func_model {
	u8 ret_size, ret_flags, nr_args;
	u8 arg_size[MAX_BPF_FUNC_ARGS], arg_flags[MAX_BPF_FUNC_ARGS];
	TCSIM_MORE(btf_func_model)
};
extern const struct btf_func_model tcsim_kfunc_model;
#define bpf_jit_find_kfunc_model(p, i) (&tcsim_kfunc_model) /* 7.3; also 32-bit kernels */

#define BPF_TRAMP_F_RESTORE_REGS BIT(0)
#define BPF_TRAMP_F_CALL_ORIG BIT(1)
#define BPF_TRAMP_F_SKIP_FRAME BIT(2)
#define BPF_TRAMP_F_IP_ARG BIT(3)          /* 5.16 */
#define BPF_TRAMP_F_RET_FENTRY_RET BIT(4)  /* 5.16 */
#define BPF_TRAMP_F_ORIG_STACK BIT(5)      /* 6.0 */
#define BPF_TRAMP_F_SHARE_IPMODIFY BIT(6)  /* 6.0 */
#define BPF_TRAMP_F_TAIL_CALL_CTX BIT(7)   /* 6.7 and stable trees */
#define BPF_TRAMP_F_INDIRECT BIT(8)        /* 6.8 */
#define BPF_TRAMP_COOKIE_INDEX_SHIFT 8     /* 7.0 */
#define BPF_TRAMP_IS_RETURN_SHIFT 63
enum bpf_tramp_prog_type { BPF_TRAMP_FENTRY, BPF_TRAMP_FEXIT, BPF_TRAMP_MODIFY_RETURN, BPF_TRAMP_FSESSION, BPF_TRAMP_MAX };
struct bpf_run_ctx {  TCSIM_MORE(bpf_run_ctx) };
struct bpf_tramp_run_ctx { struct bpf_run_ctx run_ctx; u64 bpf_cookie; struct bpf_run_ctx *saved_run_ctx;  TCSIM_MORE(bpf_tramp_run_ctx) };
struct bpf_tramp_image { void *image; u32 size; struct bpf_ksym ksym; void *ip_after_call, *ip_epilogue;  TCSIM_MORE(bpf_tramp_image) };
struct bpf_link { struct bpf_prog *prog;  TCSIM_MORE(bpf_link) };
struct bpf_tramp_link { struct bpf_link link; u64 cookie;  TCSIM_MORE(bpf_tramp_link) };
struct bpf_tramp_node { struct bpf_link *link; u64 cookie;  TCSIM_MORE(bpf_tramp_node) };
struct bpf_tramp_progs { struct bpf_prog *progs[BPF_MAX_TRAMP_PROGS]; int nr_progs; };
struct bpf_tramp_links { struct bpf_tramp_link *links[BPF_MAX_TRAMP_LINKS]; int nr_links; }; /* 5.19 */
struct bpf_tramp_nodes { struct bpf_tramp_node *nodes[BPF_MAX_TRAMP_LINKS]; int nr_nodes; }; /* 7.1 */
void *bpf_trampoline_enter(const struct bpf_prog *p);
void *bpf_trampoline_exit(const struct bpf_prog *p);
u64 __bpf_prog_enter(struct bpf_prog *p);
u64 __bpf_prog_enter_sleepable(struct bpf_prog *p);
void __bpf_prog_exit(struct bpf_prog *p, u64 start);
void __bpf_prog_exit_sleepable(struct bpf_prog *p);
void __bpf_tramp_enter(struct bpf_tramp_image *im);
void __bpf_tramp_exit(struct bpf_tramp_image *im);
#define bpf_trampoline_use_jmp(flags) (((flags) & BPF_TRAMP_F_CALL_ORIG) && !((flags) & BPF_TRAMP_F_SKIP_FRAME)) /* 6.19 */
#define bpf_fsession_cnt(nodes) 0        /* 7.0 */
#define bpf_fsession_cookie_cnt(nodes) 0
#define bpf_tramp_arena_base(m, nodes, flags) 0ULL /* 7.3 */
#define bpf_tramp_image_add_skip(im, p, from, to) do { } while (0) /* 7.1 */
struct bpf_attach_target_info;
void bpf_prog_report_arena_violation(bool write, unsigned long addr, unsigned long fault_ip); /* 6.18 */

#endif
