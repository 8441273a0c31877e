// SPDX-License-Identifier: GPL-2.0-only

package x86_test

import (
	"bytes"
	"testing"

	"github.com/tcsim/tcsim/jit/x86"
)

// methods pairs each form with its method, and the operands that the method is given.
var methods = [x86.NumForms]struct {
	call     func(b *x86.Buf)
	operands encoding
}{
	x86.FormAdd32MR:     {func(b *x86.Buf) { b.Add32MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormAdd64MR:     {func(b *x86.Buf) { b.Add64MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormAdd32MI8:    {func(b *x86.Buf) { b.Add32MI8(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormAdd64MI8:    {func(b *x86.Buf) { b.Add64MI8(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormAdd32MI32:   {func(b *x86.Buf) { b.Add32MI32(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormAdd64MI32:   {func(b *x86.Buf) { b.Add64MI32(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormAdd32I:      {func(b *x86.Buf) { b.Add32I(0x5a) }, encoding{}},
	x86.FormAdd64I:      {func(b *x86.Buf) { b.Add64I(0x5a) }, encoding{}},
	x86.FormOr32MR:      {func(b *x86.Buf) { b.Or32MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormOr64MR:      {func(b *x86.Buf) { b.Or64MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormOr32MI8:     {func(b *x86.Buf) { b.Or32MI8(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormOr64MI8:     {func(b *x86.Buf) { b.Or64MI8(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormOr32MI32:    {func(b *x86.Buf) { b.Or32MI32(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormOr64MI32:    {func(b *x86.Buf) { b.Or64MI32(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormOr32I:       {func(b *x86.Buf) { b.Or32I(0x5a) }, encoding{}},
	x86.FormOr64I:       {func(b *x86.Buf) { b.Or64I(0x5a) }, encoding{}},
	x86.FormAnd32MR:     {func(b *x86.Buf) { b.And32MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormAnd64MR:     {func(b *x86.Buf) { b.And64MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormAnd32MI8:    {func(b *x86.Buf) { b.And32MI8(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormAnd64MI8:    {func(b *x86.Buf) { b.And64MI8(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormAnd32MI32:   {func(b *x86.Buf) { b.And32MI32(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormAnd64MI32:   {func(b *x86.Buf) { b.And64MI32(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormAnd32I:      {func(b *x86.Buf) { b.And32I(0x5a) }, encoding{}},
	x86.FormAnd64I:      {func(b *x86.Buf) { b.And64I(0x5a) }, encoding{}},
	x86.FormSub32MR:     {func(b *x86.Buf) { b.Sub32MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormSub64MR:     {func(b *x86.Buf) { b.Sub64MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormSub32MI8:    {func(b *x86.Buf) { b.Sub32MI8(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormSub64MI8:    {func(b *x86.Buf) { b.Sub64MI8(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormSub32MI32:   {func(b *x86.Buf) { b.Sub32MI32(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormSub64MI32:   {func(b *x86.Buf) { b.Sub64MI32(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormSub32I:      {func(b *x86.Buf) { b.Sub32I(0x5a) }, encoding{}},
	x86.FormSub64I:      {func(b *x86.Buf) { b.Sub64I(0x5a) }, encoding{}},
	x86.FormXor32MR:     {func(b *x86.Buf) { b.Xor32MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormXor64MR:     {func(b *x86.Buf) { b.Xor64MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormXor32MI8:    {func(b *x86.Buf) { b.Xor32MI8(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormXor64MI8:    {func(b *x86.Buf) { b.Xor64MI8(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormXor32MI32:   {func(b *x86.Buf) { b.Xor32MI32(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormXor64MI32:   {func(b *x86.Buf) { b.Xor64MI32(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormXor32I:      {func(b *x86.Buf) { b.Xor32I(0x5a) }, encoding{}},
	x86.FormXor64I:      {func(b *x86.Buf) { b.Xor64I(0x5a) }, encoding{}},
	x86.FormCmp32MR:     {func(b *x86.Buf) { b.Cmp32MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormCmp64MR:     {func(b *x86.Buf) { b.Cmp64MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormCmp32MI8:    {func(b *x86.Buf) { b.Cmp32MI8(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormCmp64MI8:    {func(b *x86.Buf) { b.Cmp64MI8(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormCmp32MI32:   {func(b *x86.Buf) { b.Cmp32MI32(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormCmp64MI32:   {func(b *x86.Buf) { b.Cmp64MI32(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormAdd64RM:     {func(b *x86.Buf) { b.Add64RM(x86.RBX, x86.R(x86.R9)) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9)}},
	x86.FormMov8MR:      {func(b *x86.Buf) { b.Mov8MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormMov16MR:     {func(b *x86.Buf) { b.Mov16MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormMov32MR:     {func(b *x86.Buf) { b.Mov32MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormMov64MR:     {func(b *x86.Buf) { b.Mov64MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormMov32RM:     {func(b *x86.Buf) { b.Mov32RM(x86.RBX, x86.R(x86.R9)) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9)}},
	x86.FormMov64RM:     {func(b *x86.Buf) { b.Mov64RM(x86.RBX, x86.R(x86.R9)) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9)}},
	x86.FormMov8MI8:     {func(b *x86.Buf) { b.Mov8MI8(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormMov16MI16:   {func(b *x86.Buf) { b.Mov16MI16(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormMov32MI32:   {func(b *x86.Buf) { b.Mov32MI32(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormMov64MI32:   {func(b *x86.Buf) { b.Mov64MI32(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormMov32OI:     {func(b *x86.Buf) { b.Mov32OI(x86.R9, 0x5a) }, encoding{reg: x86.R9}},
	x86.FormMov64OI:     {func(b *x86.Buf) { b.Mov64OI(x86.R9, 0x5a) }, encoding{reg: x86.R9}},
	x86.FormMovzx32RM8:  {func(b *x86.Buf) { b.Movzx32RM8(x86.RBX, x86.R(x86.R9)) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9)}},
	x86.FormMovzx32RM16: {func(b *x86.Buf) { b.Movzx32RM16(x86.RBX, x86.R(x86.R9)) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9)}},
	x86.FormMovzx64RM8:  {func(b *x86.Buf) { b.Movzx64RM8(x86.RBX, x86.R(x86.R9)) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9)}},
	x86.FormMovzx64RM16: {func(b *x86.Buf) { b.Movzx64RM16(x86.RBX, x86.R(x86.R9)) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9)}},
	x86.FormMovsx32RM8:  {func(b *x86.Buf) { b.Movsx32RM8(x86.RBX, x86.R(x86.R9)) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9)}},
	x86.FormMovsx32RM16: {func(b *x86.Buf) { b.Movsx32RM16(x86.RBX, x86.R(x86.R9)) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9)}},
	x86.FormMovsx64RM8:  {func(b *x86.Buf) { b.Movsx64RM8(x86.RBX, x86.R(x86.R9)) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9)}},
	x86.FormMovsx64RM16: {func(b *x86.Buf) { b.Movsx64RM16(x86.RBX, x86.R(x86.R9)) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9)}},
	x86.FormMovsxd64RM:  {func(b *x86.Buf) { b.Movsxd64RM(x86.RBX, x86.R(x86.R9)) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9)}},
	x86.FormLea64RM:     {func(b *x86.Buf) { b.Lea64RM(x86.RBX, x86.M8(x86.R9, 8)) }, encoding{reg: x86.RBX, rm: x86.M8(x86.R9, 8)}},
	x86.FormCmove64RM:   {func(b *x86.Buf) { b.Cmove64RM(x86.RBX, x86.R(x86.R9)) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9)}},
	x86.FormTest32MR:    {func(b *x86.Buf) { b.Test32MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormTest64MR:    {func(b *x86.Buf) { b.Test64MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormTest32MI32:  {func(b *x86.Buf) { b.Test32MI32(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormTest64MI32:  {func(b *x86.Buf) { b.Test64MI32(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormNeg32M:      {func(b *x86.Buf) { b.Neg32M(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormNeg64M:      {func(b *x86.Buf) { b.Neg64M(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormMul32M:      {func(b *x86.Buf) { b.Mul32M(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormMul64M:      {func(b *x86.Buf) { b.Mul64M(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormDiv32M:      {func(b *x86.Buf) { b.Div32M(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormDiv64M:      {func(b *x86.Buf) { b.Div64M(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormIdiv32M:     {func(b *x86.Buf) { b.Idiv32M(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormIdiv64M:     {func(b *x86.Buf) { b.Idiv64M(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormInc32M:      {func(b *x86.Buf) { b.Inc32M(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormDec32M:      {func(b *x86.Buf) { b.Dec32M(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormImul32RM:    {func(b *x86.Buf) { b.Imul32RM(x86.RBX, x86.R(x86.R9)) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9)}},
	x86.FormImul64RM:    {func(b *x86.Buf) { b.Imul64RM(x86.RBX, x86.R(x86.R9)) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9)}},
	x86.FormImul32RMI8:  {func(b *x86.Buf) { b.Imul32RMI8(x86.RBX, x86.R(x86.R9), 0x5a) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9)}},
	x86.FormImul64RMI8:  {func(b *x86.Buf) { b.Imul64RMI8(x86.RBX, x86.R(x86.R9), 0x5a) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9)}},
	x86.FormImul32RMI32: {func(b *x86.Buf) { b.Imul32RMI32(x86.RBX, x86.R(x86.R9), 0x5a) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9)}},
	x86.FormImul64RMI32: {func(b *x86.Buf) { b.Imul64RMI32(x86.RBX, x86.R(x86.R9), 0x5a) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9)}},
	x86.FormShl32M1:     {func(b *x86.Buf) { b.Shl32M1(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormShl32MI8:    {func(b *x86.Buf) { b.Shl32MI8(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormShl32MC:     {func(b *x86.Buf) { b.Shl32MC(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormShl64M1:     {func(b *x86.Buf) { b.Shl64M1(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormShl64MI8:    {func(b *x86.Buf) { b.Shl64MI8(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormShl64MC:     {func(b *x86.Buf) { b.Shl64MC(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormShr32M1:     {func(b *x86.Buf) { b.Shr32M1(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormShr32MI8:    {func(b *x86.Buf) { b.Shr32MI8(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormShr32MC:     {func(b *x86.Buf) { b.Shr32MC(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormShr64M1:     {func(b *x86.Buf) { b.Shr64M1(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormShr64MI8:    {func(b *x86.Buf) { b.Shr64MI8(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormShr64MC:     {func(b *x86.Buf) { b.Shr64MC(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormSar32M1:     {func(b *x86.Buf) { b.Sar32M1(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormSar32MI8:    {func(b *x86.Buf) { b.Sar32MI8(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormSar32MC:     {func(b *x86.Buf) { b.Sar32MC(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormSar64M1:     {func(b *x86.Buf) { b.Sar64M1(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormSar64MI8:    {func(b *x86.Buf) { b.Sar64MI8(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormSar64MC:     {func(b *x86.Buf) { b.Sar64MC(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormRor16MI8:    {func(b *x86.Buf) { b.Ror16MI8(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormRol64MI8:    {func(b *x86.Buf) { b.Rol64MI8(x86.R(x86.R9), 0x5a) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormShlx32RMV:   {func(b *x86.Buf) { b.Shlx32RMV(x86.RBX, x86.R(x86.R9), x86.R14) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9), v: x86.R14}},
	x86.FormShlx64RMV:   {func(b *x86.Buf) { b.Shlx64RMV(x86.RBX, x86.R(x86.R9), x86.R14) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9), v: x86.R14}},
	x86.FormShrx32RMV:   {func(b *x86.Buf) { b.Shrx32RMV(x86.RBX, x86.R(x86.R9), x86.R14) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9), v: x86.R14}},
	x86.FormShrx64RMV:   {func(b *x86.Buf) { b.Shrx64RMV(x86.RBX, x86.R(x86.R9), x86.R14) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9), v: x86.R14}},
	x86.FormSarx32RMV:   {func(b *x86.Buf) { b.Sarx32RMV(x86.RBX, x86.R(x86.R9), x86.R14) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9), v: x86.R14}},
	x86.FormSarx64RMV:   {func(b *x86.Buf) { b.Sarx64RMV(x86.RBX, x86.R(x86.R9), x86.R14) }, encoding{reg: x86.RBX, rm: x86.R(x86.R9), v: x86.R14}},
	x86.FormBswap32O:    {func(b *x86.Buf) { b.Bswap32O(x86.R9) }, encoding{reg: x86.R9}},
	x86.FormBswap64O:    {func(b *x86.Buf) { b.Bswap64O(x86.R9) }, encoding{reg: x86.R9}},
	x86.FormCdq:         {func(b *x86.Buf) { b.Cdq() }, encoding{}},
	x86.FormCqo:         {func(b *x86.Buf) { b.Cqo() }, encoding{}},
	x86.FormXadd32MR:    {func(b *x86.Buf) { b.Xadd32MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormXadd64MR:    {func(b *x86.Buf) { b.Xadd64MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormXchg32MR:    {func(b *x86.Buf) { b.Xchg32MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormXchg64MR:    {func(b *x86.Buf) { b.Xchg64MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormCmpxchg32MR: {func(b *x86.Buf) { b.Cmpxchg32MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormCmpxchg64MR: {func(b *x86.Buf) { b.Cmpxchg64MR(x86.R(x86.RBX), x86.R9) }, encoding{rm: x86.R(x86.RBX), reg: x86.R9}},
	x86.FormPush64O:     {func(b *x86.Buf) { b.Push64O(x86.R9) }, encoding{reg: x86.R9}},
	x86.FormPop64O:      {func(b *x86.Buf) { b.Pop64O(x86.R9) }, encoding{reg: x86.R9}},
	x86.FormPushI8:      {func(b *x86.Buf) { b.PushI8(0x5a) }, encoding{}},
	x86.FormLeave:       {func(b *x86.Buf) { b.Leave() }, encoding{}},
	x86.FormRet:         {func(b *x86.Buf) { b.Ret() }, encoding{}},
	x86.FormInt3:        {func(b *x86.Buf) { b.Int3() }, encoding{}},
	x86.FormUd2:         {func(b *x86.Buf) { b.Ud2() }, encoding{}},
	x86.FormLfence:      {func(b *x86.Buf) { b.Lfence() }, encoding{}},
	x86.FormPause:       {func(b *x86.Buf) { b.Pause() }, encoding{}},
	x86.FormCallD32:     {func(b *x86.Buf) { b.CallD32(0x5a) }, encoding{}},
	x86.FormJmpD32:      {func(b *x86.Buf) { b.JmpD32(0x5a) }, encoding{}},
	x86.FormJmpD8:       {func(b *x86.Buf) { b.JmpD8(0x5a) }, encoding{}},
	x86.FormJmp64M:      {func(b *x86.Buf) { b.Jmp64M(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormCall64M:     {func(b *x86.Buf) { b.Call64M(x86.R(x86.R9)) }, encoding{rm: x86.R(x86.R9)}},
	x86.FormJbD8:        {func(b *x86.Buf) { b.JbD8(0x5a) }, encoding{}},
	x86.FormJbD32:       {func(b *x86.Buf) { b.JbD32(0x5a) }, encoding{}},
	x86.FormJaeD8:       {func(b *x86.Buf) { b.JaeD8(0x5a) }, encoding{}},
	x86.FormJaeD32:      {func(b *x86.Buf) { b.JaeD32(0x5a) }, encoding{}},
	x86.FormJeD8:        {func(b *x86.Buf) { b.JeD8(0x5a) }, encoding{}},
	x86.FormJeD32:       {func(b *x86.Buf) { b.JeD32(0x5a) }, encoding{}},
	x86.FormJneD8:       {func(b *x86.Buf) { b.JneD8(0x5a) }, encoding{}},
	x86.FormJneD32:      {func(b *x86.Buf) { b.JneD32(0x5a) }, encoding{}},
	x86.FormJbeD8:       {func(b *x86.Buf) { b.JbeD8(0x5a) }, encoding{}},
	x86.FormJbeD32:      {func(b *x86.Buf) { b.JbeD32(0x5a) }, encoding{}},
	x86.FormJaD8:        {func(b *x86.Buf) { b.JaD8(0x5a) }, encoding{}},
	x86.FormJaD32:       {func(b *x86.Buf) { b.JaD32(0x5a) }, encoding{}},
	x86.FormJlD8:        {func(b *x86.Buf) { b.JlD8(0x5a) }, encoding{}},
	x86.FormJlD32:       {func(b *x86.Buf) { b.JlD32(0x5a) }, encoding{}},
	x86.FormJgeD8:       {func(b *x86.Buf) { b.JgeD8(0x5a) }, encoding{}},
	x86.FormJgeD32:      {func(b *x86.Buf) { b.JgeD32(0x5a) }, encoding{}},
	x86.FormJleD8:       {func(b *x86.Buf) { b.JleD8(0x5a) }, encoding{}},
	x86.FormJleD32:      {func(b *x86.Buf) { b.JleD32(0x5a) }, encoding{}},
	x86.FormJgD8:        {func(b *x86.Buf) { b.JgD8(0x5a) }, encoding{}},
	x86.FormJgD32:       {func(b *x86.Buf) { b.JgD32(0x5a) }, encoding{}},
}

// TestMethods checks that each method appends its own form.
func TestMethods(t *testing.T) {
	for id, m := range methods {
		f := x86.FormID(id)
		if m.call == nil {
			t.Errorf("%s has no method here", f.Syntax())
			continue
		}
		var got, want x86.Buf
		m.call(&got)
		encode(&want, f, m.operands)
		if !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Errorf("method of %s appends % x, the form is % x", f.Syntax(), got.Bytes(), want.Bytes())
		}
	}
}

// TestNops checks the length of every nop.
func TestNops(t *testing.T) {
	for n := 1; n <= x86.NopMax; n++ {
		var b x86.Buf
		b.Nop(n)
		in, err := x86.Decode(b.Bytes(), 0)
		if err != nil {
			t.Errorf("nop of %d bytes: %v", n, err)
		} else if int(in.Len) != n || b.Len() != n {
			t.Errorf("nop of %d bytes has %d, of which %d are read", n, b.Len(), in.Len)
		}
	}
}

// TestOther has what is no form of the table, as bytes.
func TestOther(t *testing.T) {
	for _, row := range []struct {
		name string
		call func(b *x86.Buf)
		want []byte
	}{
		{"endbr64", func(b *x86.Buf) { b.ENDBR64() }, []byte{0xf3, 0x0f, 0x1e, 0xfa}},
		{"add rbx, gs:[0x19a18]", func(b *x86.Buf) {
			b.GS()
			b.Add64RM(x86.RBX, x86.Abs32(0x19a18))
		}, []byte{0x65, 0x48, 0x03, 0x1c, 0x25, 0x18, 0x9a, 0x01, 0x00}},
		{"lock xadd [rdi+8], r8", func(b *x86.Buf) {
			b.Lock()
			b.Xadd64MR(x86.M8(x86.RDI, 8), x86.R8)
		}, []byte{0xf0, 0x4c, 0x0f, 0xc1, 0x47, 0x08}},
		{"movsx edi, al with a needless REX", func(b *x86.Buf) {
			b.Movsx32RM8REX(x86.RDI, x86.R(x86.RAX))
		}, []byte{0x40, 0x0f, 0xbe, 0xf8}},
		{"short jump over two nops", func(b *x86.Buf) {
			b.JmpD8(0)
			end := b.Len()
			b.Nop(1)
			b.Nop(1)
			b.SetRel8(end)
		}, []byte{0xeb, 0x02, 0x90, 0x90}},
	} {
		var b x86.Buf
		row.call(&b)
		if !bytes.Equal(b.Bytes(), row.want) {
			t.Errorf("%s: % x, expected % x", row.name, b.Bytes(), row.want)
		}
	}
}
