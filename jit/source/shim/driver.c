/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The callers of the JIT: what loads programs, what changes prog arrays, what attaches tracing programs.
 * This is compiled in one unit with the user's bpf_jit_comp.c, after it and runtime.c. Requests come as
 * structures of 64-bit words (load.go, pokes.go, tramp.go); the entry points are tcsim_load, tcsim_update,
 * tcsim_fixup, tcsim_trace and tcsim_landing.
 */

/* loading a program: jit_subprogs of kernel/bpf/verifier.c, bpf_prog_select_runtime of kernel/bpf/core.c */
enum {
	TCSIM_REACHABLE = 1, TCSIM_BOUNDARY = 2, TCSIM_CALLBACK = 4, TCSIM_PRIVATE = 8,
};

struct tcsim_func {
	u64 insns, len, depth, flags, exentries;
	u64 ends;                       /* out: u32 for the prologue and each instruction, where its code ends */
	u64 bpf_func, jited_len, image; /* out */
};

struct tcsim_poke {
	u64 insn, func, map, key;
	u64 ip, target, bypass, out, adj; /* out */
};

struct tcsim_job {
	u64 nfuncs, funcs, npokes, pokes, arena_kern, arena_user, type;
};

static u32 *tcsim_ends;

void bpf_prog_fill_jited_linfo(struct bpf_prog *p, const u32 *ends)
{
	if (tcsim_ends) /* the word before is the end of the prologue */
		memcpy(tcsim_ends, ends - 1, (p->len + 1) * sizeof(u32));
}

/*
 * Until 4.20 the JIT does not tell where the code of instructions ends: it is in the array that has a number
 * for each, when that is freed.
 */
void tcsim_free(const void *p)
{
#if !TCSIM_HAVE_LINES
	if (tcsim_ends && tcsim_numbers && p == tcsim_numbers)
		memcpy(tcsim_ends + 1, p, tcsim_numbers_size);
#endif
}

void bpf_prog_update_insn_ptrs(struct bpf_prog *p, u32 *begins, void *image) { }

static struct bpf_prog *tcsim_jit(struct bpf_prog *p)
{
	tcsim_function = p->aux->func_idx;
	tcsim_numbers = NULL;
	tcsim_numbers_size = p->len * sizeof(u32);
#if TCSIM_HAVE_ENV
	return bpf_int_jit_compile(NULL, p);
#else
	return bpf_int_jit_compile(p);
#endif
}

static struct bpf_prog *tcsim_prog(u64 len)
{
	struct bpf_prog *p = tcsim_alloc(sizeof(*p) + len * sizeof(struct bpf_insn));

	if (p) {
		p->aux = tcsim_alloc(sizeof(*p->aux));
		p->jit_requested = 1;
		p->len = len;
	}
	return p;
}

/* calls and pointers of the program's own functions: before their addresses are known, and then */
static void tcsim_link(struct bpf_prog *p, struct bpf_prog **func, struct tcsim_func *f)
{
	struct bpf_insn *from = (void *)f->insns, *i = p->insnsi;
	u64 a;

	for (u32 n = 0; n < p->len; n++, i++, from++) {
		if (bpf_pseudo_func(i)) {
			a = func ? (u64)func[from->imm]->bpf_func : MODULES_VADDR;
			i[0].imm = (s32)a;
			i[1].imm = (s32)(a >> 32);
		} else if (bpf_pseudo_call(i)) {
			i->imm = func ? BPF_CALL_IMM(func[from->imm]->bpf_func) : 1;
		}
	}
}

/*
 * The direct tail calls of a subprogram. Since 5.13 and in stable trees all functions share a table, and each
 * entry says whose it is; before, each function has its own, with copies.
 */
static struct bpf_jit_poke_descriptor **tcsim_poke_at;

static void tcsim_own_pokes(struct tcsim_job *job, u64 n, struct bpf_prog *p, struct bpf_jit_poke_descriptor *pokes)
{
	struct tcsim_func *f = (void *)job->funcs;
	struct tcsim_poke *in = (void *)job->pokes;
	u64 first = (f[n].insns - f[0].insns) / sizeof(struct bpf_insn);
	u32 own = 0;

#if !TCSIM_SHARED_POKES
	p->aux->poke_tab = tcsim_alloc(job->npokes * sizeof(*pokes));
#endif
	for (u64 i = 0; i < job->npokes; i++) {
		if (in[i].func != n)
			continue;
		pokes[i].aux = p->aux;
#if !TCSIM_SHARED_POKES
		p->aux->poke_tab[own] = pokes[i];
		tcsim_poke_at[i] = &p->aux->poke_tab[own++];
		p->insnsi[in[i].insn - first].imm = own;
#endif
	}
	p->aux->size_poke_tab = TCSIM_SHARED_POKES ? job->npokes : own;
}

static struct bpf_prog *tcsim_prepare(struct tcsim_job *job, u64 n, struct bpf_jit_poke_descriptor *pokes)
{
	struct tcsim_func *f = (struct tcsim_func *)job->funcs + n;
	struct tcsim_poke *in = (void *)job->pokes;
	struct bpf_prog *p = tcsim_prog(f->len);

	if (!p)
		return NULL;
	memcpy(p->insnsi, (void *)f->insns, f->len * sizeof(struct bpf_insn));
	p->type = job->type;
	p->is_func = job->nfuncs > 1;
	p->aux->prog = p;
	p->aux->func_idx = n;
	p->aux->stack_depth = f->depth;
	p->aux->num_exentries = f->exentries;
	p->aux->tail_call_reachable = !!(f->flags & TCSIM_REACHABLE);
	p->aux->exception_boundary = !!(f->flags & TCSIM_BOUNDARY);
	p->aux->exception_cb = !!(f->flags & TCSIM_CALLBACK);
	p->aux->jits_use_priv_stack = !!(f->flags & TCSIM_PRIVATE);
	if (job->arena_kern) {
		p->aux->arena = tcsim_alloc(sizeof(struct bpf_arena));
		p->aux->arena->kern = job->arena_kern;
		p->aux->arena->user = job->arena_user;
	}
	p->aux->poke_tab = pokes;
	p->aux->size_poke_tab = job->npokes;
	if (p->is_func)
		tcsim_own_pokes(job, n, p, pokes);
	tcsim_link(p, NULL, f);
	return p;
}

static struct bpf_jit_poke_descriptor *tcsim_pokes(struct tcsim_job *job)
{
	struct bpf_jit_poke_descriptor *pokes = tcsim_alloc(job->npokes * sizeof(*pokes));
	struct tcsim_poke *in = (void *)job->pokes;
	u32 most = 0;
	struct bpf_array *a;

	for (u64 i = 0; i < job->npokes; i++)
		most = max(most, (u32)in[i].key);
	/* only the slots matter, all empty: one array does for all */
	a = tcsim_alloc(sizeof(*a) + (job->npokes ? (most + 1) * sizeof(void *) : 0));
	if (!a)
		return NULL;
	a->aux = tcsim_alloc(sizeof(*a->aux));
	tcsim_poke_at = tcsim_alloc(job->npokes * sizeof(*tcsim_poke_at));
	for (u64 i = 0; i < job->npokes; i++) {
		tcsim_poke_at[i] = &pokes[i];
		pokes[i].tail_call.map = &a->map;
		pokes[i].tail_call.key = in[i].key;
		pokes[i].insn_idx = in[i].insn;
		pokes[i].reason = BPF_POKE_REASON_TAIL_CALL;
	}
	return pokes;
}

/* tcsim_load returns 0, or one more than the number of the function for which the JIT made no code. */
u64 tcsim_load(struct tcsim_job *job)
{
	struct bpf_jit_poke_descriptor *pokes = tcsim_pokes(job);
	struct bpf_prog **func = tcsim_alloc(job->nfuncs * sizeof(*func));
	struct tcsim_func *f = (void *)job->funcs;
	struct tcsim_poke *in = (void *)job->pokes;
	u64 n = job->nfuncs, i;

	tcsim_planning = 0;
	for (i = 0; i < n; i++) {
		func[i] = tcsim_prepare(job, i, pokes);
		if (!pokes || !func[i])
			return i + 1;
#if TCSIM_HAVE_HOOK
		tcsim_function = i;
		tcsim_before_jit(func[i], func[0]);
#endif
		tcsim_ends = (void *)f[i].ends;
		func[i] = tcsim_jit(func[i]);
		if (!func[i]->jited)
			return i + 1;
	}
	for (i = 0; n > 1 && i < n; i++) {
		tcsim_link(func[i], func, &f[i]);
		func[i]->aux->func = func;
		func[i]->aux->func_cnt = func[i]->aux->real_func_cnt = n;
	}
	for (i = 0; n > 1 && i < n; i++) {
		void *before = func[i]->bpf_func;
		struct bpf_prog *p;

		tcsim_ends = (void *)f[i].ends;
		p = tcsim_jit(func[i]);
		if (p != func[i] || (void *)p->bpf_func != before)
			return i + 1;
	}
	for (i = 0; i < n; i++) {
		f[i].bpf_func = (u64)func[i]->bpf_func;
		/* until 4.13 the size is in no field: it is where the last instruction ends */
		f[i].jited_len = func[i]->jited_len ? func[i]->jited_len : ((u32 *)f[i].ends)[func[i]->len];
		f[i].image = tcsim_binaries[i].image;
	}
	for (i = 0; i < job->npokes; i++) {
		in[i].ip = (u64)tcsim_poke_at[i]->ip;
		in[i].target = (u64)tcsim_poke_at[i]->tailcall_target;
		in[i].bypass = (u64)tcsim_poke_at[i]->tailcall_bypass;
		in[i].out = (u64)tcsim_poke_at[i]->bypass_addr;
		in[i].adj = tcsim_poke_at[i]->adj_off;
	}
	return 0;
}

/*
 * tcsim_landing is how far after bpf_func the JIT says a tail call enters, -1 if it does not say. What its code says is
 * in tcsim_shown_landing then.
 */
u64 tcsim_shown_landing = -1;

u64 tcsim_landing(void)
{
	if (tcsim_shown_landing != (u64)-1)
		return tcsim_shown_landing;
#if defined(X86_TAIL_CALL_OFFSET)
	return X86_TAIL_CALL_OFFSET;
#elif defined(PROLOGUE_SIZE)
	return PROLOGUE_SIZE;
#else
	return -1;
#endif
}

/* direct tail calls */
struct tcsim_site {
	u64 target, bypass, out; /* a JIT with one place (until 5.9) has it in target */
	u64 old, new;            /* landings of the programs in the slot, 0 for none */
	u64 adj;                 /* what the JIT said: how far after bpf_func the site enters */
};

#if TCSIM_HAVE_POKES
/* where a site enters a program, which until 6.6 is for arraymap.c to say */
static void *tcsim_enter(struct tcsim_site *s, u64 landing)
{
	return landing ? (void *)(landing - tcsim_landing() + s->adj) : NULL;
}

/* a jump from one place to another, a nop if there is none */
static void tcsim_jump(u8 *code, u64 at, void *to)
{
	s32 rel = (s32)((u64)to - at - 5);

	tcsim_copy(code, x86_nops[5], 5);
	if (to) {
		code[0] = 0xe9;
		tcsim_copy(code + 1, &rel, 4);
	}
}

static void tcsim_describe(struct bpf_jit_poke_descriptor *p, struct tcsim_site *s)
{
	p->ip = p->tailcall_target = (void *)s->target;
	p->tailcall_bypass = (void *)s->bypass;
	p->bypass_addr = (void *)s->out;
	p->adj_off = s->adj;
	p->reason = BPF_POKE_REASON_TAIL_CALL;
	tcsim_planning = 1;
	tcsim_nassumed = 0;
	tcsim_sites[0].at = (void *)s->target;
	tcsim_jump(tcsim_sites[0].before, s->target, tcsim_enter(s, s->old));
	tcsim_jump(tcsim_sites[0].after, s->target, tcsim_enter(s, s->new));
	tcsim_sites[1].at = (void *)s->bypass;
	tcsim_jump(tcsim_sites[1].before, s->bypass, s->old ? NULL : (void *)s->out);
	tcsim_jump(tcsim_sites[1].after, s->bypass, s->new ? NULL : (void *)s->out);
}

static struct bpf_prog *tcsim_at(u64 landing)
{
	struct bpf_prog *p = landing ? tcsim_prog(0) : NULL;

	if (p)
		p->bpf_func = (void *)(landing - tcsim_landing());
	return p;
}
#endif

/* tcsim_fixup is what loading a program does to a site of it whose slot is filled. */
u64 tcsim_fixup(struct tcsim_site *s)
{
#if TCSIM_HAVE_POKES
	struct bpf_jit_poke_descriptor *p = tcsim_alloc(sizeof(*p));
	struct bpf_array *a = tcsim_alloc(sizeof(*a) + sizeof(void *));
	struct bpf_prog *prog = tcsim_prog(0);

	tcsim_describe(p, s);
	a->aux = tcsim_alloc(sizeof(*a->aux));
	a->ptrs[0] = tcsim_at(s->new);
	p->tail_call.map = &a->map;
	prog->aux->poke_tab = p;
	prog->aux->size_poke_tab = 1;
	bpf_tail_call_direct_fixup(prog);
#endif
	return 0;
}

/*
 * tcsim_update is what a change of the slot does to a site: since 6.7 the JIT itself knows the order, before
 * it is in prog_array_map_poke_run (kernel/bpf/arraymap.c).
 */
u64 tcsim_update(struct tcsim_site *s)
{
#if TCSIM_HAVE_POKES
	struct bpf_jit_poke_descriptor *p = tcsim_alloc(sizeof(*p));

	tcsim_describe(p, s);
#if TCSIM_HAVE_DESC_UPDATE
	bpf_arch_poke_desc_update(p, tcsim_at(s->new), tcsim_at(s->old));
#elif TCSIM_HAVE_BYPASS
	void *old = tcsim_enter(s, s->old), *new = tcsim_enter(s, s->new), *out = (void *)s->out;
	int ret;

	if (new) {
		ret = bpf_arch_text_poke(p->tailcall_target, BPF_MOD_JUMP, old, new);
		BUG_ON(ret < 0 && ret != -EINVAL);
		if (!old) {
			ret = bpf_arch_text_poke(p->tailcall_bypass, BPF_MOD_JUMP, out, NULL);
			BUG_ON(ret < 0 && ret != -EINVAL);
		}
	} else {
		ret = bpf_arch_text_poke(p->tailcall_bypass, BPF_MOD_JUMP, old ? NULL : out, out);
		BUG_ON(ret < 0 && ret != -EINVAL);
		if (!ret)
			synchronize_rcu();
		ret = bpf_arch_text_poke(p->tailcall_target, BPF_MOD_JUMP, old, NULL);
		BUG_ON(ret < 0 && ret != -EINVAL);
	}
#else
	if (s->old != s->new)
		BUG_ON(bpf_arch_text_poke(p->ip, BPF_MOD_JUMP, tcsim_enter(s, s->old), tcsim_enter(s, s->new)) < 0);
#endif
#endif
	return 0;
}

/* trampolines */
extern u64 __bpf_prog_enter_recur(struct bpf_prog *p, struct bpf_tramp_run_ctx *ctx);
extern void __bpf_prog_exit_recur(struct bpf_prog *p, u64 start, struct bpf_tramp_run_ctx *ctx);
void *bpf_trampoline_enter(const struct bpf_prog *p) { return __bpf_prog_enter_recur; }
void *bpf_trampoline_exit(const struct bpf_prog *p) { return __bpf_prog_exit_recur; }

struct tcsim_tracer { u64 func, prog; };

struct tcsim_trace {
	u64 image, room, flags, func, im, nargs, args; /* im: address of struct bpf_tramp_image; args: a byte each */
	u64 entry;                                     /* what the function begins with, 0 if that does not matter */
	u64 count[3], progs[3];                        /* fentry, fexit, fmod_ret */
};

#if TCSIM_HAVE_TRAMP
/* the programs of one kind come as an array of pointers to programs (4: without a structure), to links, or to nodes */
static void tcsim_tramp_add(TCSIM_TRAMP_LIST *list, struct bpf_prog *p)
{
#if TCSIM_HAVE_TRAMP == 1 || TCSIM_HAVE_TRAMP == 4
	list->progs[list->nr_progs++] = p;
#elif TCSIM_HAVE_TRAMP == 2
	struct bpf_tramp_link *l = tcsim_alloc(sizeof(*l));

	l->link.prog = p;
	list->links[list->nr_links++] = l;
#else
	struct bpf_tramp_node *n = tcsim_alloc(sizeof(*n));

	n->link = tcsim_alloc(sizeof(*n->link));
	n->link->prog = p;
	list->nodes[list->nr_nodes++] = n;
#endif
}
#endif

/* tcsim_trace returns the size that the JIT reports, or an error. */
u64 tcsim_trace(struct tcsim_trace *t)
{
#if TCSIM_HAVE_TRAMP
	TCSIM_TRAMP_LIST *all = tcsim_alloc(BPF_TRAMP_MAX * sizeof(*all));
	struct btf_func_model *m = tcsim_alloc(sizeof(*m));
	long size;

	tcsim_planning = 0;
	m->nr_args = t->nargs;
	m->ret_size = 8;
	for (u64 i = 0; i < t->nargs; i++)
		m->arg_size[i] = ((u8 *)t->args)[i];
	for (int kind = 0; kind < 3; kind++) {
		struct tcsim_tracer *by = (void *)t->progs[kind];

		if (t->count[kind] > BPF_MAX_TRAMP_LINKS)
			return -E2BIG;
		for (u64 i = 0; i < t->count[kind]; i++) {
			struct bpf_prog *p = (void *)by[i].prog;

			p->bpf_func = (void *)by[i].func;
			p->jited = 1;
			p->aux = tcsim_alloc(sizeof(*p->aux));
			tcsim_tramp_add(&all[kind], p);
		}
	}
	memset((void *)t->image, 0xcc, t->room);
	if (t->entry) /* the room for the trampoline can reach over the function */
		*(u32 *)t->func = t->entry;
#if TCSIM_HAVE_TRAMP == 4
	size = arch_prepare_bpf_trampoline((void *)t->image, (void *)(t->image + t->room), m, t->flags,
					   all[BPF_TRAMP_FENTRY].progs, all[BPF_TRAMP_FENTRY].nr_progs,
					   all[BPF_TRAMP_FEXIT].progs, all[BPF_TRAMP_FEXIT].nr_progs, (void *)t->func);
#elif !TCSIM_TRAMP_IMAGE
	size = arch_prepare_bpf_trampoline((void *)t->image, (void *)(t->image + t->room), m, t->flags, all, (void *)t->func);
#else
	size = arch_prepare_bpf_trampoline((void *)t->im, (void *)t->image, (void *)(t->image + t->room),
					   m, t->flags, all, (void *)t->func);
#endif
	return size;
#else
	return -EOPNOTSUPP;
#endif
}
