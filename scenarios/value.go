// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"fmt"
	"math"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/tcsim/tcsim/scenarios/asm"
)

// ValueKind says what a Value names.
type ValueKind uint8

// The kinds of values. Registers and stack, arg and map locations can be assigned to.
const (
	ValueInt    ValueKind = iota // an integer
	ValueReg                     // r6 to r9
	ValueResult                  // what the last call returned: r0
	ValueCtx                     // ctx.FIELD of the context structure
	ValueStack                   // fp-OFF
	ValueArg                     // the 8 bytes of the caller's stack that it calls with
	ValueMap                     // map[key] or map[key]+off; a map's name alone is map[0]
)

// Value is an operand of a step, written as one word: 5, r7, result, ctx.len, fp-8, count,
// jmp_table[2], bss[0]+4. A size may stand before a location ("u8 fp-1") and a factor after any
// operand that is read ("ctx.len*2"). The zero value is the integer 0.
type Value struct {
	Pos  Pos
	Text string // as written

	Kind  ValueKind
	Int   int64    // ValueInt
	Reg   Register // ValueReg
	Field string   // ValueCtx
	Map   string   // ValueMap
	Key   *Value   // ValueMap
	Off   int32    // from fp (negative) or from the start of the map value, in bytes
	Size  int      // width of a location in bytes; 0 if not written
	Times int64    // factor; 0 if not written
}

func (x *Value) decodeNode(d *decoder, n ast.Node) {
	pos := nodePos(n)
	s, ok := d.scalar(n, "a value such as 5, r7, result, ctx.len, fp-8 or map[key]")
	if !ok {
		return
	}
	v, err := parseValue(s)
	if err != nil {
		d.failf(pos, "%v", err)
	}
	*x = v
	x.Pos = pos
	if x.Key != nil {
		x.Key.Pos = pos
	}
}

// reserved reports whether a map cannot have this name because values use it otherwise.
func reserved(name string) bool {
	_, reg := asm.ParseRegister(name)
	return reg || name == "result" || name == "arg" || name == "fp" || name == "ctx" || name == "none"
}

var (
	ctxForm   = regexp.MustCompile(`^ctx\.([a-z_0-9]+)$`)
	stackForm = regexp.MustCompile(`^fp-([0-9]\w*)$`)
	mapForm   = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)(?:\[(.*)\])?(?:\+([0-9]\w*))?$`)
)

var sizeNames = map[string]int{"u8": 1, "u16": 2, "u32": 4, "u64": 8}

// parseValue reads one operand.
func parseValue(s string) (Value, error) {
	v := Value{Text: s}
	rest := strings.TrimSpace(s)
	if word, after, ok := strings.Cut(rest, " "); ok && sizeNames[word] != 0 {
		v.Size, rest = sizeNames[word], strings.TrimSpace(after)
	}
	if i := strings.LastIndexByte(rest, '*'); i >= 0 {
		n, err := asm.ParseInt(strings.TrimSpace(rest[i+1:]))
		if err != nil || n < 1 || n > math.MaxInt32 {
			return Value{}, fmt.Errorf("expected a positive factor after '*', found %q", rest[i+1:])
		}
		v.Times, rest = n, strings.TrimSpace(rest[:i])
	}
	if err := v.parseTerm(rest); err != nil {
		return Value{}, err
	}
	if v.Size != 0 && v.Kind != ValueStack && v.Kind != ValueMap {
		return Value{}, fmt.Errorf("%q: only stack and map locations have a size", s)
	}
	return v, nil
}

func (v *Value) parseTerm(s string) error {
	var err error
	if s != "" && (s[0] == '-' || s[0] >= '0' && s[0] <= '9') {
		v.Int, err = asm.ParseInt(s)
		return err
	}
	if m := stackForm.FindStringSubmatch(s); m != nil {
		v.Kind = ValueStack
		off, err := parseOffset(m[1], 512)
		v.Off = -off
		if err == nil && off == 0 {
			err = fmt.Errorf("expected a stack location from fp-1 to fp-512, found %q", s)
		}
		return err
	}
	if m := ctxForm.FindStringSubmatch(s); m != nil {
		v.Kind, v.Field = ValueCtx, m[1]
		return nil
	}
	switch s {
	case "result":
		v.Kind = ValueResult
		return nil
	case "arg":
		v.Kind = ValueArg
		return nil
	}
	if r, ok := asm.ParseRegister(s); ok {
		if r < 6 || r > 9 {
			return fmt.Errorf("expected a register from r6 to r9 (steps use the others themselves), found %q", s)
		}
		v.Kind, v.Reg = ValueReg, Register(r)
		return nil
	}
	return v.parseMapRef(s)
}

func (v *Value) parseMapRef(s string) error {
	m := mapForm.FindStringSubmatch(s)
	if m == nil || reserved(m[1]) {
		return fmt.Errorf("expected a value such as 5, r7, result, ctx.len, fp-8 or map[key], found %q", s)
	}
	v.Kind, v.Map, v.Key = ValueMap, m[1], &Value{Text: "0"}
	if strings.Contains(s, "[") {
		key, err := parseValue(m[2])
		switch {
		case err != nil:
			return err
		case key.Kind == ValueInt && (key.Int < 0 || key.Int > math.MaxUint32):
			return fmt.Errorf("expected a key from 0 to %d, found %s", uint32(math.MaxUint32), m[2])
		case key.Kind == ValueMap && key.Key.Kind != ValueInt:
			return fmt.Errorf("expected a key that is a number or a simple location, found %q", m[2])
		}
		v.Key = &key
	}
	if m[3] == "" {
		return nil
	}
	off, err := parseOffset(m[3], math.MaxInt16)
	v.Off = off
	return err
}

func parseOffset(s string, limit int64) (int32, error) {
	n, err := asm.ParseInt(s)
	if err == nil && (n < 0 || n > limit) {
		err = fmt.Errorf("expected an offset of at most %d bytes, found %s", limit, s)
	}
	if err != nil {
		return 0, err
	}
	return int32(n), nil
}
