// SPDX-License-Identifier: GPL-2.0-only

package live

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify/protos"
)

// extension is BPF_PROG_TYPE_EXT, the type of programs that replace functions.
const extension bpf.ProgType = 28

// attachTypes are the attach types of tracing programs (enum bpf_attach_type).
var attachTypes = map[string]uint32{"fentry": 24, "fexit": 25, "fmod_ret": 26}

// target says in a program that is to be loaded what it will be attached to; a is nil for nothing of other programs.
func (l *Loaded) target(s *source, p *capture.Prog) error {
	a := p.Attach
	switch {
	case a == nil:
		return l.k.kernelTarget(s, p.AttachTo)
	case a.Kernel != "":
		id, err := l.k.kfunc(a.Kernel)
		s.attachType, s.attachBTF = attachTypes[a.Kind], uint32(id)
		return err
	case l.progs[a.Prog] < 0:
		return &refusal{fmt.Errorf("program %s, which it is for, was refused", l.sc.Progs[a.Prog].Name), ""}
	case a.Func >= len(l.funcs[a.Prog]):
		return fmt.Errorf("program %s has no function %d", l.sc.Progs[a.Prog].Name, a.Func)
	}
	s.attachFD, s.attachBTF = l.progs[a.Prog], l.funcs[a.Prog][a.Func]
	if a.Kind == capture.KindReplace {
		s.typ = extension
		return nil
	}
	s.attachType = attachTypes[a.Kind]
	return nil
}

// kernelTarget names what of the kernel a program is for, as sections of object files do, by its type id. Only programs
// that trace and those of LSM hooks are loaded with one.
func (k *Kernel) kernelTarget(s *source, to string) error {
	var err error
	switch {
	case to == "" || s.typ != bpf.Tracing && s.typ != bpf.LSM:
		return nil
	case s.typ == bpf.LSM:
		s.attachBTF, err = typeID[*btf.Func](k, "bpf_lsm_"+to)
	case s.attachType == protos.AttachRawTP:
		s.attachBTF, err = typeID[*btf.Typedef](k, "btf_trace_"+to)
	case s.attachType == protos.AttachIter:
		s.attachBTF, err = typeID[*btf.Func](k, "bpf_iter_"+to)
	default:
		s.attachBTF, err = typeID[*btf.Func](k, to)
	}
	if errors.Is(err, btf.ErrNotFound) {
		return &refusal{fmt.Errorf("the kernel has nothing named %s to attach to", to), ""}
	}
	return err
}

// Attach attaches program n to the function that it is for. The error is an errno where the kernel
// refused.
func (l *Loaded) Attach(n int) error {
	a := l.sc.Progs[n].Attach
	switch {
	case a == nil:
		return fmt.Errorf("program %s is for no function", l.sc.Progs[n].Name)
	case l.progs[n] < 0:
		return fmt.Errorf("program %s is not loaded", l.sc.Progs[n].Name)
	}
	if _, ok := l.links[n]; ok {
		return capture.Errno("EBUSY") // the kernel would say so, too
	}
	var fd int
	var err error
	if a.Kind == capture.KindReplace {
		attr := struct{ prog, target, attachType, flags, btf uint32 }{
			prog: uint32(l.progs[n]), target: uint32(l.progs[a.Prog]), btf: l.funcs[a.Prog][a.Func],
		}
		fd, err = bpfCall(unix.BPF_LINK_CREATE, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	} else {
		attr := struct {
			name uint64
			prog uint32
			_    uint32
		}{prog: uint32(l.progs[n])}
		fd, err = bpfCall(unix.BPF_RAW_TRACEPOINT_OPEN, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	}
	if err != nil {
		return errno(err)
	}
	unix.CloseOnExec(fd)
	l.links[n] = fd
	return nil
}

// Detach ends what Attach did.
func (l *Loaded) Detach(n int) error {
	fd, ok := l.links[n]
	if !ok {
		return capture.Errno("ENOENT")
	}
	delete(l.links, n)
	return unix.Close(fd)
}

func (l *Loaded) detachAll() error {
	var errs []error
	for n := range l.links {
		errs = append(errs, l.Detach(n))
	}
	return errors.Join(errs...)
}

// traced attaches the tracing programs in the order of the scenario's trampolines and records each
// trampoline and, when all are attached, the functions.
func (l *Loaded) traced() error {
	if len(l.sc.Trampolines) == 0 {
		return nil
	}
	for i := range l.sc.Trampolines {
		t := &l.sc.Trampolines[i]
		by := t.Attached[len(t.Attached)-1]
		if t.Kernel != "" {
			t.Error = "functions of the kernel are not traced here"
			continue
		}
		if l.progs[by] < 0 || l.progs[t.Prog] < 0 {
			t.Error = "its programs were refused"
			continue
		}
		before, err := l.entryOf(t)
		if err != nil {
			return err
		}
		if err := l.Attach(by); err != nil {
			t.Error = fmt.Sprintf("attach %s: %v", l.sc.Progs[by].Name, err)
			continue
		}
		if err := l.trampoline(t, before); err != nil {
			return fmt.Errorf("trampoline of %s: %w", l.sc.Progs[t.Prog].Name, err)
		}
	}
	return errors.Join(l.again(capture.Traced), l.detachAll())
}

// replaced attaches the programs that replace functions, each by itself, and records the functions then.
func (l *Loaded) replaced() error {
	var errs []error
	for i := range l.sc.Progs {
		p := &l.sc.Progs[i]
		if p.Attach == nil || p.Attach.Kind != capture.KindReplace || l.progs[i] < 0 {
			continue
		}
		if err := l.Attach(i); err != nil {
			errs = append(errs, fmt.Errorf("attach %s: %w", p.Name, err))
		}
	}
	if len(l.links) > 0 {
		errs = append(errs, l.again(capture.Replaced), l.detachAll())
	}
	return errors.Join(errs...)
}

// entryOf returns the first bytes of the function that a trampoline is of.
func (l *Loaded) entryOf(t *capture.Trampoline) ([]byte, error) {
	d, err := readProg(l.progs[t.Prog])
	if err != nil {
		return nil, err
	}
	at := 0
	for i := range d.lens {
		if i < len(d.funcs) && d.funcs[i].typeID == l.funcs[t.Prog][t.Func] {
			return d.code[at : at+int(d.lens[i])], nil
		}
		at += int(d.lens[i])
	}
	return nil, fmt.Errorf("function %d of program %s is not in its image", t.Func, l.sc.Progs[t.Prog].Name)
}

// attachSite returns where a function leads to a trampoline: at its first byte, or after an endbr64 or the four bytes that
// stand in its place with FineIBT (is_endbr, arch/x86/include/asm/ibt.h).
func attachSite(before, after []byte) (off int, ok bool) {
	if len(before) != len(after) {
		return 0, false
	}
	for _, off := range []int{0, 4} {
		if len(after) >= off+image.PokeSize && slices.Equal(before[:off], after[:off]) && (after[off] == 0xe8 || after[off] == 0xe9) {
			return off, true
		}
	}
	return 0, false
}

// trampoline records where a traced function leads to, and what is there.
func (l *Loaded) trampoline(t *capture.Trampoline, before []byte) error {
	after, err := l.entryOf(t)
	if err != nil {
		return err
	}
	off, ok := attachSite(before, after)
	if !ok {
		return errors.New("the traced function does not lead to one")
	}
	t.Site = capture.Site{Off: image.CodeOff(off), Before: before[off : off+image.PokeSize], After: after[off : off+image.PokeSize]}
	p := &l.sc.Progs[t.Prog]
	fn := slices.IndexFunc(p.Funcs, func(f capture.Func) bool { return f.Start == l.declared[t.Prog][t.Func].Start })
	if fn < 0 {
		return errors.New("the verifier removed the function")
	}
	rel := int32(binary.LittleEndian.Uint32(t.Site.After[1:]))
	t.Addr = p.Funcs[fn].Addr + image.Addr(off+image.PokeSize) + image.Addr(int64(rel))
	if err := l.k.readTrampoline(t); err != nil {
		t.Error = err.Error()
	}
	return nil
}

// readTrampoline reads the code of a trampoline.
func (k *Kernel) readTrampoline(t *capture.Trampoline) error {
	code, err := k.readCode(t.Addr)
	t.Len, t.Image = len(code), code
	return err
}

// compiledFuncs makes indexes of functions count those that were compiled; they counted the submitted
// ones.
func (l *Loaded) compiledFuncs() {
	index := func(prog, fn int) int {
		start := l.declared[prog][fn].Start
		return max(0, slices.IndexFunc(l.sc.Progs[prog].Funcs, func(f capture.Func) bool { return f.Start == start }))
	}
	for i := range l.sc.Progs {
		if a := l.sc.Progs[i].Attach; a != nil && a.Kernel == "" && l.progs[a.Prog] >= 0 {
			b := *a
			b.Func = index(a.Prog, a.Func)
			l.sc.Progs[i].Attach = &b
		}
	}
	for i := range l.sc.Trampolines {
		if t := &l.sc.Trampolines[i]; t.Kernel == "" && l.progs[t.Prog] >= 0 {
			t.Func = index(t.Prog, t.Func)
		}
	}
}

// errno makes an error that is an errno the one that captures have.
func errno(err error) error {
	var e unix.Errno
	if errors.As(err, &e) && unix.ErrnoName(e) != "" {
		return capture.Errno(unix.ErrnoName(e))
	}
	return err
}
