/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The encoding of BPF instructions (RFC 9669), and what kernels add for the use of their JITs.
 */
#ifndef TCSIM_INSN_H
#define TCSIM_INSN_H

#include "types.h"

/* classes */
#define BPF_CLASS(code) ((code) & 7)
#define BPF_LD 0
#define BPF_LDX 1
#define BPF_ST 2
#define BPF_STX 3
#define BPF_ALU 4
#define BPF_JMP 5
#define BPF_RET 6
#define BPF_MISC 7
#define BPF_JMP32 6
#define BPF_ALU64 7

/* sizes and modes of loads and stores */
#define BPF_SIZE(code) ((code) & 0x18)
#define BPF_W 0x00
#define BPF_H 0x08
#define BPF_B 0x10
#define BPF_DW 0x18
#define BPF_MODE(code) ((code) & 0xe0)
#define BPF_IMM 0x00
#define BPF_ABS 0x20
#define BPF_IND 0x40
#define BPF_MEM 0x60
#define BPF_LEN 0x80
#define BPF_MSH 0xa0
#define BPF_MEMSX 0x80
#define BPF_ATOMIC 0xc0
#define BPF_XADD 0xc0
#define BPF_PROBE_MEM 0x20
#define BPF_PROBE_MEMSX 0x40
#define BPF_PROBE_MEM32 0xa0
#define BPF_PROBE_ATOMIC 0xe0
#define BPF_PROBE_MEM32SX 0xc0

/* operations and operands */
#define BPF_OP(code) ((code) & 0xf0)
#define BPF_SRC(code) ((code) & 0x08)
#define BPF_K 0
#define BPF_X 8
#define BPF_ADD 0x00
#define BPF_SUB 0x10
#define BPF_MUL 0x20
#define BPF_DIV 0x30
#define BPF_OR 0x40
#define BPF_AND 0x50
#define BPF_LSH 0x60
#define BPF_RSH 0x70
#define BPF_NEG 0x80
#define BPF_MOD 0x90
#define BPF_XOR 0xa0
#define BPF_MOV 0xb0
#define BPF_ARSH 0xc0
#define BPF_END 0xd0
#define BPF_TO_LE 0x00
#define BPF_TO_BE 0x08
#define BPF_FROM_LE BPF_TO_LE
#define BPF_FROM_BE BPF_TO_BE
#define BPF_FETCH 1
#define BPF_XCHG (0xe0 | BPF_FETCH)
#define BPF_CMPXCHG (0xf0 | BPF_FETCH)
#define BPF_LOAD_ACQ 0x100
#define BPF_STORE_REL 0x110
#define BPF_JA 0x00
#define BPF_JEQ 0x10
#define BPF_JGT 0x20
#define BPF_JGE 0x30
#define BPF_JSET 0x40
#define BPF_JNE 0x50
#define BPF_JSGT 0x60
#define BPF_JSGE 0x70
#define BPF_CALL 0x80
#define BPF_EXIT 0x90
#define BPF_JLT 0xa0
#define BPF_JLE 0xb0
#define BPF_JSLT 0xc0
#define BPF_JSLE 0xd0
#define BPF_JCOND 0xe0
#define BPF_TAIL_CALL 0xf0
#define BPF_NOSPEC 0xc0

#define BPF_PSEUDO_MAP_FD 1
#define BPF_PSEUDO_MAP_VALUE 2
#define BPF_PSEUDO_CALL 1
#define BPF_PSEUDO_KFUNC_CALL 2
#define BPF_PSEUDO_FUNC 4
#define BPF_ADDR_PERCPU (-1)
#define BPF_ADDR_SPACE_CAST 1 /* 6.9 */

/* registers; how many there are before BPF_REG_AX is a fact of the kernel */
enum {
	BPF_REG_0, BPF_REG_1, BPF_REG_2, BPF_REG_3, BPF_REG_4, BPF_REG_5,
	BPF_REG_6, BPF_REG_7, BPF_REG_8, BPF_REG_9, BPF_REG_10, MAX_BPF_REG,
};
#define BPF_REG_FP BPF_REG_10
#define BPF_REG_ARG1 BPF_REG_1
#define BPF_REG_CTX BPF_REG_6
#define BPF_REG_PARAMS MAX_BPF_REG /* 7.1 */
#define BPF_REG_AX TCSIM_REG_AX
#define MAX_BPF_EXT_REG (BPF_REG_AX + 1)
#define MAX_BPF_JIT_REG MAX_BPF_EXT_REG

struct bpf_insn {
	u8 code;
	u8 dst_reg : 4;
	u8 src_reg : 4;
	s16 off;
	s32 imm;
};

struct sock_filter { u16 code; u8 jt, jf; u32 k; };

static inline bool insn_is_zext(const struct bpf_insn *i)
{
	return i->code == (BPF_ALU | BPF_MOV | BPF_X) && i->imm == 1;
}
/* 6.9 */
static inline bool insn_is_cast_user(const struct bpf_insn *i)
{
	return i->code == (BPF_ALU64 | BPF_MOV | BPF_X) && i->off == 1 && i->imm == 1 << 16;
}
/* 6.10 */
static inline bool insn_is_mov_percpu_addr(const struct bpf_insn *i)
{
	return i->code == (BPF_ALU64 | BPF_MOV | BPF_X) && i->off == BPF_ADDR_PERCPU;
}
static inline bool bpf_pseudo_func(const struct bpf_insn *i)
{
	return i->code == (BPF_LD | BPF_IMM | BPF_DW) && i->src_reg == BPF_PSEUDO_FUNC;
}
static inline bool bpf_pseudo_call(const struct bpf_insn *i)
{
	return i->code == (BPF_JMP | BPF_CALL) && i->src_reg == BPF_PSEUDO_CALL;
}
/* 6.15 */
static inline bool bpf_atomic_is_load_store(const struct bpf_insn *i)
{
	return i->imm == BPF_LOAD_ACQ || i->imm == BPF_STORE_REL;
}
static inline bool bpf_atomic_is_load_acq(const struct bpf_insn *i)
{
	return i->imm == BPF_LOAD_ACQ;
}
/* until 6.0: the size of an access, -EINVAL for others */
static inline int bytes_to_bpf_size(u32 bytes)
{
	return bytes == 8 ? BPF_DW : bytes == 4 ? BPF_W : bytes == 2 ? BPF_H : bytes == 1 ? BPF_B : -EINVAL;
}

/* 7.1: the register that an atomic instruction loads, -1 if none */
static inline int bpf_atomic_load_reg(const struct bpf_insn *i)
{
	int mode = BPF_MODE(i->code);

	if (BPF_CLASS(i->code) != BPF_STX || (mode != BPF_ATOMIC && mode != BPF_PROBE_ATOMIC))
		return -1;
	if (i->imm == BPF_CMPXCHG)
		return BPF_REG_0;
	if (i->imm == BPF_LOAD_ACQ)
		return i->dst_reg;
	return i->imm & BPF_FETCH ? i->src_reg : -1;
}

#endif
