/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The functions and variables of the kernel that its JIT uses. This is compiled in one unit with the user's
 * bpf_jit_comp.c, after it. What only the outside knows is asked for by tcsim_call, which halts the
 * processor: guest.go answers.
 */

enum { TCSIM_ALLOC = 1, TCSIM_PRINT, TCSIM_WARN, TCSIM_BUG, TCSIM_PERCPU, TCSIM_POKE, TCSIM_WAIT, TCSIM_NOMEM, TCSIM_UNKNOWN };

static u64 tcsim_call(u64 nr, u64 a, u64 b, u64 c)
{
	u64 r;

	__asm__ __volatile__("hlt" : "=a"(r) : "a"(nr), "D"(a), "S"(b), "d"(c) : "memory");
	return r;
}

/* memory: never freed, the next request starts anew. Each piece is zeroed. */
u64 tcsim_heap_next, tcsim_heap_end;
static void *tcsim_numbers; /* the first piece that has a u32 for each instruction */
static u64 tcsim_numbers_size;

void *tcsim_alloc(size_t n)
{
	u64 at = (tcsim_heap_next + 15) & ~15ull;

	while (at + n > tcsim_heap_end)
		if (tcsim_call(TCSIM_NOMEM, at + n, 0, 0))
			return NULL;
	tcsim_heap_next = at + n;
	if (n == tcsim_numbers_size && !tcsim_numbers)
		tcsim_numbers = (void *)at;
	return memset((void *)at, 0, n);
}

/* what the old piece did not have is not defined: memory after it */
void *tcsim_realloc(const void *p, size_t n)
{
	void *q = tcsim_alloc(n);

	return p && q ? memcpy(q, p, n) : q;
}

static void *tcsim_copy(void *to, const void *from, size_t n)
{
	u8 *d = to;
	const u8 *s = from;

	for (; n >= 8; n -= 8, d += 8, s += 8)
		__builtin_memcpy(d, s, 8);
	for (; n; n--)
		*d++ = *s++;
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	u8 *d = to;
	const u8 *s = from;

	if (d <= s)
		return tcsim_copy(to, from, n);
	while (n--)
		d[n] = s[n];
	return to;
}

void *memset(void *to, int c, size_t n)
{
	u8 *d = to;
	u64 w = (u8)c * 0x0101010101010101ull;

	for (; n >= 8; n -= 8, d += 8)
		__builtin_memcpy(d, &w, 8);
	for (; n; n--)
		*d++ = c;
	return to;
}

/*
 * While a plan is made, nothing says what the code at a site is at that moment: the first comparison at a
 * place finds what it looks for. Whoever carries the plan out compares again, with the code as it is. But
 * a JIT that looks whether what it is about to write is there already does not find it: tcsim_sites says
 * what the two places of a site should hold before and afterwards.
 */
static const void *tcsim_assumed[32];
static int tcsim_nassumed, tcsim_planning;
static struct { const void *at; u8 before[5], after[5]; } tcsim_sites[2];

static int tcsim_assumes(const void *at)
{
	int i;

	for (i = 0; i < tcsim_nassumed && tcsim_assumed[i] != at; i++)
		;
	return i < tcsim_nassumed;
}

static int tcsim_is_site(const void *at) { return at && (at == tcsim_sites[0].at || at == tcsim_sites[1].at); }

/* until 6.x code that is not live yet is just written */
void *memcpy(void *to, const void *from, size_t n)
{
	if (tcsim_planning && n <= 8 && (tcsim_assumes(to) || tcsim_is_site(to)))
		tcsim_call(TCSIM_POKE, (u64)to, (u64)from, n);
	return tcsim_copy(to, from, n);
}

static int tcsim_differ(const u8 *p, const u8 *q, size_t n)
{
	for (; n; n--, p++, q++)
		if (*p != *q)
			return *p - *q;
	return 0;
}

/* whether a comparison asks if the code of a site is as it should be afterwards, and only afterwards */
static int tcsim_looks_ahead(const void *a, const void *b, size_t n)
{
	for (int i = 0; i < 2; i++)
		if (a == tcsim_sites[i].at && n == 5 && !tcsim_differ(b, tcsim_sites[i].after, 5) &&
		    tcsim_differ(b, tcsim_sites[i].before, 5)) {
			tcsim_copy((void *)a, tcsim_sites[i].before, 5);
			return 1;
		}
	return 0;
}

int memcmp(const void *a, const void *b, size_t n)
{
	if (tcsim_planning && n <= 8 && is_bpf_text_address((unsigned long)a) && !tcsim_assumes(a) &&
	    tcsim_nassumed < (int)ARRAY_SIZE(tcsim_assumed) && !tcsim_looks_ahead(a, b, n)) {
		tcsim_assumed[tcsim_nassumed++] = a;
		tcsim_copy((void *)a, b, n);
		tcsim_call(TCSIM_POKE, (u64)a, (u64)b, 0);
	}
	return tcsim_differ(a, b, n);
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

size_t strnlen(const char *s, size_t most)
{
	size_t n = 0;

	while (n < most && s[n])
		n++;
	return n;
}

ssize_t strscpy(char *to, const char *from, size_t n)
{
	size_t len = strnlen(from, n);

	if (!n)
		return -E2BIG;
	tcsim_copy(to, from, len < n ? len : n - 1);
	to[len < n ? len : n - 1] = 0;
	return len < n ? (ssize_t)len : -E2BIG;
}

char *strcpy(char *to, const char *from) { return tcsim_copy(to, from, strlen(from) + 1); }

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n && *a && *a == *b; n--, a++, b++)
		;
	return n ? (u8)*a - (u8)*b : 0;
}

void *memchr(const void *s, int c, size_t n)
{
	const u8 *p = s;

	for (; n && *p != (u8)c; n--)
		p++;
	return n ? (void *)p : NULL;
}

char *strchr(const char *s, int c) { return memchr(s, c, strlen(s) + 1); }

int strcmp(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	return (u8)*a - (u8)*b;
}

void sort(void *base, size_t n, size_t size, int (*cmp)(const void *, const void *), void (*swp)(void *, void *, int))
{
	u8 *p = base, t;

	for (size_t i = 1; i < n; i++)
		for (size_t j = i; j && cmp(p + (j - 1) * size, p + j * size) > 0; j--)
			for (size_t k = 0; k < size; k++) {
				t = p[j * size + k];
				p[j * size + k] = p[(j - 1) * size + k];
				p[(j - 1) * size + k] = t;
			}
}

/* messages */
void tcsim_print(const char *file, int line, const char *fmt, ...)
{
	u64 args[9] = {(u64)fmt};
	__builtin_va_list ap;

	__builtin_va_start(ap, fmt);
	for (int i = 1; i < 9; i++)
		args[i] = __builtin_va_arg(ap, u64);
	__builtin_va_end(ap);
	tcsim_call(TCSIM_PRINT, (u64)file, line, (u64)args);
}

void tcsim_warn(const char *file, int line, const char *what)
{
	tcsim_call(TCSIM_WARN, (u64)file, line, (u64)what);
}

void tcsim_bug(const char *file, int line, const char *what)
{
	for (;;)
		tcsim_call(TCSIM_BUG, (u64)file, line, (u64)what);
}

u64 *tcsim_unknown(const char *file, int line, const char *name)
{
	return (u64 *)tcsim_call(TCSIM_UNKNOWN, (u64)file, line, (u64)name);
}

/* what the target says */
u8 tcsim_features[256];
u64 tcsim_call_depth, tcsim_thunks[8];
void (*x86_return_thunk)(void);
enum cfi_mode cfi_mode;
bool cfi_bhi;
u32 cfi_bpf_hash, cfi_bpf_subprog_hash;
int bpf_jit_enable = 1, bpf_jit_harden, tcsim_limit = 33;
struct mutex text_mutex;
struct cpuinfo_x86 boot_cpu_data = { .x86 = 6, .x86_vendor = X86_VENDOR_INTEL, .x86_model = 60 };
struct user_namespace init_user_ns;
const struct btf_func_model tcsim_kfunc_model;

static const u8 tcsim_nops[][11] = {
	{0x90}, {0x66, 0x90}, {0x0f, 0x1f, 0x00}, {0x0f, 0x1f, 0x40, 0x00}, {0x0f, 0x1f, 0x44, 0x00, 0x00},
	{0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00}, {0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00},
	{0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00}, {0x2e, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
	{0x66, 0x2e, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
	{0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
};
#undef ideal_nops
const unsigned char *const x86_nops[] = {
	NULL, tcsim_nops[0], tcsim_nops[1], tcsim_nops[2], tcsim_nops[3], tcsim_nops[4], tcsim_nops[5],
	tcsim_nops[6], tcsim_nops[7], tcsim_nops[8], tcsim_nops[9], tcsim_nops[10],
};

extern u8 __x86_indirect_its_thunk_rcx[]; /* number 1 of its array */
u8 *its_static_thunk(int reg) { return __x86_indirect_its_thunk_rcx + (reg - 1) * 64; }

/* sar qword ptr gs:[...], 5, unless the kernel calls the function itself and so has a thunk of it (callthunks.c) */
#if TCSIM_ACCOUNT_ARGS == 3
int x86_call_depth_emit_accounting(u8 **pprog, void *func, void *ip)
#else
int x86_call_depth_emit_accounting(u8 **pprog, void *func)
#endif
{
	u8 *p = *pprog;
	s32 to;

	if (!tcsim_call_depth)
		return 0;
	for (int i = 0; func && i < (int)ARRAY_SIZE(tcsim_thunks); i++)
		if ((u64)func == tcsim_thunks[i])
			return 0;
	*p++ = 0x65, *p++ = 0x48, *p++ = 0xc1;
#if TCSIM_ACCOUNT_ARGS == 3
	*p++ = 0x3d;
	to = (s32)(tcsim_call_depth - (u64)ip - 9);
#else
	*p++ = 0x3c, *p++ = 0x25;
	to = (s32)tcsim_call_depth;
#endif
	memcpy(p, &to, 4);
	p += 4;
	*p++ = 5;
	to = p - *pprog;
	*pprog = p;
	return to;
}

u32 get_random_u32(void)
{
	static u32 state = 1;

	return state = state * 1664525 + 1013904223;
}

/* changes of code */
bool is_kernel_text(unsigned long a) { return false; }
bool core_kernel_text(unsigned long a) { return false; }
bool is_bpf_text_address(unsigned long a) { return a >= TCSIM_TEXT_FROM && a < TCSIM_TEXT_TO; }

void text_poke_bp(void *at, const void *code, size_t n, const void *emulate)
{
	tcsim_call(TCSIM_POKE, (u64)at, (u64)code, n);
	tcsim_copy(at, code, n);
}

void smp_text_poke_single(void *at, const void *code, size_t n, const void *emulate) { text_poke_bp(at, code, n, emulate); }
void *text_poke_copy(void *at, const void *code, size_t n) { return memcpy(at, code, n); }
void *text_poke_set(void *at, int c, size_t n) { return memset(at, c, n); }
void *text_poke(void *at, const void *code, size_t n)
{
	text_poke_bp(at, code, n, NULL);
	return at;
}
void text_poke_finish(void) { }
void text_poke_sync(void) { }
void synchronize_rcu(void) { tcsim_call(TCSIM_WAIT, 0, 0, 0); }

/* images: the place of the code is decided outside; it may be written in another buffer and copied at the end */
static u64 tcsim_function; /* the one that is being compiled */
static struct { u64 image, rw, n; } tcsim_binaries[TCSIM_MAX_FUNCS];

void *tcsim_binary_alloc(unsigned int n, u8 **image, void **rw_header, u8 **rw_image, bpf_jit_fill_hole_t fill)
{
	u64 at[2];

	if (tcsim_function >= ARRAY_SIZE(tcsim_binaries) || tcsim_call(TCSIM_ALLOC, tcsim_function, n, (u64)at))
		return NULL;
	tcsim_binaries[tcsim_function].image = at[0];
	tcsim_binaries[tcsim_function].rw = rw_image ? at[1] : 0;
	tcsim_binaries[tcsim_function].n = n;
	*image = (u8 *)at[0];
	if (!rw_image) {
		fill(*image, n);
		return (void *)(at[0] - sizeof(struct bpf_binary_header));
	}
	*rw_image = (u8 *)at[1];
	fill(*rw_image, n);
	*rw_header = (void *)(at[1] - sizeof(struct bpf_binary_header));
	return (void *)(at[0] - sizeof(struct bpf_binary_header));
}

int tcsim_binary_finalize(struct bpf_binary_header *ro, struct bpf_binary_header *rw)
{
	for (int i = 0; i < (int)ARRAY_SIZE(tcsim_binaries); i++)
		if (tcsim_binaries[i].image == (u64)ro + sizeof(*ro) && tcsim_binaries[i].rw) {
			memcpy((void *)tcsim_binaries[i].image, (void *)tcsim_binaries[i].rw, tcsim_binaries[i].n);
			tcsim_binaries[i].rw = 0;
			return 0;
		}
	return -EINVAL;
}

void *tcsim_alloc_percpu(size_t n) { return (void *)tcsim_call(TCSIM_PERCPU, tcsim_function, n, 0); }

