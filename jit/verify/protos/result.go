// SPDX-License-Identifier: GPL-2.0-only

package protos

import "github.com/tcsim/tcsim/jit/bpf"

// Range is what a program may return, both ends included.
type Range struct{ Min, Max int64 }

// SeesResult reports whether a program sees what the function returned that it is attached to (btf_ctx_access).
func SeesResult(t bpf.ProgType, attach uint32) bool {
	switch t {
	case bpf.LSM:
		return true
	case bpf.Tracing:
		return attach == AttachFexit || attach == AttachFentrySession || attach == AttachModifyReturn
	}
	return false
}

// Results returns what programs may return, all if ok is false (check_return_code, kernel/bpf/verifier.c). Where that is
// for the hook of a kernel function to say, as of LSM, hook is its range.
func Results(t bpf.ProgType, attach uint32, hook *Range) (r Range, ok bool) {
	bit := Range{0, 1}
	switch t {
	case bpf.CGroupSockAddr:
		switch attach {
		case AttachRecvMsg4, AttachRecvMsg6, AttachRecvMsgUnix, AttachPeerName4, AttachPeerName6, AttachPeerNameUnix,
			AttachSockName4, AttachSockName6, AttachSockNameUnix:
			return Range{1, 1}, true
		case AttachBind4, AttachBind6:
			return Range{0, 3}, true
		}
		return bit, true
	case bpf.CGroupSKB:
		if attach == AttachEgress {
			return Range{0, 3}, true
		}
		return bit, true
	case bpf.CGroupSock, bpf.SockOps, bpf.CGroupDevice, bpf.CGroupSysctl, bpf.CGroupSockopt, bpf.SkLookup, bpf.Netfilter:
		return bit, true
	case bpf.Tracing:
		switch attach {
		case AttachFentry, AttachFexit, AttachFentrySession, AttachFentryMulti, AttachFexitMulti, AttachSessionMulti:
			return Range{}, true
		case AttachIter:
			return bit, true
		}
	case bpf.Kprobe:
		if attach == AttachKprobeSession || attach == AttachUprobeSession {
			return bit, true
		}
	case bpf.LSM:
		switch {
		case attach == AttachLSMCGroup:
			return bit, true
		case hook != nil:
			return *hook, true
		}
	}
	return Range{}, false
}
