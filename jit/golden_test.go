// SPDX-License-Identifier: GPL-2.0-only

package jit_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify"
)

// The parts of a capture (fixtures/kernels/README.md) that these tests need. The facts that the
// verifier would give are read from the captured image here, so that the compiler is judged alone;
// the conform command derives them.
type capture struct {
	header    captureHeader
	scenarios []captureScenario
	symbols   map[string]string
}

type captureHeader struct {
	Base            string `json:"bpf_call_base"`
	Release         string `json:"release"`
	CPUFlags        string `json:"cpu_flags"`
	Vulnerabilities map[string]string
	Config          map[string]string
}

func (h captureHeader) info() kernels.KernelInfo {
	return kernels.KernelInfo{
		Release: h.Release, CPUFlags: strings.Fields(h.CPUFlags), Vulnerabilities: h.Vulnerabilities, Config: h.Config,
	}
}

type captureScenario struct {
	Name       string
	ProgType   int `json:"prog_type"`
	Maps       []captureMap
	Progs      []captureProg
	ProgArrays [][3]int `json:"prog_arrays"`
}

type captureMap struct {
	Type       bpf.MapType
	MaxEntries uint32 `json:"max_entries"`
	Addr       string
	ValueAddr  string `json:"value_addr"`
}

type captureProg struct {
	Name      string
	LoadError string `json:"load_error"`
	Insns     string
	Xlated    string
	Funcs     []captureFunc
	InsnMap   [][4]int `json:"insn_map"`
	TailCalls []struct {
		Func, Off int
		Kind      string
	} `json:"tail_calls"`
	Refs map[string][]captureRef
}

type captureFunc struct {
	Name  string
	Addr  string
	Image map[string]string
}

type captureRef struct {
	Func, Off         int
	Kind, Target, Sym string
}

func readCapture(t testing.TB, name string) *capture {
	t.Helper()
	data, err := fixtures.FS.ReadFile("kernels/" + name + ".jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReaderSize(z, 1<<20)
	c := &capture{}
	for dec := json.NewDecoder(r); dec.More(); {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			t.Fatal(err)
		}
		var kind struct {
			Type    string
			Symbols map[string]string
		}
		must(t, json.Unmarshal(raw, &kind))
		switch kind.Type {
		case "header":
			must(t, json.Unmarshal(raw, &c.header))
		case "symbols":
			c.symbols = kind.Symbols
		case "scenario":
			var s captureScenario
			must(t, json.Unmarshal(raw, &s))
			c.scenarios = append(c.scenarios, s)
		}
	}
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	must(t, err)
	return b
}

func addr(s string) (image.Addr, error) {
	v, err := strconv.ParseUint(s, 16, 64)
	return image.Addr(v), err
}

// captureEnv answers with the addresses that the kernel used.
type captureEnv struct {
	c *capture
	s *captureScenario
	p *captureProg
}

func (e captureEnv) Place(fn, size int, entry image.CodeOff) (image.Addr, error) {
	return addr(e.p.Funcs[fn].Addr)
}

func (e captureEnv) Helper(imm int32) (image.Addr, error) {
	base, err := addr(e.c.header.Base)
	return base + image.Addr(imm), err
}

func (e captureEnv) MapAddr(m int) (image.Addr, error)  { return addr(e.s.Maps[m].Addr) }
func (e captureEnv) MapValue(m int) (image.Addr, error) { return addr(e.s.Maps[m].ValueAddr) }

func (e captureEnv) Symbol(name string) (image.Addr, error) {
	if s, ok := e.c.symbols[name]; ok {
		return addr(s)
	}
	for _, r := range e.p.Refs["empty"] {
		if r.Sym == name || name == "this_cpu_off" && r.Kind == "gs" {
			return addr(r.Target)
		}
	}
	return 0, fmt.Errorf("no symbol %s", name)
}

// verified makes what the verifier would tell the JIT out of the captured image.
func (e captureEnv) verified(t testing.TB) *verify.Verified {
	x := unhex(t, e.p.Xlated)
	v := &verify.Verified{Program: &bpf.Program{Name: e.p.Name}}
	for i := 0; i < len(x); i += bpf.InsnSize {
		v.Insns = append(v.Insns, bpf.DecodeInsn(x[i:]))
	}
	starts := map[int]int{0: 0}
	for i, in := range v.Insns {
		if in.Op == 0x85 && in.Src == bpf.PseudoCall {
			starts[int(in.Imm)] = i + 1 + int(in.Off)
		}
	}
	for i := range e.p.Funcs {
		end := len(v.Insns)
		if s, ok := starts[i+1]; ok {
			end = s
		}
		f := verify.FuncInfo{Name: e.p.Funcs[i].Name, Start: bpf.InsnIndex(starts[i]), End: bpf.InsnIndex(end)}
		f.StackDepth, f.TailCallReachable = prologueFacts(unhex(t, e.p.Funcs[i].Image["empty"]), v.Insns[f.Start])
		v.Funcs = append(v.Funcs, f)
	}
	e.markTailCalls(v)
	e.markProbes(t, v)
	return v
}

// prologueFacts reads stack depth and whether there is a counter. A function without a counter can
// begin with push rax, too: that of a multiplication or division, which rdx or r11 follows.
func prologueFacts(code []byte, first bpf.Insn) (depth int32, reachable bool) {
	code = bytes.TrimPrefix(code, []byte{0xf3, 0x0f, 0x1e, 0xfa})
	code = code[5:]
	if bytes.HasPrefix(code, []byte{0x31, 0xc0}) || bytes.HasPrefix(code, []byte{0x66, 0x90}) {
		code = code[2:]
	} else {
		code = code[3:]
	}
	code = bytes.TrimPrefix(code[4:], []byte{0xf3, 0x0f, 0x1e, 0xfa})
	if bytes.HasPrefix(code, []byte{0x48, 0x81, 0xec}) {
		depth = int32(code[3]) | int32(code[4])<<8
		code = code[7:]
	}
	if bytes.HasPrefix(code, []byte{0x48, 0x83, 0xf8, 33, 0x77, 6}) {
		return depth, true
	}
	op := first.Op >> 4
	muldiv := first.Op&3 == 0 && first.Op&4 != 0 || first.Op&7 == 7
	muldiv = muldiv && (op == 2 || op == 3 || op == 9)
	return depth, code[0] == 0x50 && !(muldiv && (code[1] == 0x52 || code[1] == 0x49))
}

func (e captureEnv) markTailCalls(v *verify.Verified) {
	n := 0
	for i := range v.Insns {
		in := &v.Insns[i]
		if in.Op != 0x85 || in.Src != 0 || in.Imm != bpf.HelperTailCall {
			continue
		}
		*in = bpf.Insn{Op: bpf.OpTailCall}
		if e.p.TailCalls[n].Kind == "direct" {
			v.Pokes = append(v.Pokes, verify.PokeDesc{Insn: bpf.InsnIndex(i)})
			in.Imm = int32(len(v.Pokes))
		}
		n++
	}
}

// markProbes restores the loads that the kernel's dump shows without their check.
func (e captureEnv) markProbes(t testing.TB, v *verify.Verified) {
	for _, m := range e.p.InsnMap {
		in := &v.Insns[m[1]]
		code := unhex(t, e.p.Funcs[m[2]].Image["empty"])[m[3]:]
		if in.Op&7 == 1 && (bytes.HasPrefix(code, []byte{0x49, 0xbb}) || bytes.HasPrefix(code, []byte{0x49, 0xc7, 0xc2, 0, 0, 0x60, 0xff})) {
			if in.Op&0xe0 == 0x60 {
				in.Op = in.Op&0x1f | 0x20
			} else {
				in.Op = in.Op&0x1f | 0x40
			}
		}
	}
}

func TestCaptures(t *testing.T) {
	for name, target := range captureTargets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := readCapture(t, name)
			tgt, err := jit.TargetFor(c.header.info())
			must(t, err)
			if tgt.Name != target || tgt.Evidence != jit.ByCapture {
				t.Errorf("chosen target %s (%s), expected %s", tgt.Name, tgt.Evidence, target)
			}
			same, total := 0, 0
			fails := map[string]int{}
			for i := range c.scenarios {
				s := &c.scenarios[i]
				for j := range s.Progs {
					p := &s.Progs[j]
					if len(p.Funcs) == 0 || p.Funcs[0].Image == nil {
						continue
					}
					total += len(p.Funcs)
					n, err := compareProgram(t, captureEnv{c, s, p}, tgt)
					same += n
					if err != nil {
						key := strings.Join(strings.SplitN(s.Name, "/", 4)[:2], "/")
						if fails[key]++; fails[key] <= 1 {
							t.Errorf("%s, program %d: %v", s.Name, j, err)
						}
					}
				}
			}
			t.Logf("%d/%d functions identical", same, total)
			if same != total {
				t.Errorf("failures by category: %v", fails)
			}
		})
	}
}

func compareProgram(t testing.TB, e captureEnv, tgt *jit.Target) (same int, err error) {
	v := e.verified(t)
	img, err := jit.Compile(v, tgt, e)
	if err != nil {
		return 0, err
	}
	if err := e.checkFacts(img); err != nil {
		return 0, err
	}
	if err := e.checkStates(t, tgt, img); err != nil {
		return 0, err
	}
	for i := range img.Funcs {
		want := unhex(t, e.p.Funcs[i].Image["empty"])
		got := img.Funcs[i].Code
		if bytes.Equal(got, want) {
			same++
			continue
		}
		if err != nil {
			continue
		}
		at := 0
		for at < len(got) && at < len(want) && got[at] == want[at] {
			at++
		}
		k, _ := img.Funcs[i].InsnAt(image.CodeOff(at))
		err = fmt.Errorf("function %d differs at %d (insn %d %+v):\n got %x\nwant %x", i, at, k, v.Insns[k], got[at:min(at+24, len(got))], want[at:min(at+24, len(want))])
	}
	return same, err
}

// checkFacts compares what the compiler says about its image with the capture.
func (e captureEnv) checkFacts(img *image.Image) error {
	for _, m := range e.p.InsnMap {
		f := &img.Funcs[m[2]]
		off := f.InsnOff[bpf.InsnIndex(m[1])-f.FirstInsn]
		if m[3] == 0 && off == f.Frame.Body {
			continue // the capture counts the prologue as the first instruction's
		}
		if int(off) != m[3] {
			return fmt.Errorf("insn %d is at %d, expected %d", m[1], off, m[3])
		}
	}
	n := 0
	for i := range img.Funcs {
		for _, s := range img.Funcs[i].TailCalls {
			if n == len(e.p.TailCalls) {
				return fmt.Errorf("tail call too many: %+v", s)
			}
			want := e.p.TailCalls[n]
			if want.Func != i || want.Off != int(s.Start) || (want.Kind == "direct") != s.Direct {
				return fmt.Errorf("tail call %d of function %d is %+v, expected %+v", n, i, s, want)
			}
			n++
		}
	}
	if n != len(e.p.TailCalls) {
		return fmt.Errorf("%d tail calls, expected %d", n, len(e.p.TailCalls))
	}
	return nil
}

// checkStates fills the slots as the capture did, compares, and empties them again.
func (e captureEnv) checkStates(t testing.TB, tgt *jit.Target, img *image.Image) error {
	var plan, undo []image.Patch
	for i := range img.Funcs {
		f := &img.Funcs[i]
		for j := range f.TailCalls {
			s := &f.TailCalls[j]
			state, ok := e.p.Funcs[i].Image["populated"]
			if !s.Direct || !ok {
				continue
			}
			// The test takes only the target from the capture's code.
			code := unhex(t, state)[s.Jump:]
			if code[0] != 0xe9 {
				continue
			}
			to := f.Addr + image.Addr(s.Jump) + 5 + image.Addr(int32(binary.LittleEndian.Uint32(code[1:])))
			p, err := tgt.UpdatePlan([]image.PokeSite{f.PokeSite(s)}, 0, to)
			must(t, err)
			plan = append(plan, p...)
			p, err = tgt.UpdatePlan([]image.PokeSite{f.PokeSite(s)}, to, 0)
			must(t, err)
			undo = append(undo, p...)
		}
	}
	if err := image.ApplyPatches(plan, img); err != nil {
		return err
	}
	for i := range img.Funcs {
		want, ok := e.p.Funcs[i].Image["populated"]
		if ok && !bytes.Equal(unhex(t, want), img.Funcs[i].Code) {
			return fmt.Errorf("function %d differs in state populated", i)
		}
		if _, ok := e.p.Funcs[i].Image["deleted"]; ok {
			return fmt.Errorf("function %d has a state deleted of its own", i)
		}
	}
	return image.ApplyPatches(undo, img)
}

// captureTargets says which target each capture must choose by its header.
var captureTargets = map[string]string{
	"5.10-off": "5.10", "5.10-default": "5.10-retpoline", "5.10-lfence": "5.10-lfence", "5.10-amd": "5.10-retpoline-srso",
	"6.1-off": "6.1", "6.1-default": "6.1-retpoline-its", "6.1-retp-ret": "6.1-retpoline",
	"6.1-lfence": "6.1-lfence", "6.1-amd": "6.1-retpoline-srso",
	"6.12-off": "6.12", "6.12-default": "6.12-retpoline-its", "6.12-retp-ret": "6.12-retpoline",
	"6.12-lfence": "6.12-lfence", "6.12-amd": "6.12-retpoline-srso", "6.12-stuff": "6.12-stuff", "6.12-nobmi2": "6.12-nobmi2",
	"6.18-host": "6.18",
	"7.2-off":   "7.2", "7.2-default": "7.2-retpoline-its", "7.2-retp-ret": "7.2-retpoline",
	"7.2-its-eibrs": "7.2-its", "7.2-amd": "7.2-retpoline-unret", "7.2-stuff": "7.2-stuff", "7.2-nobmi2": "7.2-nobmi2",
}
