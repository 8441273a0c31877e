// SPDX-License-Identifier: GPL-2.0-only

package live

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
)

// Loaded is a scenario whose programs are in the kernel. It must be closed.
type Loaded struct {
	k     *Kernel
	sc    *capture.Scenario
	maps  []*ebpf.Map
	ids   map[uint32]int // map ids -> index
	progs []int          // file descriptors, -1 for programs that the kernel refused
	types []map[uint32]int
	funcs [][]uint32  // type ids of the functions of each program
	links map[int]int // file descriptors by attached program
	// declared are the functions as submitted: Record replaces them by the compiled ones.
	declared [][]capture.Func
	// starts are where functions of programs begin in xlated whose lines say nothing, by program.
	starts map[int][]bpf.InsnIndex
	run    []*ebpf.Program // made when they are run
}

// Load creates the maps of a scenario in submitted form and loads its programs; prog arrays stay
// empty. A program that the kernel refuses is noted in its LoadError and is no error. The scenario
// belongs to the caller, but Load and the methods of the result write to it.
func (k *Kernel) Load(sc *capture.Scenario) (*Loaded, error) {
	n := len(sc.Progs)
	l := &Loaded{
		k: k, sc: sc, ids: map[uint32]int{}, starts: map[int][]bpf.InsnIndex{}, links: map[int]int{}, run: make([]*ebpf.Program, n),
		progs: slices.Repeat([]int{-1}, n), types: make([]map[uint32]int, n), funcs: make([][]uint32, n),
	}
	for i := range sc.Progs {
		l.declared = append(l.declared, sc.Progs[i].Funcs)
	}
	for i := range sc.Maps {
		if err := l.createMap(&sc.Maps[i].Map); err != nil {
			return nil, errors.Join(fmt.Errorf("scenario %s: map %s: %w", sc.Name, sc.Maps[i].Name, err), l.Close())
		}
	}
	for _, attached := range []bool{false, true} { // what is attached needs what it is attached to
		for i := range sc.Progs {
			p := &sc.Progs[i]
			if (p.Attach != nil) != attached {
				continue
			}
			err := l.load(i)
			var no *refusal
			switch {
			case (attached || p.AttachTo != "") && errors.Is(err, unix.EPERM): // of all that may be loaded here, only such programs may not
				p.LoadError = unix.EPERM.Error() + ": a security policy (lockdown, LSM) forbids programs that trace or replace functions"
			case errors.As(err, &no):
				p.LoadError = no.Error()
			case err != nil:
				return nil, errors.Join(fmt.Errorf("scenario %s: program %s: %w", sc.Name, p.Name, err), l.Close())
			}
		}
	}
	return l, nil
}

// load loads program n with a name for each function and a line for each instruction: the line
// number is the slot plus 1, which is how instructions are found again in the result.
func (l *Loaded) load(n int) error {
	p := &l.sc.Progs[n]
	insns, err := l.submitted(p)
	if err != nil {
		return err
	}
	s := &source{name: p.Name, typ: l.sc.Type(n), insns: insnBytes(insns), attachType: p.AttachType}
	if p.Sleepable {
		s.flags |= unix.BPF_F_SLEEPABLE
	}
	if p.Frags {
		s.flags |= unix.BPF_F_XDP_HAS_FRAGS
	}
	if err := l.target(s, p); err != nil {
		return err
	}
	for i := 0; i < len(insns); i++ {
		s.lines = append(s.lines, lineRec{insn: uint32(i), lineCol: uint32(i+1) << lineColBits})
		if insns[i].Op == bpf.OpLdImm64 {
			i++
		}
	}
	handle, types, err := typesOf(p, l.signatures(n), contextNames[l.sc.Type(n)])
	if err != nil {
		return err
	}
	defer handle.Close()
	s.btf = handle.FD()
	known := map[uint32]int{}
	for i, id := range types {
		s.funcs = append(s.funcs, funcRec{uint32(p.Funcs[i].Start), id})
		known[id] = i
	}
	l.types[n], l.funcs[n] = known, types
	fd, err := loadProg(s)
	if err == nil {
		l.progs[n] = fd
	}
	return err
}

// submitted puts file descriptors of maps and type ids of kernel functions in place of indexes.
func (l *Loaded) submitted(p *capture.Prog) ([]bpf.Insn, error) {
	out := make([]bpf.Insn, len(p.Insns))
	copy(out, p.Insns)
	for i := 0; i < len(out); i++ {
		in := &out[i]
		switch {
		case in.Op == bpf.OpLdImm64:
			if in.Src == bpf.PseudoMap || in.Src == bpf.PseudoMapValue {
				if in.Imm < 0 || int(in.Imm) >= len(l.maps) {
					return nil, fmt.Errorf("instruction %d: no map %d", i, in.Imm)
				}
				m, err := l.mapAt(int(in.Imm))
				if err != nil {
					return nil, &refusal{fmt.Errorf("instruction %d: %w", i, err), ""}
				}
				in.Imm = int32(m.FD())
			}
			i++
		case in.Op == bpf.OpCall && in.Src == bpf.PseudoKfunc:
			if in.Imm < 0 || int(in.Imm) >= len(p.Kfuncs) {
				return nil, fmt.Errorf("instruction %d: no kernel function %d", i, in.Imm)
			}
			id, err := l.k.kfunc(p.Kfuncs[in.Imm])
			if errors.Is(err, btf.ErrNotFound) {
				return nil, &refusal{fmt.Errorf("instruction %d: the kernel has no function %s", i, p.Kfuncs[in.Imm]), ""}
			}
			if err != nil {
				return nil, fmt.Errorf("instruction %d: %w", i, err)
			}
			in.Imm = int32(id)
		}
	}
	return out, nil
}

// Close unloads everything.
func (l *Loaded) Close() error {
	errs := []error{l.detachAll()}
	for _, p := range l.run {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	for _, fd := range l.progs {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	for _, m := range l.maps {
		errs = append(errs, m.Close())
	}
	l.maps, l.progs, l.run = nil, nil, nil
	return errors.Join(errs...)
}

// Record goes through the states empty, populated, traced, deleted and replaced and stores in the scenario
// what the kernel shows in each. Nothing of the scenario runs. Afterwards the prog arrays are empty and
// nothing is attached.
func (l *Loaded) Record() error {
	for i := range l.progs {
		if l.progs[i] < 0 {
			continue
		}
		if err := l.first(i, l.declared[i]); err != nil {
			return fmt.Errorf("scenario %s: program %s: %w", l.sc.Name, l.sc.Progs[i].Name, err)
		}
	}
	if len(l.sc.ProgArrays) > 0 {
		if err := l.Fill(); err != nil {
			return err
		}
		if err := l.again(capture.Populated); err != nil {
			return err
		}
	}
	if err := l.traced(); err != nil {
		return fmt.Errorf("scenario %s: %w", l.sc.Name, err)
	}
	if len(l.sc.ProgArrays) > 0 {
		for _, s := range l.sc.ProgArrays {
			if l.progs[s.Prog] < 0 {
				continue
			}
			if err := l.maps[s.Map].Delete(s.Key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
				return fmt.Errorf("scenario %s: empty %s[%d]: %w", l.sc.Name, l.sc.Maps[s.Map].Name, s.Key, err)
			}
		}
		if err := l.again(capture.Deleted); err != nil {
			return err
		}
	}
	if err := l.replaced(); err != nil {
		return fmt.Errorf("scenario %s: %w", l.sc.Name, err)
	}
	l.compiledFuncs()
	if err := l.sc.Derive(l.k.symbols.name); err != nil {
		return err
	}
	for i, starts := range l.starts {
		p := &l.sc.Progs[i]
		for fn, at := range starts {
			p.InsnMap = append(p.InsnMap, capture.InsnPos{Insn: p.Funcs[fn].Start, Xlated: at, Func: fn})
		}
	}
	return nil
}

// Fill puts the programs into the prog arrays as in state populated. Slots of programs that the
// kernel refused stay empty.
func (l *Loaded) Fill() error {
	for _, s := range l.sc.ProgArrays {
		if l.progs[s.Prog] < 0 {
			continue
		}
		if err := l.maps[s.Map].Update(s.Key, uint32(l.progs[s.Prog]), ebpf.UpdateAny); err != nil {
			return fmt.Errorf("scenario %s: fill %s[%d]: %w", l.sc.Name, l.sc.Maps[s.Map].Name, s.Key, err)
		}
	}
	return nil
}

// first reads program i in state empty.
func (l *Loaded) first(i int, declared []capture.Func) error {
	d, err := readProg(l.progs[i])
	if errors.Is(err, errNotJITed) {
		l.sc.Progs[i].LoadError = err.Error()
		return nil
	}
	if err != nil {
		return err
	}
	if err := l.k.hidden(d); err != nil {
		return err
	}
	out, err := d.convert(l.ids, l.k.Header.Blinds())
	if err != nil {
		return err
	}
	for n := range d.funcs {
		f, ok := l.types[i][d.funcs[n].typeID]
		if !ok || n >= len(out.Funcs) {
			return fmt.Errorf("function %d of the result was not submitted", n)
		}
		out.Funcs[n].Name, out.Funcs[n].Start = declared[f].Name, declared[f].Start
	}
	if len(out.Lines) == 0 && len(d.lines) > 0 {
		for _, f := range d.funcs {
			l.starts[i] = append(l.starts[i], bpf.InsnIndex(f.insn))
		}
	}
	for n := range out.Lines {
		out.Lines[n].Insn = bpf.InsnIndex(d.lines[n].lineCol>>lineColBits) - 1
	}
	return l.sc.Progs[i].Load(out)
}

// convert makes a Dump of what the kernel reports: names and slots of functions and lines are those
// of the xlated form. ids are the maps of the scenario. Of a program of several functions whose constants are
// blinded, that form is the one before, and the lines are of the one after: there are none then.
func (d *dump) convert(ids map[uint32]int, blinds bool) (*capture.Dump, error) {
	out := &capture.Dump{Tag: d.tagText(), Code: d.code, Xlated: d.xlatedInsns}
	if len(d.addrs) != len(d.lens) || len(d.funcs) != 0 && len(d.funcs) != len(d.addrs)-d.hidden {
		return nil, fmt.Errorf("the kernel reports %d addresses, %d lengths and %d names of functions", len(d.addrs), len(d.lens), len(d.funcs))
	}
	if len(d.lineAddrs) != len(d.lines) {
		return nil, fmt.Errorf("the kernel reports %d lines and %d addresses of lines", len(d.lines), len(d.lineAddrs))
	}
	for i := range d.addrs {
		f := capture.DumpFunc{Name: fmt.Sprintf("func%d", i), Addr: image.Addr(d.addrs[i]), Len: int(d.lens[i])}
		switch {
		case i >= len(d.addrs)-d.hidden:
			f.Name, f.Start = fmt.Sprintf("hidden%d", i), -1
		case len(d.funcs) > 0:
			f.Start = bpf.InsnIndex(d.funcs[i].insn)
		}
		out.Funcs = append(out.Funcs, f)
	}
	lines := d.lines
	if blinds && len(d.addrs) > 1 {
		lines = nil
	}
	for i, r := range lines {
		at := bpf.InsnIndex(r.insn)
		if int(at) >= len(out.Xlated) {
			return nil, fmt.Errorf("line %d is of instruction %d: there are %d", i, at, len(out.Xlated))
		}
		out.Lines = append(out.Lines, capture.Line{Insn: at, Xlated: at, Addr: image.Addr(d.lineAddrs[i])})
	}
	for i := 0; i < len(out.Xlated); i++ {
		in := &out.Xlated[i]
		if in.Op != bpf.OpLdImm64 {
			continue
		}
		if in.Src == bpf.PseudoMap || in.Src == bpf.PseudoMapValue {
			m, ok := ids[uint32(in.Imm)]
			if !ok {
				return nil, fmt.Errorf("xlated instruction %d: map id %d is not one of the program's", i, in.Imm)
			}
			in.Imm = int32(m)
		}
		i++
	}
	return out, nil
}

// again reads the code of all programs in a later state.
func (l *Loaded) again(s capture.State) error {
	for i, fd := range l.progs {
		p := &l.sc.Progs[i]
		if fd < 0 || p.LoadError != "" {
			continue
		}
		d, err := readProg(fd)
		if err == nil {
			err = l.k.hidden(d)
		}
		if err == nil {
			err = p.SetCode(s, d.code)
		}
		if err != nil {
			return fmt.Errorf("scenario %s: program %s: %v: %w", l.sc.Name, p.Name, s, err)
		}
	}
	return nil
}

// Run runs program i once with BPF_PROG_TEST_RUN. ctx is the context as user space sees it; nil for
// zeros. The error is an errno where the kernel refused.
func (l *Loaded) Run(i int, packet, ctx []byte) (uint32, error) {
	if l.progs[i] < 0 {
		return 0, fmt.Errorf("program %s is not loaded", l.sc.Progs[i].Name)
	}
	if l.run[i] == nil {
		fd, err := unix.FcntlInt(uintptr(l.progs[i]), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return 0, err
		}
		if l.run[i], err = ebpf.NewProgramFromFD(fd); err != nil {
			return 0, err
		}
	}
	opt := &ebpf.RunOptions{Data: packet}
	if ctx != nil {
		opt.Context = ctx
	}
	release, err := pin()
	if err != nil {
		return 0, err
	}
	ret, err := l.run[i].Run(opt)
	return ret, errors.Join(err, release())
}

// pin holds this thread on one processor, the same whenever it is called, until release: runs that follow one another
// see the same values of per-CPU maps.
func pin() (release func() error, err error) {
	runtime.LockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	cpu := 0
	for !all.IsSet(cpu) {
		cpu++
	}
	one.Set(cpu)
	err = unix.SchedSetaffinity(0, &one)
	return func() error {
		defer runtime.UnlockOSThread()
		return unix.SchedSetaffinity(0, &all)
	}, err
}

// Insert puts program i into slot key of prog array m.
func (l *Loaded) Insert(m int, key []byte, i int) error {
	if l.progs[i] < 0 {
		return fmt.Errorf("program %s is not loaded", l.sc.Progs[i].Name)
	}
	return errno(l.maps[m].Update(key, uint32(l.progs[i]), ebpf.UpdateAny))
}

// StoreMap puts map inner into map m, which is a map of maps.
func (l *Loaded) StoreMap(m int, key []byte, inner int) error {
	outer, err := l.mapAt(m)
	in, ierr := l.mapAt(inner)
	if err := errors.Join(err, ierr); err != nil {
		return err
	}
	return errno(outer.Update(key, uint32(in.FD()), ebpf.UpdateAny))
}

// Store puts a value into map m; of a per-CPU map, on every CPU.
func (l *Loaded) Store(m int, key, value []byte) error {
	to, err := l.mapAt(m)
	if err != nil {
		return err
	}
	if l.sc.Maps[m].Type != bpf.PerCPUArrayMap {
		return errno(to.Update(key, value, ebpf.UpdateAny))
	}
	n, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	all := make([][]byte, n)
	for i := range all {
		all[i] = value
	}
	return errno(to.Update(key, all, ebpf.UpdateAny))
}

// Delete removes a key of map m.
func (l *Loaded) Delete(m int, key []byte) error {
	from, err := l.mapAt(m)
	if err != nil {
		return err
	}
	return errno(from.Delete(key))
}

// Lookup returns the value of a key of map m, nil if there is none. It does not read per-CPU maps.
func (l *Loaded) Lookup(m int, key []byte) ([]byte, error) {
	from, err := l.mapAt(m)
	if err != nil {
		return nil, err
	}
	return from.LookupBytes(key)
}

// Values returns what maps hold, as far as it is not zero: arrays and hashes of up to maxValues
// elements.
func (l *Loaded) Values() ([]capture.MapValue, error) {
	var out []capture.MapValue
	for i := range l.sc.Maps {
		m := &l.sc.Maps[i]
		if m.Type != bpf.ArrayMap || m.MaxEntries > maxValues {
			continue
		}
		for k := range m.MaxEntries {
			key := binary.LittleEndian.AppendUint32(nil, k)
			v, err := l.Lookup(i, key)
			if err != nil {
				return nil, fmt.Errorf("read %s[%d]: %w", m.Name, k, err)
			}
			for _, b := range v {
				if b != 0 {
					out = append(out, capture.MapValue{Map: i, Key: key, Value: v})
					break
				}
			}
		}
	}
	return out, nil
}

// maxValues is how many elements of an array are stored.
const maxValues = 1024
