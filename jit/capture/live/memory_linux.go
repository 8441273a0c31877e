// SPDX-License-Identifier: GPL-2.0-only

package live

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
)

// memory reads kernel memory by a program of five instructions: no file shows what is there (not every
// kernel has /proc/kcore), and bpf_prog_info does not show trampolines. It must be closed.
type memory struct {
	prog int // file descriptor
	m    *ebpf.Map
}

// rawTracepoint is the oldest type of programs that can be run and may read the kernel's memory.
const rawTracepoint bpf.ProgType = 17

const (
	probeReadKernel = 113 // bpf_probe_read_kernel
	// piece is how many bytes are read at once. Pieces are aligned, so that they do not reach into a page
	// that is not there.
	piece = 64
)

// openMemory loads the program. The error says why this kernel does not let it read.
func openMemory() (*memory, error) {
	em, err := ebpf.NewMap(&ebpf.MapSpec{Name: "tcsim_memory", Type: ebpf.Array, KeySize: 4, ValueSize: 8 + piece, MaxEntries: 1})
	if err != nil {
		return nil, err
	}
	value := func(reg uint8, off int32) []bpf.Insn {
		return []bpf.Insn{{Op: bpf.OpLdImm64, Dst: reg, Src: bpf.PseudoMapValue, Imm: int32(em.FD())}, {Imm: off}}
	}
	var insns []bpf.Insn
	insns = append(insns, value(3, 0)...)
	insns = append(insns, bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | bpf.SizeDW, Dst: 3, Src: 3}) // r3 = *(u64 *)(r3 + 0)
	insns = append(insns, value(1, 8)...)
	insns = append(insns, bpf.Insn{Op: bpf.OpMov, Dst: 2, Imm: piece}, bpf.Insn{Op: bpf.OpCall, Imm: probeReadKernel}, bpf.Insn{Op: bpf.OpExit})
	p := &capture.Prog{Name: "tcsim_memory", Funcs: []capture.Func{{Name: "tcsim_memory"}}}
	handle, ids, err := typesOf(p, []signature{nil}, "")
	if err != nil {
		return nil, errors.Join(err, em.Close())
	}
	defer handle.Close()
	fd, err := loadProg(&source{name: p.Name, typ: rawTracepoint, insns: insnBytes(insns), btf: handle.FD(), funcs: []funcRec{{0, ids[0]}}, lines: []lineRec{{}}})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("no program may read the kernel's memory: %w", err), em.Close())
	}
	return &memory{fd, em}, nil
}

func (m *memory) Close() error { return errors.Join(unix.Close(m.prog), m.m.Close()) }

// read returns the memory from an address up to the end of the piece that holds its size-th byte.
func (m *memory) read(at image.Addr, size int) ([]byte, error) {
	var out []byte
	for a := at &^ (piece - 1); a < at+image.Addr(size); a += piece {
		v := make([]byte, 8+piece)
		binary.LittleEndian.PutUint64(v, uint64(a))
		if err := m.m.Put(uint32(0), v); err != nil {
			return nil, err
		}
		attr := struct { // the test part of union bpf_attr (include/uapi/linux/bpf.h)
			progFD, retval            uint32
			dataSizeIn, dataSizeOut   uint32
			dataIn, dataOut           unsafe.Pointer
			repeat, duration          uint32
			ctxSizeIn, ctxSizeOut     uint32
			ctxIn, ctxOut             unsafe.Pointer
			flags, cpu, batch, unused uint32
		}{progFD: uint32(m.prog)}
		if _, err := bpfCall(unix.BPF_PROG_TEST_RUN, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil {
			return nil, fmt.Errorf("run the program that reads the kernel's memory: %w", err)
		}
		if int32(attr.retval) != 0 {
			return nil, fmt.Errorf("kernel memory at %#x: %w", uint64(a), unix.Errno(-int32(attr.retval)))
		}
		if err := m.m.Lookup(uint32(0), &v); err != nil {
			return nil, err
		}
		out = append(out, v[8:]...)
	}
	return out[at&(piece-1):], nil
}

// readCode reads code that nothing tells the length of, piece by piece until its return.
func (k *Kernel) readCode(at image.Addr) (code []byte, err error) {
	if k.mem == nil {
		if k.mem, err = openMemory(); err != nil {
			return nil, err
		}
	}
	for {
		more, err := k.mem.read(at+image.Addr(len(code)), piece)
		if err != nil {
			return nil, err
		}
		code = append(code, more...)
		n, err := capture.CodeLen(at, code)
		if err == nil {
			return code[:n], nil
		}
		if len(code) >= capture.MaxCode {
			return nil, err
		}
	}
}

// preamble is what precedes bpf_func on kernels with kCFI or FineIBT (cfi_get_offset), in bytes.
const preamble = 16

// correctLines puts the records of lines right: bpf_prog_info shows code from bpf_func on, but the kernel counts
// all lines after the first of a function from the preamble (bpf_prog_fill_jited_linfo adds offsets in the
// image to bpf_func).
func (k *Kernel) correctLines(d *dump) {
	t, err := jit.TargetFor(k.Header.Kernel)
	if err != nil || t.Emit.CFI == kernels.CFINone {
		return
	}
	fromPreamble(d.addrs, d.lineAddrs)
}

// fromPreamble corrects the addresses of lines of functions at funcs.
func fromPreamble(funcs, lines []uint64) {
	for i, a := range lines {
		if !slices.Contains(funcs, a) {
			lines[i] -= preamble
		}
	}
}

// hidden adds the exception callback that the verifier gives a program that throws and has none
// (add_hidden_subprog): bpf_prog_info does not list it. It shares the line records of the entry, of which the
// first then has the callback's address (bpf_prog_fill_jited_linfo). It ends as every function does that returns, with
// or without int3 after that.
func (k *Kernel) hidden(d *dump) error {
	if err := k.addHidden(d); err != nil {
		return err
	}
	k.correctLines(d) // which leaves the addresses of functions as they are
	return nil
}

func (k *Kernel) addHidden(d *dump) error {
	if len(d.lineAddrs) == 0 || len(d.addrs) == 0 {
		return nil
	}
	at := d.lineAddrs[0]
	for i := range d.addrs {
		if at >= d.addrs[i] && at < d.addrs[i]+uint64(d.lens[i]) {
			return nil
		}
	}
	code, err := k.readCode(image.Addr(at))
	if err != nil {
		return fmt.Errorf("the exception callback that the verifier added cannot be read: %w", err)
	}
	d.addCallback(at, code, k.trap)
	return nil
}

// int3 is what may follow a return.
const int3 = 0xcc

// addCallback adds a function that bpf_prog_info does not list: code up to its return, and the int3 after that where the
// kernel has them. Functions that are listed do not tell whether it has: they may end with a jump, and have no return.
func (d *dump) addCallback(at uint64, code []byte, trap bool) {
	if trap {
		code = append(code[:len(code):len(code)], int3)
	}
	d.addrs, d.lens, d.code = append(d.addrs, at), append(d.lens, uint32(len(code))), append(d.code, code...)
	d.hidden = 1
}
