// SPDX-License-Identifier: GPL-2.0-only

package protos

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
)

// Field is what a load from a context gives.
type Field uint8

// The kinds.
const (
	FieldNumber Field = iota
	FieldPacket
	FieldPacketEnd
	FieldPacketMeta
	FieldSockCommonOrNull
	FieldSocket
	FieldSocketOrNull
	FieldFlowKeys
	FieldBuffer // of a writable tracepoint
	FieldObject // a kernel object, which is trusted
)

// Access is an access to Size bytes at Off of a context or a socket.
type Access struct {
	Off, Size     int64
	Store, Signed bool
}

func (a Access) refused() error {
	return fmt.Errorf("invalid bpf_context access off=%d size=%d", a.Off, a.Size)
}

// sizes is a set of sizes of accesses in bytes: their sum.
type sizes uint8

// The sets: parts of a field of 4 bytes may be read, of others not.
const (
	never   sizes = 0
	part    sizes = 1 | 2 | 4
	word    sizes = 4
	double  sizes = 8
	anySize sizes = 1 | 2 | 4 | 8
)

// area is a part of a context, from its first byte to just after its last.
type area struct {
	from, to    int64
	read, write sizes
	field       Field
	// narrow is how many bytes from its beginning on parts of it may be read, 0 for all.
	narrow int64
	only   []uint32 // the attach types that have the area, nil for all
}

// find returns the area that holds the first byte of an access.
func find(areas []area, off int64) *area {
	for i := range areas {
		if a := &areas[i]; off >= a.from && off < a.to {
			return a
		}
	}
	return nil
}

// Context judges an access to the context of a program as its type's is_valid_access does (net/core/filter.c,
// kernel/trace/bpf_trace.c, kernel/bpf/cgroup.c), and says what a load gives. attach is the expected attach type; an
// access that only some attach types have is taken where that is 0, which is not known then.
func Context(t bpf.ProgType, attach uint32, a Access) (Field, error) {
	switch t {
	case bpf.Syscall:
		if a.Off < 0 || a.Off >= 0xffff || a.Off%a.Size != 0 {
			return 0, a.refused()
		}
		return FieldNumber, nil
	case bpf.RawTracepointWritable:
		if a.Off == 0 && a.Size == 8 && !a.Store {
			return FieldBuffer, nil
		}
	case bpf.Extension, bpf.StructOps: // as what they replace or implement has it
		return FieldNumber, nil
	}
	areas, known := contexts[t]
	if !known {
		return FieldNumber, nil
	}
	return access(areas, attach, a)
}

func access(areas []area, attach uint32, a Access) (Field, error) {
	at := find(areas, a.Off)
	if at == nil || a.Off%a.Size != 0 || a.Off+a.Size > at.to {
		return 0, a.refused()
	}
	allowed := at.read
	if a.Store {
		allowed = at.write
	}
	if at.narrow != 0 && a.Size < 4 && a.Off >= at.from+at.narrow {
		return 0, a.refused()
	}
	if allowed&sizes(a.Size) == 0 || a.Signed && at.field != FieldNumber || !at.has(attach) {
		return 0, a.refused()
	}
	return at.field, nil
}

func (a *area) has(attach uint32) bool {
	if a.only == nil || attach == 0 {
		return true
	}
	for _, t := range a.only {
		if t == attach {
			return true
		}
	}
	return false
}

// Sock judges an access to a socket (bpf_sock_is_valid_access, bpf_sock_common_is_valid_access,
// bpf_tcp_sock_is_valid_access, bpf_xdp_sock_is_valid_access).
func Sock(kind Return, a Access) error {
	areas := sock
	switch kind {
	case SockCommon:
		areas = sockCommon
	case TCPSock:
		areas = tcpSock
	case XDPSock:
		areas = []area{{to: 4, read: word}}
	}
	if _, err := access(areas, 0, a); a.Store || err != nil {
		return fmt.Errorf("invalid %s access off=%d size=%d", sockNames[kind], a.Off, a.Size)
	}
	return nil
}

var sockNames = map[Return]string{Socket: "sock", SockCommon: "sock_common", TCPSock: "tcp_sock", XDPSock: "xdp_sock"}

// FlowKeysSize is the size of struct bpf_flow_keys in bytes.
const FlowKeysSize = 56
