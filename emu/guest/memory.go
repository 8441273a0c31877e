// SPDX-License-Identifier: GPL-2.0-only

package guest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/image"
)

// Bits of page table entries (Intel SDM vol. 3A, table 5-20).
const (
	ptePresent  = 1 << 0
	pteWrite    = 1 << 1
	pteAccessed = 1 << 5
	pteDirty    = 1 << 6
	pteNX       = 1 << 63
	pteFrame    = 0x000ffffffffff000
)

// Prot is what a page may be used for, besides reading.
type Prot uint8

// The protections.
const (
	ReadOnly   Prot = 0
	Writable   Prot = 1
	Executable Prot = 2
)

// page is one mapped page.
type page struct {
	virt image.Addr
	phys uint64
	pte  uint64 // physical address of its entry
	prot Prot
	// snap is what Restore brings back, nil for zeros. It is shared between pages with a pattern.
	snap []byte
}

// Memory is guest memory: a physical arena, addressed from 0, with real page tables in it. The
// first page is the root table. It needs no engine.
//
// The processor sets the dirty bit of an entry with the first store to the page, so restoring
// memory touches only what was written. Bits are only cleared together with the engine's
// translation buffer.
type Memory struct {
	mem   []byte
	next  uint64 // first free physical page
	pages map[image.Addr]*page
	// writable are the pages that Restore looks at, text those with code, in order of allocation.
	writable, text []*page
	heap           image.Addr // where Heap goes on
	free           []uint64   // physical pages that were unmapped, zeroed
	tables         []uint64   // physical pages of page tables but the root
}

// NewMemory returns empty guest memory in mem, of which at least one page is needed.
func NewMemory(mem []byte) *Memory {
	return &Memory{mem: mem, next: PageSize, pages: make(map[image.Addr]*page), heap: elemBase}
}

// Clear unmaps everything and zeroes what was used: pages that nothing was stored to are left alone, so that large maps
// cost the host no memory.
func (s *Memory) Clear() {
	for _, p := range s.pages {
		if p.prot&Writable == 0 || p.snap != nil || s.entry(p.pte)&pteDirty != 0 {
			clear(s.bytes(p))
		}
	}
	for _, t := range append(s.tables, 0) {
		clear(s.mem[t : t+PageSize])
	}
	s.next, s.tables = PageSize, s.tables[:0]
	clear(s.pages)
	s.writable, s.text = s.writable[:0], s.text[:0]
	s.heap, s.free = elemBase, s.free[:0]
}

// Heap returns the address of size bytes for the machine's own use, not mapped yet, and rounded so
// that regions do not touch.
func (s *Memory) Heap(size uint64) image.Addr {
	at := s.heap
	s.heap += image.Addr((size + 127) &^ 63)
	return at
}

func (s *Memory) alloc() (uint64, error) {
	if n := len(s.free); n > 0 {
		p := s.free[n-1]
		s.free = s.free[:n-1]
		return p, nil
	}
	if s.next+PageSize > uint64(len(s.mem)) {
		return 0, fmt.Errorf("guest memory of %d bytes is used up", len(s.mem))
	}
	p := s.next
	s.next += PageSize
	return p, nil
}

func (s *Memory) entry(at uint64) uint64       { return binary.LittleEndian.Uint64(s.mem[at:]) }
func (s *Memory) setEntry(at uint64, v uint64) { binary.LittleEndian.PutUint64(s.mem[at:], v) }

// mapPage returns the page at addr, mapped anew if it was not. Pages that are mapped already must
// have the same protection.
func (s *Memory) mapPage(addr image.Addr, pr Prot) (*page, error) {
	addr &^= PageSize - 1
	if p := s.pages[addr]; p != nil {
		if p.prot != pr {
			return nil, fmt.Errorf("page %#x is needed for two purposes", uint64(addr))
		}
		return p, nil
	}
	if top := int64(addr) >> 47; top != 0 && top != -1 {
		return nil, fmt.Errorf("address %#x is not canonical", uint64(addr))
	}
	table := uint64(0)
	for shift := 39; shift > 12; shift -= 9 {
		at := table + uint64(addr)>>shift&511*8
		e := s.entry(at)
		if e == 0 {
			t, err := s.alloc()
			if err != nil {
				return nil, err
			}
			s.tables = append(s.tables, t)
			e = t | ptePresent | pteWrite | pteAccessed
			s.setEntry(at, e)
		}
		table = e & pteFrame
	}
	phys, err := s.alloc()
	if err != nil {
		return nil, err
	}
	p := &page{virt: addr, phys: phys, pte: table + uint64(addr)>>12&511*8, prot: pr}
	e := phys | ptePresent | pteAccessed
	if pr&Writable != 0 {
		e |= pteWrite
		s.writable = append(s.writable, p)
	}
	if pr&Executable == 0 {
		e |= pteNX
	} else {
		s.text = append(s.text, p)
	}
	s.setEntry(p.pte, e)
	s.pages[addr] = p
	return p, nil
}

// Unmap forgets the pages of [from, to). The engine's translations of addresses must be flushed afterwards.
func (s *Memory) Unmap(from, to image.Addr) {
	gone := func(p *page) bool { return p.virt >= from && p.virt < to }
	for a, p := range s.pages {
		if gone(p) {
			s.setEntry(p.pte, 0)
			clear(s.bytes(p))
			s.free = append(s.free, p.phys)
			delete(s.pages, a)
		}
	}
	slices.Sort(s.free)
	s.writable, s.text = slices.DeleteFunc(s.writable, gone), slices.DeleteFunc(s.text, gone)
}

// MapRange maps all pages of [addr, addr+size).
func (s *Memory) MapRange(addr image.Addr, size uint64, pr Prot) error {
	if size == 0 {
		return nil
	}
	if addr+image.Addr(size-1) < addr {
		return fmt.Errorf("region at %#x wraps around", uint64(addr))
	}
	for a := addr &^ (PageSize - 1); a <= addr+image.Addr(size-1); a += PageSize {
		if _, err := s.mapPage(a, pr); err != nil {
			return err
		}
		if a+PageSize == 0 {
			break
		}
	}
	return nil
}

func (s *Memory) bytes(p *page) []byte { return s.mem[p.phys : p.phys+PageSize : p.phys+PageSize] }

// PlaceText puts code into text pages; what is between pieces is int3.
func (s *Memory) PlaceText(at image.Addr, code []byte) error {
	for a := at &^ (PageSize - 1); a < at+image.Addr(len(code)); a += PageSize {
		fresh := s.pages[a] == nil
		p, err := s.mapPage(a, Executable)
		if err != nil {
			return err
		}
		if fresh {
			b := s.bytes(p)
			for i := range b {
				b[i] = 0xcc
			}
		}
	}
	return s.Write(at, code)
}

// TextPages returns the addresses of the pages with code.
func (s *Memory) TextPages() []image.Addr {
	a := make([]image.Addr, len(s.text))
	for i, p := range s.text {
		a[i] = p.virt
	}
	return a
}

// IsText reports whether an address is in a page with code.
func (s *Memory) IsText(addr image.Addr) bool {
	p := s.pages[addr&^(PageSize-1)]
	return p != nil && p.prot&Executable != 0
}

// Mapped reports whether an address is mapped.
func (s *Memory) Mapped(addr image.Addr) bool { return s.pages[addr&^(PageSize-1)] != nil }

// Code copies as much code as there is from an address on.
func (s *Memory) Code(addr image.Addr, dst []byte) (n int) {
	for n < len(dst) && s.IsText(addr+image.Addr(n)) {
		b, _ := s.at(addr + image.Addr(n))
		n += copy(dst[n:], b)
	}
	return n
}

// CString reads up to limit bytes of a string.
func (s *Memory) CString(addr image.Addr, limit int) (string, error) {
	var out []byte
	for len(out) < limit {
		b, _ := s.at(addr + image.Addr(len(out)))
		if b == nil {
			return "", fmt.Errorf("read of %#x: not mapped", uint64(addr)+uint64(len(out)))
		}
		if i := bytes.IndexByte(b, 0); i >= 0 {
			out = append(out, b[:i]...)
			break
		}
		out = append(out, b...)
	}
	return string(out[:min(len(out), limit)]), nil
}

// at returns guest memory from addr to the end of its page; nil if it is not mapped.
func (s *Memory) at(addr image.Addr) ([]byte, *page) {
	p := s.pages[addr&^(PageSize-1)]
	if p == nil {
		return nil, nil
	}
	return s.bytes(p)[addr&(PageSize-1):], p
}

// Read fills dst from guest memory. It fails if a byte is not mapped.
func (s *Memory) Read(addr image.Addr, dst []byte) error {
	for len(dst) > 0 {
		src, _ := s.at(addr)
		if src == nil {
			return fmt.Errorf("read of %#x: not mapped", uint64(addr))
		}
		n := copy(dst, src)
		dst, addr = dst[n:], addr+image.Addr(n)
	}
	return nil
}

// Write stores to guest memory whatever its protection.
func (s *Memory) Write(addr image.Addr, src []byte) error {
	for len(src) > 0 {
		dst, p := s.at(addr)
		if dst == nil {
			return fmt.Errorf("write to %#x: not mapped", uint64(addr))
		}
		n := copy(dst, src)
		s.dirty(p)
		src, addr = src[n:], addr+image.Addr(n)
	}
	return nil
}

func (s *Memory) dirty(p *page) {
	if p.prot&Writable != 0 {
		s.setEntry(p.pte, s.entry(p.pte)|pteDirty)
	}
}

// ReadWord returns the 8 bytes at addr.
func (s *Memory) ReadWord(addr image.Addr) (uint64, error) {
	var b [8]byte
	err := s.Read(addr, b[:])
	return binary.LittleEndian.Uint64(b[:]), err
}

// WriteWord stores 8 bytes.
func (s *Memory) WriteWord(addr image.Addr, v uint64) error {
	return s.Write(addr, binary.LittleEndian.AppendUint64(nil, v))
}

// WriteDword stores 4 bytes.
func (s *Memory) WriteDword(addr image.Addr, v uint32) error {
	return s.Write(addr, binary.LittleEndian.AppendUint32(nil, v))
}

// Checkpoint makes the present contents what restore brings back. The engine's translation buffer
// must be flushed afterwards.
func (s *Memory) Checkpoint() {
	for _, p := range s.writable {
		e := s.entry(p.pte)
		if e&pteDirty == 0 {
			continue
		}
		p.snap = append([]byte(nil), s.bytes(p)...)
		s.setEntry(p.pte, e&^pteDirty)
	}
}

var zeroPage [PageSize]byte

// Restore brings back every page that was written since the checkpoint. Pages stay marked: the
// engine may hold a writable translation.
func (s *Memory) Restore() {
	for _, p := range s.writable {
		if s.mem[p.pte]&pteDirty == 0 {
			continue
		}
		if p.snap == nil {
			copy(s.bytes(p), zeroPage[:])
		} else {
			copy(s.bytes(p), p.snap)
		}
	}
}
