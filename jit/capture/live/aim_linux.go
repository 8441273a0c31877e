// SPDX-License-Identifier: GPL-2.0-only

package live

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/verify/protos"
)

// running is what bpf_prog_info tells of a program about types.
type running struct {
	typ   bpf.ProgType
	btf   uint32   // id of its own types, 0 for none
	funcs []uint32 // type ids of its functions
	// What it is for: a type in an object of types, which are the kernel's, a module's or those of another program
	// (attach_btf_obj_id and attach_btf_id, from 6.0 on). The kernel forgets the object of types of another program when it
	// attaches (bpf_tracing_prog_attach, kernel/bpf/syscall.c).
	object, typeID uint32
}

// link is what holds a program where it is attached (struct bpf_link_info).
type link struct {
	typ, prog uint32
	words     [4]uint32 // of the union, by type
}

// Types of links (enum bpf_link_type).
const (
	linkTracing = 2
	linkCgroup  = 3
	linkNetns   = 5
)

// attachType is how the program is attached, 0 where the link does not tell.
func (l *link) attachType() uint32 {
	switch l.typ {
	case linkTracing:
		return l.words[0]
	case linkCgroup:
		return l.words[2] // after the id of the cgroup
	case linkNetns:
		return l.words[1]
	}
	return 0
}

// target is the function that a program is attached to: the id of a program or of an object of types, and a type there,
// 0 where the link does not tell (bpf_tracing_link_fill_link_info, from 5.13 on).
func (l *link) target() (object, typeID uint32) {
	if l.typ != linkTracing {
		return 0, 0
	}
	return l.words[1], l.words[2]
}

// strictTypes are the types of programs that are attached only as they expect (bpf_prog_attach_check_attach_type), so
// that the link tells what they expect: bpf_prog_info does not.
var strictTypes = []bpf.ProgType{bpf.CGroupSock, bpf.CGroupSockAddr, bpf.CGroupSockopt, bpf.SkLookup, bpf.Tracing, bpf.LSM}

// aim is what a program was loaded for, as far as the kernel tells.
type aim struct {
	attachType uint32 // what it expects to be attached as, 0 if that is not known
	prog       uint32 // id of the program with the function that it traces or replaces, 0 for none
	typeID     uint32 // that function
	kernel     string // or the function or type of the kernel, "" for none
}

// world is all that runs.
type world struct {
	progs map[uint32]*running // by id
	links []link              // in order of their ids
	// name is the name of a type of the kernel or of a module; false for an object of a program's types, and for none.
	name func(object, typeID uint32) (string, bool)
}

// aim finds what program id was loaded for. Of several links the first counts.
func (w *world) aim(id uint32) aim {
	var a aim
	p := w.progs[id]
	var object, typeID uint32
	for i := range w.links {
		if l := &w.links[i]; l.prog == id {
			if slices.Contains(strictTypes, p.typ) {
				a.attachType = l.attachType()
			}
			object, typeID = l.target()
			break
		}
	}
	switch {
	case p.typ != bpf.Tracing && p.typ != bpf.Extension && p.typ != bpf.LSM:
	case p.object != 0:
		a.typeID = p.typeID
		if name, ok := w.name(p.object, p.typeID); ok {
			a.typeID, a.kernel = 0, name
		} else if a.prog = w.owner(p.object, p.typeID); a.prog == 0 {
			a.typeID = 0
		}
	case typeID == 0: // nothing is told
	case p.typ == bpf.Extension || p.typeID != 0:
		a.prog, a.typeID = object, typeID
	default: // before 6.0 the link alone tells, and not whether its number is of a program or of the kernel's types
		name, kernel := w.name(object, typeID)
		of := w.progs[object]
		switch prog := of != nil && slices.Contains(of.funcs, typeID); {
		case kernel && !prog:
			a.kernel = name
		case prog && !kernel:
			a.prog, a.typeID = object, typeID
		}
	}
	a.named(p.typ)
	return a
}

// attached are the programs that trace functions, in the order in which they were attached.
func (w *world) attached() []uint32 {
	var out []uint32
	for i := range w.links {
		if l := &w.links[i]; l.typ == linkTracing {
			out = append(out, l.prog)
		}
	}
	return out
}

// owner is the one program with a function among its types, 0 if none or several have it.
func (w *world) owner(object, typeID uint32) uint32 {
	var out uint32
	for id, p := range w.progs {
		if p.btf == object && slices.Contains(p.funcs, typeID) {
			if out != 0 {
				return 0
			}
			out = id
		}
	}
	return out
}

// named gives what the kernel has the name that sections of object files have: without what says the kind, which
// then is known.
func (a *aim) named(t bpf.ProgType) {
	cut := func(prefix string, kind uint32) {
		if name, ok := strings.CutPrefix(a.kernel, prefix); ok {
			a.kernel = name
			if kind != 0 {
				a.attachType = kind
			}
		}
	}
	switch t {
	case bpf.LSM:
		cut("bpf_lsm_", 0)
	case bpf.Tracing:
		cut("btf_trace_", protos.AttachRawTP)
		cut("bpf_iter_", protos.AttachIter) // no function of that name is traced: all of them are gone after boot
	}
}

// kind is how captures name what an attached program does to a function of another, "" if that is not known.
func (a *aim) kind(t bpf.ProgType) string {
	if t == bpf.Extension {
		return capture.KindReplace
	}
	for name, n := range attachTypes {
		if n == a.attachType {
			return name
		}
	}
	return ""
}

// look asks the kernel what runs.
func (k *Kernel) look() (*world, error) {
	w := &world{progs: map[uint32]*running{}, name: k.typeName}
	for id, err := ebpf.ProgramGetNextID(0); err == nil; id, err = ebpf.ProgramGetNextID(id) {
		p, err := ebpf.NewProgramFromID(id)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			continue // unloaded meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("program %d: %w", id, err)
		}
		r, err := readRunning(p.FD())
		if err := errors.Join(err, p.Close()); err != nil {
			return nil, fmt.Errorf("program %d: %w", id, err)
		}
		w.progs[uint32(id)] = r
	}
	var err error
	w.links, err = readLinks()
	return w, err
}

func readRunning(fd int) (*running, error) {
	var sizes progInfo
	if err := objInfo(fd, &sizes); err != nil {
		return nil, err
	}
	var info progInfo
	var recs []funcRec
	recs, info.funcInfo = room[funcRec](sizes.nrFuncInfo)
	info.nrFuncInfo, info.funcRecSize = sizes.nrFuncInfo, uint32(unsafe.Sizeof(funcRec{}))
	if err := objInfo(fd, &info); err != nil {
		return nil, err
	}
	r := &running{typ: bpf.ProgType(info.progType), btf: info.btfID, object: info.attachObject, typeID: info.attachType}
	for _, f := range recs {
		r.funcs = append(r.funcs, f.typeID)
	}
	return r, nil
}

// readLinks reads all links. Kernels before 5.8 have none.
func readLinks() ([]link, error) {
	var out []link
	for id := uint32(0); ; {
		next := struct{ id, next, flags uint32 }{id: id}
		if _, err := bpfCall(unix.BPF_LINK_GET_NEXT_ID, unsafe.Pointer(&next), unsafe.Sizeof(next)); err != nil {
			if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
				return out, nil
			}
			return nil, fmt.Errorf("links: %w", err)
		}
		id = next.next
		l, err := readLink(id)
		if errors.Is(err, unix.ENOENT) {
			continue // gone meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("link %d: %w", id, err)
		}
		out = append(out, *l)
	}
}

func readLink(id uint32) (*link, error) {
	get := struct{ id, next, flags uint32 }{id: id}
	fd, err := bpfCall(unix.BPF_LINK_GET_FD_BY_ID, unsafe.Pointer(&get), unsafe.Sizeof(get))
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var info struct {
		typ, id, prog, _ uint32
		words            [4]uint32
	}
	attr := struct {
		fd, size uint32
		info     unsafe.Pointer
	}{uint32(fd), uint32(unsafe.Sizeof(info)), unsafe.Pointer(&info)}
	if _, err := bpfCall(unix.BPF_OBJ_GET_INFO_BY_FD, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil {
		return nil, err
	}
	return &link{typ: info.typ, prog: info.prog, words: info.words}, nil
}

// typeName is the name of a type of the kernel or of a module.
func (k *Kernel) typeName(object, typeID uint32) (string, bool) {
	h, err := btf.NewHandleFromID(btf.ID(object))
	if err != nil {
		return "", false
	}
	defer h.Close()
	info, err := h.Info()
	if err != nil || !info.IsKernel {
		return "", false
	}
	types := k.types
	if !info.IsVmlinux() {
		if types, err = h.Spec(k.types); err != nil {
			return "", false
		}
	}
	t, err := types.TypeByID(btf.TypeID(typeID))
	if err != nil {
		return "", false
	}
	return t.TypeName(), true
}

// ids are the ids of programs, in order.
func ids[T any](m map[uint32]T) []uint32 { return slices.Sorted(maps.Keys(m)) }
