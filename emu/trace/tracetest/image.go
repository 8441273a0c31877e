// SPDX-License-Identifier: GPL-2.0-only

package tracetest

import (
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Addresses of what the images refer to.
const (
	EntryAddr  image.Addr = 0xffffffffc0011000
	SubAddr    image.Addr = 0xffffffffc0011200
	HelperAddr image.Addr = 0xffffffff81100000
	MapAddr    image.Addr = 0xffff888100400000
	ProgAddr   image.Addr = 0xffffc90000100000
	ValueAddr  image.Addr = 0xffff888100500000
)

// Offsets as in golden captures of 6.1 and 6.12.
const (
	offMaxEntries = 0x24
	offPtrs       = 0x110
	offBPFFunc    = 0x30
)

// Design is one of the tail-call designs that images can be made in.
type Design struct {
	Name string
	// epilogue of a function that has saved rbx, hexadecimal.
	epilogue string
	// Body appends the code of the parts, all with a BPF stack of sd bytes and rbx saved if rbx.
	prologue func(b *buf, main bool, sd int32, rbx bool)
	reload   func(b *buf, sd int32)
	tail     func(b *buf, t *image.TailCallSite, sd int32, rbx bool)
	frame    func(main bool, sd int32, rbx bool) image.Frame
	landing  int
}

// Rework is the design of Linux 5.10 to 6.6: the counter travels by value in rax.
var Rework = &Design{
	Name: "rework", landing: 11, epilogue: "5bc9c3", // pop rbx; leave; ret
	prologue: func(b *buf, main bool, sd int32, rbx bool) {
		b.hex("0f1f440000") // nop
		if main {
			b.hex("31c0") // xor eax, eax
		} else {
			b.hex("6690") // nop
		}
		b.hex("55 4889e5") // push rbp; mov rbp, rsp
		b.subRSP(sd)
		b.hex("50") // push rax
		b.pushRBX(rbx)
	},
	reload: func(b *buf, sd int32) { b.hex("488b85").i32(-sd - 8) }, // mov rax, [rbp-sd-8]
	tail: func(b *buf, t *image.TailCallSite, sd int32, rbx bool) {
		b.hex("89d2 395624") // mov edx, edx; cmp [rsi+0x24], edx
		t.Bounds = b.jcc("76", "end")
		b.hex("8b85").i32(-sd - 4).hex("83f821") // mov eax, [rbp-sd-4]; cmp eax, 33
		t.Limit = b.jcc("73", "end")
		b.hex("83c001") // add eax, 1
		t.Bump = b.off()
		b.hex("8985").i32(-sd - 4)       // mov [rbp-sd-4], eax
		b.hex("488b8cd6").i32(offPtrs)   // mov rcx, [rsi+rdx*8+ptrs]
		b.hex("4885c9")                  // test rcx, rcx
		t.Null = b.jcc("74", "end")      //
		t.Unwind = b.off()               //
		b.popRBX(rbx).hex("58")          // pop rbx; pop rax
		b.addRSP(sd)                     //
		b.hex("488b4930 4883c10b")       // mov rcx, [rcx+0x30]; add rcx, 11
		t.Jump = b.hex("ffe1").off() - 2 // jmp rcx
	},
	frame: func(main bool, sd int32, rbx bool) image.Frame {
		f := baseFrame(sd)
		f.Slots = append(f.Slots, image.FrameSlot{Off: -sd - 8, Size: 8, Kind: image.SlotTailCallCnt})
		f.Counter = image.Counter{Form: image.CounterValue, Off: -sd - 4, Size: 4}
		return saveRBX(f, -sd-16, rbx)
	},
}

// Hier is the design of Linux 6.12: a pointer to the counter travels in rax.
var Hier = &Design{
	Name: "hier", landing: 12, epilogue: "5bc9c3",
	prologue: func(b *buf, main bool, sd int32, rbx bool) {
		b.hex("0f1f440000") // nop
		if main {
			b.hex("4831c0") // xor rax, rax
		} else {
			b.hex("0f1f00") // nop
		}
		b.hex("55 4889e5") // push rbp; mov rbp, rsp
		b.subRSP(sd)
		if main {
			b.hex("4883f821 7706 50 4889e0 eb01 50 50") // cmp rax, 33; ja 2; push rax; mov rax, rsp; jmp 1; 2: push rax; 1: push rax
		} else {
			b.hex("50 50") // push rax; push rax
		}
		b.pushRBX(rbx)
	},
	reload: func(b *buf, sd int32) { b.hex("488b85").i32(-sd - 16) }, // mov rax, [rbp-sd-16]
	tail: func(b *buf, t *image.TailCallSite, sd int32, rbx bool) {
		if !t.Direct {
			b.hex("89d2 395624") // mov edx, edx; cmp [rsi+0x24], edx
			t.Bounds = b.jcc("76", "end")
		}
		b.hex("488b85").i32(-sd - 16).hex("48833821") // mov rax, [rbp-sd-16]; cmp qword [rax], 33
		t.Limit = b.jcc("73", "end")
		if t.Direct {
			t.Bypass = b.off()
			b.rel32("e9", "end") // jmp end, or nop when the slot is filled
		} else {
			b.hex("488b8cd6").i32(offPtrs).hex("4885c9") // mov rcx, [rsi+rdx*8+ptrs]; test rcx, rcx
			t.Null = b.jcc("74", "end")
		}
		t.Bump = b.off()
		b.hex("48830001") // add qword [rax], 1
		t.Unwind = b.off()
		b.popRBX(rbx).hex("58 58") // pop rbx; pop rax; pop rax
		b.addRSP(sd)
		if t.Direct {
			t.Jump = b.off()
			b.hex("0f1f440000") // nop, or jmp target when the slot is filled
			return
		}
		b.hex("488b4930 4883c10c")       // mov rcx, [rcx+0x30]; add rcx, 12
		t.Jump = b.hex("ffe1").off() - 2 // jmp rcx
	},
	frame: func(main bool, sd int32, rbx bool) image.Frame {
		f := baseFrame(sd)
		kind := image.SlotTailCallPtr
		if main {
			kind = image.SlotTailCallCntOrPtr
		}
		f.Slots = append(f.Slots,
			image.FrameSlot{Off: -sd - 8, Size: 8, Kind: kind},
			image.FrameSlot{Off: -sd - 16, Size: 8, Kind: image.SlotTailCallPtr})
		f.Counter = image.Counter{Form: image.CounterPtr, Off: -sd - 16, Size: 8}
		return saveRBX(f, -sd-24, rbx)
	},
}

// Reuse is the design of Linux 5.3 and 5.4: a tail call hands over its whole frame, the counter with
// it. It is for Graph.Self only, as calls and tail calls do not go together in it.
var Reuse = &Design{
	Name: "reuse", landing: 19, epilogue: "5b5bc9c3", // pop rbx, the counter; pop rbx; leave; ret
	prologue: func(b *buf, _ bool, sd int32, _ bool) {
		b.hex("0f1f440000 55 4889e5") // nop; push rbp; mov rbp, rsp
		b.subRSP(sd)
		b.hex("53 6a00") // push rbx; push 0
	},
	reload: func(*buf, int32) {},
	tail: func(b *buf, t *image.TailCallSite, sd int32, _ bool) {
		b.hex("89d2 395624") // mov edx, edx; cmp [rsi+0x24], edx
		t.Bounds = b.jcc("76", "end")
		b.hex("8b85").i32(-sd - 12).hex("83f820") // mov eax, [rbp-sd-12]; cmp eax, 32
		t.Limit = b.jcc("77", "end")
		b.hex("83c001") // add eax, 1
		t.Bump = b.off()
		b.hex("8985").i32(-sd - 12)                  // mov [rbp-sd-12], eax
		b.hex("488b84d6").i32(offPtrs).hex("4885c0") // mov rax, [rsi+rdx*8+ptrs]; test rax, rax
		t.Null = b.jcc("74", "end")                  //
		b.hex("488b4030 4883c013")                   // mov rax, [rax+0x30]; add rax, 19
		t.Jump = b.hex("ffe0").off() - 2             // jmp rax
	},
	frame: func(_ bool, sd int32, _ bool) image.Frame {
		f := saveRBX(baseFrame(sd), -sd-8, true)
		f.Slots = append(f.Slots, image.FrameSlot{Off: -sd - 16, Size: 8, Kind: image.SlotTailCallCnt})
		f.Counter = image.Counter{Form: image.CounterValue, Off: -sd - 12, Size: 4}
		f.Reused = true
		return f
	},
}

func baseFrame(sd int32) image.Frame {
	f := image.Frame{Depth: sd}
	f.Slots = []image.FrameSlot{
		{Off: 8, Size: 8, Kind: image.SlotReturn},
		{Off: 0, Size: 8, Kind: image.SlotSavedReg, Reg: x86.RBP},
	}
	if sd > 0 {
		f.Slots = append(f.Slots, image.FrameSlot{Off: -sd, Size: sd, Kind: image.SlotBPFStack})
	}
	return f
}

func saveRBX(f image.Frame, off int32, rbx bool) image.Frame {
	if rbx {
		f.Saved = []x86.Reg{x86.RBX}
		f.Slots = append(f.Slots, image.FrameSlot{Off: off, Size: 8, Kind: image.SlotSavedReg, Reg: x86.RBX})
	}
	return f
}

// buf collects code. Labels are patched when the function is finished.
type buf struct {
	base   image.Addr
	b      []byte
	labels map[string]image.CodeOff
	short  map[image.CodeOff]string // position of a rel8
	near   map[image.CodeOff]string // position of a rel32
}

func newBuf(base image.Addr) *buf {
	return &buf{
		base: base, labels: map[string]image.CodeOff{},
		short: map[image.CodeOff]string{}, near: map[image.CodeOff]string{},
	}
}

func (b *buf) off() image.CodeOff { return image.CodeOff(len(b.b)) }

func (b *buf) hex(s string) *buf {
	v, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	b.b = append(b.b, v...)
	return b
}

func (b *buf) i32(v int32) *buf {
	b.b = binary.LittleEndian.AppendUint32(b.b, uint32(v))
	return b
}

func (b *buf) i64(v uint64) *buf {
	b.b = binary.LittleEndian.AppendUint64(b.b, v)
	return b
}

func (b *buf) jcc(op, label string) image.CodeOff {
	at := b.off()
	b.hex(op).hex("00")
	b.short[at+1] = label
	return at
}

func (b *buf) rel32(op, label string) {
	b.hex(op)
	b.near[b.off()] = label
	b.i32(0)
}

func (b *buf) call(to image.Addr) image.CodeOff {
	at := b.off()
	b.hex("e8").i32(int32(int64(to - b.base - image.Addr(at) - 5)))
	return at
}

func (b *buf) subRSP(sd int32) {
	if sd != 0 {
		b.hex("4881ec").i32(sd)
	}
}

func (b *buf) addRSP(sd int32) {
	if sd != 0 {
		b.hex("4881c4").i32(sd)
	}
}

func (b *buf) pushRBX(yes bool) {
	if yes {
		b.hex("53")
	}
}

func (b *buf) popRBX(yes bool) *buf {
	if yes {
		b.hex("5b")
	}
	return b
}

func (b *buf) label(name string) { b.labels[name] = b.off() }

func (b *buf) finish() []byte {
	for at, l := range b.short {
		b.b[at] = byte(b.labels[l] - at - 1)
	}
	for at, l := range b.near {
		binary.LittleEndian.PutUint32(b.b[at:], uint32(b.labels[l]-at-4))
	}
	return b.b
}
