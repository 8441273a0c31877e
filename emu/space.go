// SPDX-License-Identifier: GPL-2.0-only

package emu

import (
	"encoding/binary"
	"fmt"

	"github.com/tcsim/tcsim/jit"
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

// prot is what a page may be used for, beside reading.
type prot uint8

const (
	protRead  prot = 0
	protWrite prot = 1
	protExec  prot = 2
)

// page is one mapped page.
type page struct {
	virt jit.Addr
	phys uint64
	pte  uint64 // physical address of its entry
	prot prot
	// snap is what Reset restores, nil for zeros. It is shared between pages with a pattern.
	snap []byte
}

// space is guest memory: a physical arena, addressed from 0, with real page tables in it. The
// first page is the root table. It needs no engine.
//
// The processor sets the dirty bit of an entry with the first store to the page, so restoring
// memory touches only what was written. Bits are only cleared together with the engine's
// translation buffer.
type space struct {
	mem   []byte
	next  uint64 // first free physical page
	pages map[jit.Addr]*page
	// writable are the pages that Reset looks at, in order of allocation.
	writable []*page
}

func newSpace(mem []byte) *space {
	return &space{mem: mem, next: pageSize, pages: make(map[jit.Addr]*page)}
}

// clear unmaps everything and zeroes what was used.
func (s *space) clear() {
	clear(s.mem[:s.next])
	s.next = pageSize
	clear(s.pages)
	s.writable = s.writable[:0]
}

func (s *space) alloc() (uint64, error) {
	if s.next+pageSize > uint64(len(s.mem)) {
		return 0, fmt.Errorf("guest memory of %d bytes is used up", len(s.mem))
	}
	p := s.next
	s.next += pageSize
	return p, nil
}

func (s *space) entry(at uint64) uint64       { return binary.LittleEndian.Uint64(s.mem[at:]) }
func (s *space) setEntry(at uint64, v uint64) { binary.LittleEndian.PutUint64(s.mem[at:], v) }

// mapPage returns the page at addr, mapped anew if it was not. Pages that are mapped already must
// have the same protection.
func (s *space) mapPage(addr jit.Addr, pr prot) (*page, error) {
	addr &^= pageSize - 1
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
	if pr&protWrite != 0 {
		e |= pteWrite
		s.writable = append(s.writable, p)
	}
	if pr&protExec == 0 {
		e |= pteNX
	}
	s.setEntry(p.pte, e)
	s.pages[addr] = p
	return p, nil
}

// mapRange maps all pages of [addr, addr+size).
func (s *space) mapRange(addr jit.Addr, size uint64, pr prot) error {
	if size == 0 {
		return nil
	}
	if addr+jit.Addr(size-1) < addr {
		return fmt.Errorf("region at %#x wraps around", uint64(addr))
	}
	for a := addr &^ (pageSize - 1); a <= addr+jit.Addr(size-1); a += pageSize {
		if _, err := s.mapPage(a, pr); err != nil {
			return err
		}
		if a+pageSize == 0 {
			break
		}
	}
	return nil
}

func (s *space) bytes(p *page) []byte { return s.mem[p.phys : p.phys+pageSize : p.phys+pageSize] }

// at returns guest memory from addr to the end of its page; nil if it is not mapped.
func (s *space) at(addr jit.Addr) ([]byte, *page) {
	p := s.pages[addr&^(pageSize-1)]
	if p == nil {
		return nil, nil
	}
	return s.bytes(p)[addr&(pageSize-1):], p
}

// read fills dst from guest memory. It fails if a byte is not mapped.
func (s *space) read(addr jit.Addr, dst []byte) error {
	for len(dst) > 0 {
		src, _ := s.at(addr)
		if src == nil {
			return fmt.Errorf("read of %#x: not mapped", uint64(addr))
		}
		n := copy(dst, src)
		dst, addr = dst[n:], addr+jit.Addr(n)
	}
	return nil
}

// write stores to guest memory whatever its protection.
func (s *space) write(addr jit.Addr, src []byte) error {
	for len(src) > 0 {
		dst, p := s.at(addr)
		if dst == nil {
			return fmt.Errorf("write to %#x: not mapped", uint64(addr))
		}
		n := copy(dst, src)
		s.dirty(p)
		src, addr = src[n:], addr+jit.Addr(n)
	}
	return nil
}

func (s *space) dirty(p *page) {
	if p.prot&protWrite != 0 {
		s.setEntry(p.pte, s.entry(p.pte)|pteDirty)
	}
}

func (s *space) readWord(addr jit.Addr) (uint64, error) {
	var b [8]byte
	err := s.read(addr, b[:])
	return binary.LittleEndian.Uint64(b[:]), err
}

func (s *space) writeWord(addr jit.Addr, v uint64) error {
	return s.write(addr, binary.LittleEndian.AppendUint64(nil, v))
}

func (s *space) writeDword(addr jit.Addr, v uint32) error {
	return s.write(addr, binary.LittleEndian.AppendUint32(nil, v))
}

// checkpoint makes the present contents what restore brings back. The engine's translation buffer
// must be flushed afterwards.
func (s *space) checkpoint() {
	for _, p := range s.writable {
		e := s.entry(p.pte)
		if e&pteDirty == 0 {
			continue
		}
		p.snap = append([]byte(nil), s.bytes(p)...)
		s.setEntry(p.pte, e&^pteDirty)
	}
}

var zeroPage [pageSize]byte

// restore brings back every page that was written since the checkpoint. Pages stay marked: the
// engine may hold a writable translation.
func (s *space) restore() {
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
