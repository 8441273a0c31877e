// SPDX-License-Identifier: GPL-2.0-only

package live

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tcsim/tcsim/jit/bpf"
)

// The two commands below are called directly and not through cilium/ebpf, because that library
// keeps programs as its own instructions, which do not hold every bit (offsets of register moves,
// wide immediates of calls), and bytes are what a capture is about.

// loadAttr is the part of union bpf_attr that BPF_PROG_LOAD uses (include/uapi/linux/bpf.h, 5.10).
type loadAttr struct {
	progType    uint32
	insnCnt     uint32
	insns       unsafe.Pointer
	license     unsafe.Pointer
	logLevel    uint32
	logSize     uint32
	logBuf      unsafe.Pointer
	kernVersion uint32
	flags       uint32
	name        [16]byte
	ifindex     uint32
	attachType  uint32
	btfFD       uint32
	funcRecSize uint32
	funcInfo    unsafe.Pointer
	funcCnt     uint32
	lineRecSize uint32
	lineInfo    unsafe.Pointer
	lineCnt     uint32
	attachBTFID uint32
	attachFD    uint32
	coreRelos   uint32
}

// progInfo is struct bpf_prog_info up to the fields of 6.0. Those that an older kernel lacks stay 0.
type progInfo struct {
	progType, id     uint32
	tag              [8]byte
	jitedLen         uint32
	xlatedLen        uint32
	jited            unsafe.Pointer
	xlated           unsafe.Pointer
	loadTime         uint64
	uid              uint32
	nrMaps           uint32
	maps             unsafe.Pointer
	name             [16]byte
	ifindex          uint32
	gpl              uint32
	netnsDev         uint64
	netnsIno         uint64
	nrKsyms          uint32
	nrFuncLens       uint32
	ksyms            unsafe.Pointer
	funcLens         unsafe.Pointer
	btfID            uint32
	funcRecSize      uint32
	funcInfo         unsafe.Pointer
	nrFuncInfo       uint32
	nrLineInfo       uint32
	lineInfo         unsafe.Pointer
	jitedLineInfo    unsafe.Pointer
	nrJitedLineInfo  uint32
	lineRecSize      uint32
	jitedLineRecSize uint32
	nrProgTags       uint32
	progTags         unsafe.Pointer
	runTime, runs    uint64
	misses           uint64
	verifiedInsns    uint32
	attachObject     uint32 // id of the types that have what the program is for
	attachType       uint32 // that type
}

// funcRec and lineRec are struct bpf_func_info and struct bpf_line_info.
type funcRec struct{ insn, typeID uint32 }

type lineRec struct{ insn, file, line, lineCol uint32 }

// lineColBits is how far the line number is shifted in lineRec.lineCol (BPF_LINE_INFO_LINE_NUM).
const lineColBits = 10

func bpfCall(cmd int, attr unsafe.Pointer, size uintptr) (int, error) {
	for {
		r, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(cmd), uintptr(attr), size)
		switch errno {
		case 0:
			return int(r), nil
		case unix.EAGAIN, unix.EINTR: // the verifier was interrupted by a signal
			continue
		}
		return 0, errno
	}
}

// source is a program as it is handed to the kernel.
type source struct {
	name  string
	typ   bpf.ProgType
	insns []byte
	btf   int // file descriptor
	funcs []funcRec
	lines []lineRec

	flags      uint32 // BPF_F_SLEEPABLE and others
	attachType uint32 // expected_attach_type
	attachFD   int    // program with the function that it traces or replaces; 0 for none
	attachBTF  uint32 // type id of that function
}

const verifierLog = 1 << 20

// loadProg loads a program and returns its file descriptor. If the kernel refuses it, the error is
// a *refusal.
func loadProg(s *source) (int, error) {
	license := []byte("GPL\x00")
	attr := loadAttr{
		progType: uint32(s.typ), insnCnt: uint32(len(s.insns) / bpf.InsnSize), insns: unsafe.Pointer(&s.insns[0]),
		license: unsafe.Pointer(&license[0]), btfFD: uint32(s.btf),
		funcRecSize: uint32(unsafe.Sizeof(funcRec{})), funcInfo: unsafe.Pointer(&s.funcs[0]), funcCnt: uint32(len(s.funcs)),
		lineRecSize: uint32(unsafe.Sizeof(lineRec{})), lineInfo: unsafe.Pointer(&s.lines[0]), lineCnt: uint32(len(s.lines)),
		attachType: s.attachType, flags: s.flags, attachFD: uint32(s.attachFD), attachBTFID: s.attachBTF,
	}
	copy(attr.name[:len(attr.name)-1], identifier(s.name))
	fd, err := bpfCall(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err == nil {
		unix.CloseOnExec(fd)
		return fd, nil
	}
	log := make([]byte, verifierLog)
	attr.logLevel, attr.logSize, attr.logBuf = logLevel(err), uint32(len(log)), unsafe.Pointer(&log[0])
	fd, again := bpfCall(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if again == nil { // the first refusal was for a moment only
		unix.CloseOnExec(fd)
		return fd, nil
	}
	runtime.KeepAlive(s)
	text, _, _ := bytes.Cut(log, []byte{0})
	return 0, &refusal{err, lastLines(string(text), 6)}
}

// logLevel is how much the verifier is to say of why it refused a program with an error. Programs with too many paths it
// follows for a million instructions, each of which would be a line: of those the reason alone is asked for, without what
// the verifier did before (BPF_LOG_LEVEL1, BPF_LOG_STATS, include/linux/bpf_verifier.h).
func logLevel(err error) uint32 {
	const paths, stats = 1, 4
	if errors.Is(err, unix.E2BIG) {
		return stats
	}
	return paths
}

// refusal is what the kernel said of a program that it does not take.
type refusal struct {
	err error
	log string
}

func (r *refusal) Error() string { return strings.TrimSuffix(r.err.Error()+": "+r.log, ": ") }
func (r *refusal) Unwrap() error { return r.err }

// lastLines returns the end of a verifier log without the statistics after it.
func lastLines(log string, n int) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "processed ") || strings.HasPrefix(l, "verification time ") {
			lines = lines[:i]
			break
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// dump is what the kernel reports of a loaded program.
type dump struct {
	progInfo
	xlatedInsns []bpf.Insn
	code        []byte
	mapIDs      []uint32
	addrs       []uint64
	lens        []uint32
	funcs       []funcRec
	lines       []lineRec
	lineAddrs   []uint64
	hidden      int // how many functions at the end the verifier added
}

// room is where the kernel writes n elements: nil for none.
func room[T any](n uint32) ([]T, unsafe.Pointer) {
	if n == 0 {
		return nil, nil
	}
	s := make([]T, n)
	return s, unsafe.Pointer(&s[0])
}

// readProg asks the kernel for everything that it tells of a program. It fails if the kernel hides
// code or addresses.
func readProg(fd int) (*dump, error) {
	var sizes progInfo
	if err := objInfo(fd, &sizes); err != nil {
		return nil, err
	}
	d := &dump{}
	xlated, at := room[byte](sizes.xlatedLen)
	d.xlatedLen, d.progInfo.xlated = sizes.xlatedLen, at
	d.code, d.progInfo.jited = room[byte](sizes.jitedLen)
	d.mapIDs, d.progInfo.maps = room[uint32](sizes.nrMaps)
	d.addrs, d.ksyms = room[uint64](sizes.nrKsyms)
	d.lens, d.funcLens = room[uint32](sizes.nrFuncLens)
	d.funcs, d.funcInfo = room[funcRec](sizes.nrFuncInfo)
	d.lines, d.lineInfo = room[lineRec](sizes.nrLineInfo)
	d.lineAddrs, d.jitedLineInfo = room[uint64](sizes.nrJitedLineInfo)
	d.jitedLen, d.nrMaps, d.nrKsyms, d.nrFuncLens = sizes.jitedLen, sizes.nrMaps, sizes.nrKsyms, sizes.nrFuncLens
	d.nrFuncInfo, d.nrLineInfo, d.nrJitedLineInfo = sizes.nrFuncInfo, sizes.nrLineInfo, sizes.nrJitedLineInfo
	d.funcRecSize, d.lineRecSize, d.jitedLineRecSize = uint32(unsafe.Sizeof(funcRec{})), uint32(unsafe.Sizeof(lineRec{})), 8
	if err := objInfo(fd, &d.progInfo); err != nil {
		return nil, err
	}
	switch {
	case d.jitedLen == 0:
		return nil, errNotJITed
	case d.jited == nil || d.progInfo.xlated == nil || d.ksyms == nil:
		return nil, errors.New("the kernel hides code or addresses (kernel.kptr_restrict, CAP_SYSLOG, lockdown)")
	}
	for off := 0; off+bpf.InsnSize <= len(xlated); off += bpf.InsnSize {
		d.xlatedInsns = append(d.xlatedInsns, bpf.DecodeInsn(xlated[off:]))
	}
	return d, nil
}

// errNotJITed is how captures name a program that was accepted and has no image.
var errNotJITed = errors.New("not JITed")

func objInfo(fd int, info *progInfo) error {
	attr := struct {
		fd, size uint32
		info     unsafe.Pointer
	}{uint32(fd), uint32(unsafe.Sizeof(*info)), unsafe.Pointer(info)}
	if _, err := bpfCall(unix.BPF_OBJ_GET_INFO_BY_FD, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil {
		return fmt.Errorf("program info: %w", err)
	}
	return nil
}

// insnBytes encodes instructions as the kernel takes them.
func insnBytes(insns []bpf.Insn) []byte {
	out := make([]byte, 0, len(insns)*bpf.InsnSize)
	for _, in := range insns {
		b := in.Bytes()
		out = append(out, b[:]...)
	}
	return out
}

// identifier makes a name that BTF and the kernel accept.
func identifier(name string) string {
	id := []byte(name)
	for i, c := range id {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9' || i == 0) {
			id[i] = '_'
		}
	}
	if len(id) == 0 {
		return "_"
	}
	return string(id)
}

// tagText returns the program's tag in hex.
func (d *dump) tagText() string { return fmt.Sprintf("%016x", binary.BigEndian.Uint64(d.tag[:])) }
