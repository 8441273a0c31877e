// SPDX-License-Identifier: GPL-2.0-only

package vm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// Places in the setup header of an x86 kernel image (Documentation/arch/x86/boot.rst), in bytes.
const (
	setupSectors = 0x1f1 // of 512 bytes; 0 means 4
	sysSize      = 0x1f4 // of what follows the setup, in units of 16 bytes
	bootMagic    = 0x202 // "HdrS"
	headerEnd    = 0x206
	versionAt    = 0x20e // where the name of the release is, from 0x200 on
	versionBase  = 0x200
	longest      = 64 // how much of it is read
)

// checkImage refuses what QEMU would not boot, or boot into nothing, and returns the release that an image names, "" if
// it names none.
func checkImage(path string) (release string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if info.IsDir() {
		return "", fmt.Errorf("%s: it is a directory", path)
	}
	head := make([]byte, headerEnd)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	switch {
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		return "", fmt.Errorf("%s: an ELF file: expected a bzImage, which for a kernel built as vmlinux is arch/x86/boot/bzImage", path)
	case n < headerEnd || string(head[bootMagic:headerEnd]) != "HdrS":
		return "", fmt.Errorf("%s: no x86 kernel: expected a bzImage, with \"HdrS\" at %#x", path, bootMagic)
	}
	sectors := int64(head[setupSectors])
	if sectors == 0 {
		sectors = 4
	}
	if size := (sectors+1)*512 + int64(binary.LittleEndian.Uint32(head[sysSize:]))*16; info.Size() < size {
		return "", fmt.Errorf("%s: truncated: its header speaks of %d bytes, there are %d", path, size, info.Size())
	}
	return releaseOf(f), nil
}

// releaseOf reads the name of the release.
func releaseOf(f io.ReaderAt) string {
	var at [2]byte
	if _, err := f.ReadAt(at[:], versionAt); err != nil {
		return ""
	}
	text := make([]byte, longest)
	n, err := f.ReadAt(text, versionBase+int64(binary.LittleEndian.Uint16(at[:])))
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	word, _, _ := bytes.Cut(text[:n], []byte(" "))
	return string(word)
}
