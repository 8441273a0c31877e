// SPDX-License-Identifier: GPL-2.0-only

package emu

/*
#include "engine.h"
*/
import "C"

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
)

// EngineVersion is a version of libunicorn.
type EngineVersion struct{ Major, Minor, Patch int }

// MinEngine is the oldest libunicorn that works: before it, patched code is executed stale and
// other addresses fail. MaxEngine is the first that the Go binding refuses.
var (
	MinEngine = EngineVersion{2, 1, 1}
	MaxEngine = EngineVersion{2, 2, 0}
)

// String returns the usual dotted form.
func (v EngineVersion) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

func (v EngineVersion) number() int { return v.Major<<16 | v.Minor<<8 | v.Patch }

// Engine returns the version of the library that is loaded.
func Engine() EngineVersion {
	v := C.uc_version(nil, nil)
	return EngineVersion{int(v >> 24 & 0xff), int(v >> 16 & 0xff), int(v >> 8 & 0xff)}
}

// checkEngine errors if the library cannot work.
func checkEngine() error {
	v := Engine()
	if v.number() < MinEngine.number() || v.number() >= MaxEngine.number() {
		return fmt.Errorf("libunicorn %s: at least %s and less than %s is needed", v, MinEngine, MaxEngine)
	}
	return nil
}

// Check is one self-test of what the machine relies on. Err is nil if it passed; Detail says what
// was seen.
type Check struct {
	Name   string
	Detail string
	Err    error
}

// Doctor tests at run time what the machine relies on, and says after each check how many of all are done. Checks
// after one without which they make no sense fail with its error. If the context ends, those are returned that were done.
func Doctor(ctx context.Context, progress func(done, total int)) []Check {
	checks := []Check{{Name: "engine version", Detail: "libunicorn " + Engine().String(), Err: checkEngine()}}
	m, err := New(Config{})
	if err == nil {
		defer m.Close()
	}
	tests := []struct {
		name string
		test func(context.Context, *Machine) (string, error)
	}{
		{"kernel addresses", testAddresses},
		{"BMI2 instructions", testBMI2},
		{"patched code", testStale},
		{"mistakes of the engine", testQuirks},
		{"faults", testFaults},
		{"recording", testRecording},
		{"register access", testRegisters},
	}
	for _, c := range tests {
		r := Check{Name: c.name, Err: err}
		if err == nil {
			r.Detail, r.Err = c.test(ctx, m)
		}
		if ctx.Err() != nil {
			break
		}
		checks = append(checks, r)
		progress(len(checks), 1+len(tests))
	}
	return checks
}

// tryCode loads and runs one function.
func tryCode(ctx context.Context, m *Machine, r Run, code ...byte) (Result, error) {
	img := &image.Image{Funcs: []image.FuncImage{{Name: "doctor", Addr: guest.TextBase + 0x119d4, Code: code}}}
	if err := m.Load(guest.Setup{Images: []*image.Image{img}, Offsets: kernels.Offsets{ProgBPFFunc: 0x30}}); err != nil {
		return Result{}, err
	}
	return m.Run(ctx, r)
}

// wantReturn checks a return value.
func wantReturn(res Result, err error, want uint64) error {
	if err != nil {
		return err
	}
	if res.Stop != StopReturn || res.Return() != want {
		return fmt.Errorf("%s with %#x, want %#x", res.Stop, res.Return(), want)
	}
	return nil
}

func testAddresses(ctx context.Context, m *Machine) (string, error) {
	res, err := tryCode(ctx, m, Run{}, 0x55, 0x48, 0x89, 0xe0, 0x5d, 0xc3) // push rbp; mov rax, rsp; pop rbp; ret
	return fmt.Sprintf("code at %#x, stack at %#x", uint64(guest.TextBase), uint64(guest.EntryRSP)),
		wantReturn(res, err, uint64(guest.EntryRSP-8))
}

func testBMI2(ctx context.Context, m *Machine) (string, error) {
	// shlx rax, rdi, rsi; ret
	res, err := tryCode(ctx, m, Run{Args: []uint64{5, 4}}, 0xc4, 0xe2, 0xc9, 0xf7, 0xc7, 0xc3)
	return "shlx", wantReturn(res, err, 80)
}

func testStale(ctx context.Context, m *Machine) (string, error) {
	const rounds = 200
	if _, err := tryCode(ctx, m, Run{}, 0xb8, 0, 0, 0, 0, 0xc3); err != nil { // mov eax, imm32; ret
		return "", err
	}
	for i := range uint32(rounds) {
		v := i*2654435761 + 1
		if err := m.WriteText(guest.TextBase+0x119d5, binary.LittleEndian.AppendUint32(nil, v)); err != nil {
			return "", err
		}
		res, err := m.Run(ctx, Run{Level: Level(i % 3)})
		if err := wantReturn(res, err, uint64(v)); err != nil {
			return "", fmt.Errorf("after patch %d: %w", i, err)
		}
	}
	return fmt.Sprintf("%d patches, none stale", rounds), nil
}

func testFaults(ctx context.Context, m *Machine) (string, error) {
	for _, c := range []struct {
		want FaultKind
		code []byte
	}{
		{FaultAccess, []byte{0x48, 0x8b, 0x47, 0x08, 0xc3}},
		{FaultGuard, []byte{0xe8, 0xfb, 0xff, 0xff, 0xff}},
		{FaultFetch, []byte{0x31, 0xc0, 0xff, 0xe0}},
		{FaultBreak, []byte{0xcc}},
		{FaultDecode, []byte{0x06}},
	} {
		var f *Fault
		if _, err := tryCode(ctx, m, Run{}, c.code...); !errors.As(err, &f) || f.Kind != c.want {
			return "", fmt.Errorf("% x: %w, want a fault: %s", c.code, err, c.want)
		}
	}
	return "recognised", nil
}

// testQuirks tries what quirk.go mends or refuses, at all levels.
func testQuirks(ctx context.Context, m *Machine) (string, error) {
	const rax = 0x7788_9900_1122_3344
	refused := 0
	for _, l := range []Level{LevelNone, LevelSites, LevelRetired} {
		// push rdi; mov rax, rdi; cmpxchg [rsp], edx; pop rdx; ret
		res, err := tryCode(ctx, m, Run{Level: l, Args: []uint64{rax}}, 0x57, 0x48, 0x89, 0xf8, 0x0f, 0xb1, 0x14, 0x24, 0x5a, 0xc3)
		if err := wantReturn(res, err, rax); err != nil {
			return "", fmt.Errorf("cmpxchg of 32 bits: %w", err)
		}
		for _, c := range []struct {
			want FaultKind
			code []byte
		}{
			{FaultDivide, []byte{0xba, 0, 0, 0, 0x80, 0x31, 0xc0, 0xbf, 0xff, 0xff, 0xff, 0xff, 0xf7, 0xff}},       // idiv edi
			{FaultDivide, []byte{0xba, 0, 0x80, 0, 0, 0x31, 0xc0, 0xbf, 0xff, 0xff, 0xff, 0xff, 0x66, 0xf7, 0xff}}, // idiv di
			{FaultEngine, []byte{0xf0, 0x48, 0xf7, 0x1c, 0x24}},                                                    // lock neg [rsp]
			{FaultEngine, []byte{0x0f, 0xc7, 0x0c, 0x24}},                                                          // cmpxchg8b [rsp]
			{FaultEngine, []byte{0xc4, 0xe3, 0xfb, 0xf0, 0x05, 0, 0, 0, 0, 5}},                                     // rorx rax, [rip], 5
			{FaultEngine, []byte{0xc2, 0, 0x80}},                                                                   // ret 0x8000
			{FaultEngine, []byte{0xc4, 0xe2, 0xe8, 0xf3, 0xd9}},                                                    // blsi rdx, rcx
			{FaultEngine, []byte{0xc4, 0xe2, 0x60, 0xf5, 0xc1}},                                                    // bzhi eax, ecx, ebx
			{FaultEngine, []byte{0xc4, 0xe2, 0x60, 0xf7, 0xc1}},                                                    // bextr eax, ecx, ebx
			{FaultEngine, []byte{0xc4, 0xe2, 0x73, 0xf5, 0xc2}},                                                    // pdep eax, ecx, edx
			{FaultEngine, []byte{0x48, 0x0f, 0xa4, 0x05, 0, 0, 0, 0, 5}},                                           // shld [rip], rax, 5
			{FaultEngine, []byte{0x48, 0x0f, 0xac, 0x05, 0, 0, 0, 0, 5}},                                           // shrd [rip], rax, 5
			{FaultEngine, []byte{0xf7, 0xc8, 0, 0, 0, 0}},                                                          // test eax, 0 by /1
			{FaultEngine, []byte{0x4c, 0xc7, 0x44, 0x24, 0xf8, 1, 0, 0, 0}},                                        // mov qword [rsp-8], 1 with REX.R
			{FaultEngine, []byte{0x0f, 0xb1, 0xd7}},                                                                // cmpxchg edi, edx
			{FaultEngine, []byte{0x65, 0x2e, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0}},                                  // mov rax, cs:gs:[0]
		} {
			var f *Fault
			if _, err := tryCode(ctx, m, Run{Level: l}, append(c.code, 0xc3)...); !errors.As(err, &f) || f.Kind != c.want {
				return "", fmt.Errorf("level %d: % x: %w, want a fault: %s", l, c.code, err, c.want)
			}
			if l == LevelNone && c.want == FaultEngine {
				refused++
			}
		}
	}
	return fmt.Sprintf("cmpxchg and idiv mended, %d forms refused", refused), nil
}

// tally counts records.
type tally struct{ retired, sites uint64 }

func (t *tally) Retired(b []record.Retired) bool { t.retired += uint64(len(b)); return false }
func (t *tally) Sites(b []record.Site) bool      { t.sites += uint64(len(b)); return false }

func testRecording(ctx context.Context, m *Machine) (string, error) {
	const n = 5000
	for _, l := range []Level{LevelSites, LevelRetired} {
		var o tally
		// dec rdi; jne -5; ret
		res, err := tryCode(ctx, m, Run{Level: l, Observer: &o, Args: []uint64{n}}, 0x48, 0xff, 0xcf, 0x75, 0xfb, 0xc3)
		if err != nil {
			return "", err
		}
		if res.Retired != 2*n+1 || l == LevelRetired && o.retired != res.Retired || o.sites != n+1 { // the entry is the loop
			return "", fmt.Errorf("level %d: %d instructions, %d and %d records, want %d", l, res.Retired, o.retired, o.sites, 2*n+1)
		}
	}
	return "instructions and sites agree", nil
}

func testRegisters(_ context.Context, m *Machine) (string, error) {
	if m.Direct() {
		return "direct", nil
	}
	return "by the engine's API: recording is slow", nil
}
