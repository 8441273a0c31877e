// SPDX-License-Identifier: GPL-2.0-only

package holds

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/verify/protos"
)

// Takes reports whether a value is of a kind that an argument takes, and what that is called.
func Takes(a protos.Arg, v *Value) (ok bool, expected string) {
	switch a.Kind {
	case 'c', 'C':
		return v.Kind == Context, "ctx"
	case 'p':
		return v.Kind == Map, "map_ptr"
	case 'k', 'v', 'V', 'u', 'm', 'n', 'M', 'W', 'N', 'r', 'w', 'x':
		return IsMemory(v.Kind) && v.Traits&AnyAddress == 0, "fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_"
	case 's', 'z', 'a':
		return v.Kind == Number, "scalar"
	case 'S', 't', 'q', 'X':
		return v.Kind == MapValue, "map_value"
	case 'f':
		return v.Kind == Func, "func"
	case 'T':
		return v.Kind == Stack, "fp"
	case 'o', 'b', 'B':
		return v.Sock(), "sock_common, sock, tcp_sock, xdp_sock"
	case 'E':
		return v.Kind == Socket, "sock"
	case 'g':
		return v.Kind == Memory && v.Traits&RingBuf != 0, "ringbuf_mem"
	case 'd':
		return v.Kind == Stack || v.Kind == Dynptr, "fp, dynptr_ptr"
	case 'D':
		return v.Kind == Stack || v.Kind == Dynptr, "fp, dynptr_ptr"
	case 'i', 'I', 'P':
		return v.Kind == Pointer || v.Sock(), "ptr_, trusted_ptr_, rcu_ptr_"
	}
	return true, ""
}

// Unmoved refuses an address that something was added to (__check_ptr_off_reg).
func Unmoved(reg uint8, v *Value) error {
	switch {
	case v.Off < 0:
		return fmt.Errorf("negative offset %s ptr r%d off=%d disallowed", v.Word(), reg, v.Off)
	case v.Off != 0:
		return fmt.Errorf("dereference of modified %s ptr r%d off=%d disallowed", v.Word(), reg, v.Off)
	case !v.Num.IsConst() || v.Num.Umin != 0:
		return fmt.Errorf("variable %s access through r%d disallowed", v.Word(), reg)
	}
	return nil
}

// Rewritten reports whether accesses through addresses of a kind are rewritten (reg_type_mismatch_ok).
func Rewritten(k Kind) bool {
	return k == Context || k >= Socket && k <= XDPSock || k == Probed || k == Arena
}

// InSock is check_sock_access.
func InSock(base *Value, reg uint8, a protos.Access) error {
	if a.Store {
		return fmt.Errorf("r%d cannot write into %s", reg, base.Word())
	}
	if a.Off < 0 || !base.Num.IsConst() {
		return fmt.Errorf("r%d min value is negative, either use unsigned index or do a if (index >=0) check", reg)
	}
	return protos.Sock(socks[base.Kind], a)
}

var socks = map[Kind]protos.Return{Socket: protos.Socket, SockCommon: protos.SockCommon, TCPSock: protos.TCPSock, XDPSock: protos.XDPSock}

// InMemory is check_mem_region_access.
func InMemory(base *Value, reg uint8, off, size int64, store bool) error {
	if store && base.Traits&ReadOnly != 0 {
		return fmt.Errorf("r%d cannot write into rdonly_mem", reg)
	}
	return base.Num.Within(reg, off, size, int64(base.Size), "mem", "mem_size")
}

// InBuffer is check_buffer_access.
func InBuffer(base *Value, reg uint8, off int64, store bool) error {
	switch {
	case store && base.Traits&ReadOnly != 0:
		return fmt.Errorf("r%d cannot write into rdonly_buf", reg)
	case off < 0:
		return fmt.Errorf("r%d invalid tracepoint buffer access: off=%d", reg, off)
	case !base.Num.IsConst() || base.Num.Umin != 0:
		return fmt.Errorf("r%d invalid variable buffer offset: off=%d", reg, off)
	}
	return nil
}

// FitsObject judges a kernel object whose structure is known as an argument of a helper (check_reg_type).
func FitsObject(a protos.Arg, reg uint8, v *Value) error {
	word := "ptr_"
	if v.Traits&Unguarded != 0 {
		word = "untrusted_ptr_"
	}
	switch {
	case a.Is("iIbBo") && v.Traits&Unguarded != 0:
		return fmt.Errorf("r%d type=%s expected=ptr_, trusted_ptr_, rcu_ptr_", reg, word)
	case a.Kind == 'P' && v.Typed != PerCPU:
		return fmt.Errorf("r%d type=%s expected=percpu_ptr_", reg, word)
	case !a.Is("kvVumnMWNrwx"):
		return nil
	case !v.Trusts():
		return fmt.Errorf("r%d type=%s expected=fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_", reg, word)
	case a.Stores():
		return fmt.Errorf("a helper may write into memory pointed by r%d type=trusted_%s", reg, word)
	}
	return nil
}
