// SPDX-License-Identifier: GPL-2.0-only

package source

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
)

// Flags of arch_prepare_bpf_trampoline (include/linux/bpf.h), the same in every kernel that has them.
const (
	trampRestoreRegs = 1 << 0
	trampCallOrig    = 1 << 1
	trampSkipFrame   = 1 << 2
	trampTailCall    = 1 << 7
)

const (
	trampRoom    = 4096
	safety       = 64 // what newer kernels add to the size of a trampoline (BPF_INSN_SAFETY)
	progSize     = 4096
	tracerWords  = 2
	traceWords   = 14
	scratchTramp = textTo - 0x100000
	endbr64      = 0xfa1e0ff3
)

// CompileTrampoline implements jit.Emitter: arch_prepare_bpf_trampoline, once to learn the size, and again
// at its place.
func (j *JIT) CompileTrampoline(f *emit.Traced, t *jit.Target, env image.Env) (*emit.Trampoline, error) {
	switch have := j.facts.Get("TCSIM_HAVE_TRAMP"); {
	case have == "0":
		return nil, fmt.Errorf("trampolines: %w", kernels.ErrUnsupported)
	case have == trampOfArrays && len(f.Programs(emit.FmodRet)) > 0:
		return nil, fmt.Errorf("fmod_ret programs: %w", kernels.ErrUnsupported)
	}
	if len(f.Args) > 6 {
		return nil, fmt.Errorf("%d arguments, at most 6 fit into registers: %w", len(f.Args), kernels.ErrUnsupported)
	}
	var out *emit.Trampoline
	err := j.with(func(g *guest) error {
		if err := j.bind(g, t, env, true); err != nil {
			return err
		}
		code, err := j.trace(g, f, t, scratchTramp)
		if err != nil {
			return err
		}
		at, err := env.Place(0, len(code), 0)
		if err != nil {
			return fmt.Errorf("place: %w", err)
		}
		if code, err = j.trace(g, f, t, at); err != nil {
			return err
		}
		fn, err := recognise.RecogniseTrampoline("tramp_"+f.Name, at, code)
		if err != nil {
			return err
		}
		var refers references
		if err := g.o.refers(fn, &refers); err != nil {
			return err
		}
		out = &emit.Trampoline{Func: *fn}
		if out.Module, err = g.module(&refers); err != nil {
			return err
		}
		out.Site, err = j.trampSite(f, t, at)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// jumps reports whether the traced function jumps to its trampoline (bpf_trampoline_use_jmp, 6.19).
func (j *JIT) jumps(f *emit.Traced) bool { return j.useJump && f.Calls() }

func (j *JIT) trampFlags(f *emit.Traced) uint64 {
	flags := uint64(trampRestoreRegs)
	if f.Calls() {
		flags = trampCallOrig
		if !j.jumps(f) {
			flags |= trampSkipFrame
		}
	}
	if f.TailCalls && j.tailCallCtx {
		flags |= trampTailCall
	}
	return flags
}

// trace makes the trampoline at an address.
func (j *JIT) trace(g *guest, f *emit.Traced, t *jit.Target, at image.Addr) ([]byte, error) {
	var errs []error
	put := func(a image.Addr, size uint64, b []byte) {
		errs = append(errs, g.cpu.Map(a, size), g.cpu.Write(a, b))
	}
	errs = append(errs, g.mapText(at, trampRoom))
	put(f.Image, progSize, nil)
	// What the JIT looks at where the function is called is whether it begins with endbr64.
	put(f.Func, 16, nil)
	entry := uint64(0)
	if t.Emit.ENDBR {
		entry = endbr64
	}
	words := []uint64{
		uint64(at), trampRoom, j.trampFlags(f), uint64(f.Func), uint64(f.Image), uint64(len(f.Args)), 0, entry,
	}
	next := inputBase + 8*traceWords
	words[6] = uint64(next)
	put(next, 8, append([]byte(nil), f.Args...))
	next += 8
	kinds := []emit.TraceKind{emit.Fentry, emit.Fexit, emit.FmodRet}
	for _, k := range kinds {
		words = append(words, uint64(len(f.Programs(k))))
	}
	for _, k := range kinds {
		words = append(words, uint64(next))
		for _, p := range f.Programs(k) {
			b := binary.LittleEndian.AppendUint64(nil, uint64(p.Func))
			put(next, 8*tracerWords, binary.LittleEndian.AppendUint64(b, uint64(p.Prog)))
			errs = append(errs, g.cpu.Map(p.Prog, progSize))
			next += 8 * tracerWords
		}
	}
	var buf []byte
	for _, w := range words {
		buf = binary.LittleEndian.AppendUint64(buf, w)
	}
	put(inputBase, uint64(len(buf)), buf)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	r, err := g.call("tcsim_trace", inputBase)
	if err != nil {
		return nil, err
	}
	if n := int64(r); n < 0 {
		return nil, fmt.Errorf("%s", withMessages(fmt.Sprintf("arch_prepare_bpf_trampoline fails with %d", n), g.messages))
	}
	if w := j.tellMessages(g.messages); len(w) > 0 {
		return nil, &CrashError{"the JIT warns about a trampoline", w, false}
	}
	return g.trampoline(at, int(r))
}

// trampoline reads the code: the size that newer kernels report has some spare bytes.
func (g *guest) trampoline(at image.Addr, size int) ([]byte, error) {
	room := make([]byte, trampRoom)
	if err := g.cpu.Read(at, room); err != nil {
		return nil, err
	}
	if size == 0 || size > trampRoom {
		size = trampRoom
	}
	code := room[:size]
	if spare := size - safety; spare > 0 && len(bytes.Trim(code[spare:], "\x00\xcc")) == 0 {
		code = code[:spare]
	}
	if size == trampRoom {
		code = bytes.TrimRight(code, "\x00\xcc")
	}
	if len(code) == 0 {
		return nil, errors.New("arch_prepare_bpf_trampoline makes no code")
	}
	return code, nil
}

// trampSite is the patched instruction of the traced function (modify_fentry, kernel/bpf/trampoline.c).
func (j *JIT) trampSite(f *emit.Traced, t *jit.Target, to image.Addr) (image.Patch, error) {
	at := f.Func
	if t.Emit.ENDBR {
		at += 4
	}
	p := image.Patch{Kind: image.PatchText, Part: image.PartJump, Addr: at, Old: [image.PokeSize]byte{0x0f, 0x1f, 0x44, 0x00, 0x00}}
	rel := int64(to - at - image.PokeSize)
	if rel != int64(int32(rel)) {
		return p, fmt.Errorf("poke at %#x: target %#x is out of range", uint64(at), uint64(to))
	}
	p.New[0] = 0xe8
	if j.jumps(f) {
		p.New[0] = 0xe9
	}
	binary.LittleEndian.PutUint32(p.New[1:], uint32(rel))
	return p, nil
}
