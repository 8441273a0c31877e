// SPDX-License-Identifier: GPL-2.0-only

package protos

import (
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
)

// AttachType is what a program is meant to be attached to (enum bpf_attach_type of include/uapi/linux/bpf.h).
const (
	AttachEgress, AttachSockCreate, AttachSockRelease                     = 1, 2, 34
	AttachBind4, AttachBind6, AttachConnect4, AttachConnect6              = 8, 9, 10, 11
	AttachPostBind4, AttachPostBind6, AttachSendMsg4, AttachSendMsg6      = 12, 13, 14, 15
	AttachRecvMsg4, AttachRecvMsg6, AttachGetSockOpt, AttachSetSockOpt    = 19, 20, 21, 22
	AttachRawTP, AttachFentry, AttachFexit, AttachModifyReturn, AttachLSM = 23, 24, 25, 26, 27
	AttachIter, AttachPeerName4, AttachPeerName6                          = 28, 29, 30
	AttachSockName4, AttachSockName6, AttachDevMap, AttachLSMCGroup       = 31, 32, 33, 43
	AttachRecvMsgUnix, AttachPeerNameUnix, AttachSockNameUnix             = 51, 52, 53
	AttachKprobeSession, AttachUprobeSession, AttachFentrySession         = 56, 57, 58
	AttachFentryMulti, AttachFexitMulti, AttachSessionMulti               = 59, 60, 61
)

var (
	anyIP4 = []uint32{AttachBind4, AttachConnect4, AttachPeerName4, AttachSockName4, AttachSendMsg4, AttachRecvMsg4}
	anyIP6 = []uint32{AttachBind6, AttachConnect6, AttachPeerName6, AttachSockName6, AttachSendMsg6, AttachRecvMsg6}
)

// skb is struct __sk_buff with what bpf_skb_is_valid_access takes.
var skb = []area{
	{from: 0, to: 48, read: part, write: word},
	{from: 48, to: 68, read: anySize, write: anySize}, // cb
	{from: 68, to: 76, read: part, write: word},
	{from: kernels.SKBData, to: 80, read: word, field: FieldPacket},
	{from: kernels.SKBDataEnd, to: 84, read: word, field: FieldPacketEnd},
	{from: 84, to: kernels.SKBFamily, read: part, write: word},
	{from: kernels.SKBFamily, to: 92, read: part},
	{from: 92, to: 132, read: word}, // addresses
	{from: 132, to: kernels.SKBDataMeta, read: part},
	{from: kernels.SKBDataMeta, to: 144, read: word, field: FieldPacketMeta},
	{from: kernels.SKBTstamp, to: 160, read: double, write: double},
	{from: kernels.SKBWireLen, to: kernels.SKBSock, read: part, write: word},
	{from: kernels.SKBSock, to: 176, read: double, field: FieldSockCommonOrNull},
	{from: 176, to: 180, read: part, write: word},
	{from: 180, to: 181, read: 1}, // tstamp_type
	{from: kernels.SKBHWTstamp, to: 192, read: double},
}

// view is struct __sk_buff less what programs of a type do not see, of which they write the fields that begin at
// writable, besides cb.
func view(hidden []int64, writable ...int64) []area {
	var out []area
	for _, a := range skb {
		if !a.divides() {
			if !slices.Contains(hidden, a.from) {
				if a.write != anySize && !slices.Contains(writable, a.from) {
					a.write = never
				}
				out = append(out, a)
			}
			continue
		}
		for at := a.from; at < a.to; at += 4 {
			w := area{from: at, to: at + 4, read: a.read}
			if slices.Contains(writable, at) {
				w.write = a.write
			}
			if !slices.Contains(hidden, at) {
				out = append(out, w)
			}
		}
	}
	return out
}

// divides reports whether the area is several fields of 4 bytes.
func (a *area) divides() bool { return a.to-a.from > 4 && a.read != double && a.read != anySize }

// Fields of struct __sk_buff by groups, each by where it begins.
var (
	ofSocket = []int64{88, 92, 96, 100, 104, 108, 112, 116, 120, 124, 128, 132, 136}
	ofTime   = []int64{kernels.SKBTstamp, kernels.SKBWireLen, kernels.SKBHWTstamp, 180}
	ofClass  = []int64{kernels.SKBTCClassID, kernels.SKBDataMeta}
	lwt      = view(slices.Concat(ofSocket, ofTime, ofClass), kernels.SKBMark, kernels.SKBPriority)
	control  = view(ofSocket, kernels.SKBMark, kernels.SKBTCIndex, kernels.SKBPriority, kernels.SKBTCClassID, kernels.SKBTstamp, kernels.SKBQueue)
)

// each makes areas of 4 bytes from the fields that begin at some offsets.
func each(read, write sizes, narrow int64, offsets ...int64) []area {
	var out []area
	for _, at := range offsets {
		out = append(out, area{from: at, to: at + 4, read: read, write: write, narrow: narrow})
	}
	return out
}

// pointers makes areas of 8 bytes.
func pointer(at int64, f Field) area { return area{from: at, to: at + 8, read: double, field: f} }

// Sockets as programs see them: struct bpf_sock and struct bpf_tcp_sock.
var (
	sock = slices.Concat(
		each(word, never, 0, 0, 16, 20),
		each(part, never, 1, 4, 8, 12, 44, 72, 76),
		each(part, never, 2, 48), // dst_port, which is followed by padding
		[]area{{from: 24, to: 28, read: part}, {from: 28, to: 44, read: part}, {from: 52, to: 72, read: part}},
	)
	sockCommon = slices.DeleteFunc(slices.Clone(sock), func(a area) bool { return a.from >= 8 && a.from < 24 })
	tcpSock    = []area{{from: 0, to: 80, read: word}, {from: 80, to: 96, read: double}, {from: 96, to: 112, read: word}}
)

// cgroupSock is struct bpf_sock as the context of programs of cgroups (sock_filter_is_valid_access).
func cgroupSock() []area {
	out := slices.Clone(sock)
	for i := range out {
		switch a := &out[i]; a.from {
		case 0, 16, 20:
			a.write, a.only = word, []uint32{AttachSockCreate, AttachSockRelease}
		case 24:
			a.only = []uint32{AttachPostBind4}
		case 28:
			a.only = []uint32{AttachPostBind6}
		case 44:
			a.only = []uint32{AttachPostBind4, AttachPostBind6}
		}
	}
	return out
}

// contexts are the contexts of program types (the structures of include/uapi/linux/bpf.h).
var contexts = map[bpf.ProgType][]area{
	bpf.SocketFilter: view(slices.Concat(ofSocket, ofTime, ofClass, []int64{kernels.SKBData, kernels.SKBDataEnd})),
	bpf.CGroupSKB: view(slices.Concat(ofClass, []int64{kernels.SKBWireLen, 180}),
		kernels.SKBMark, kernels.SKBPriority, kernels.SKBTstamp),
	bpf.SchedCLS: control, bpf.SchedACT: control,
	bpf.LWTIn: lwt, bpf.LWTOut: lwt, bpf.LWTXmit: lwt, bpf.LWTSeg6Local: lwt,
	bpf.SkSKB: view(slices.Concat(ofClass, ofTime, []int64{kernels.SKBMark}), kernels.SKBTCIndex, kernels.SKBPriority),
	bpf.FlowDissector: {
		{from: kernels.SKBData, to: 80, read: word, field: FieldPacket},
		{from: kernels.SKBDataEnd, to: 84, read: word, field: FieldPacketEnd},
		pointer(144, FieldFlowKeys),
	},
	bpf.XDP: {
		{from: kernels.XDPData, to: 4, read: word, field: FieldPacket},
		{from: kernels.XDPDataEnd, to: 8, read: word, field: FieldPacketEnd},
		{from: kernels.XDPDataMeta, to: 12, read: word, field: FieldPacketMeta},
		{from: 12, to: 20, read: word},
		{from: 20, to: 24, read: word, only: []uint32{AttachDevMap}},
	},
	bpf.CGroupSock: cgroupSock(),
	bpf.CGroupSockAddr: {
		{from: 0, to: 4, read: word},
		{from: 4, to: 8, read: part, write: word, only: anyIP4},
		{from: 8, to: 24, read: anySize, write: word | double, only: anyIP6},
		{from: 24, to: 28, read: part, write: word},
		{from: 28, to: 40, read: word},
		{from: 40, to: 44, read: part, write: word, only: []uint32{AttachSendMsg4}},
		{from: 44, to: 60, read: anySize, write: word | double, only: []uint32{AttachSendMsg6}},
		pointer(64, FieldSocket),
	},
	bpf.SockOps: {
		{from: 0, to: 4, read: word}, {from: 4, to: 8, read: word, write: word}, {from: 8, to: 164, read: word},
		{from: 164, to: 168, read: word, write: word}, {from: 168, to: 184, read: double},
		pointer(184, FieldSocketOrNull), pointer(192, FieldPacket), pointer(200, FieldPacketEnd),
		{from: 208, to: 212, read: word}, {from: 212, to: 216, read: part, narrow: 1}, {from: 216, to: 224, read: double},
	},
	bpf.SkMsg: {
		pointer(0, FieldPacket), pointer(8, FieldPacketEnd), {from: 16, to: 72, read: word}, pointer(72, FieldSocket),
	},
	bpf.SkLookup: {pointer(0, FieldSocketOrNull), {from: 8, to: 68, read: part}},
	bpf.SkReuseport: {
		pointer(0, FieldPacket), pointer(8, FieldPacketEnd), {from: 16, to: 20, read: part}, {from: 20, to: 24, read: 2 | 4},
		{from: 24, to: 32, read: part}, {from: 32, to: 36, read: word}, pointer(40, FieldSocket), pointer(48, FieldSockCommonOrNull),
	},
	bpf.CGroupDevice: {{from: 0, to: 4, read: part}, {from: 4, to: 12, read: word}},
	bpf.CGroupSysctl: {{from: 0, to: 4, read: part}, {from: 4, to: 8, read: part, write: word}},
	bpf.CGroupSockopt: {
		pointer(0, FieldSocket), pointer(8, FieldPacket), pointer(16, FieldPacketEnd),
		{from: 24, to: 32, read: word, write: word}, {from: 32, to: 36, read: word, write: word},
		{from: 36, to: 40, read: word, write: word, only: []uint32{AttachGetSockOpt}},
	},
	bpf.LircMode2:     {{from: 0, to: 4, read: word}},
	bpf.Netfilter:     {pointer(0, FieldObject), pointer(8, FieldObject)},
	bpf.PerfEvent:     {{from: 0, to: 168, read: double}, {from: 168, to: 184, read: anySize}},
	bpf.Kprobe:        {{from: 0, to: 168, read: anySize}},
	bpf.Tracepoint:    {{from: 8, to: 8192, read: anySize}},
	bpf.RawTracepoint: {{from: 0, to: 96, read: anySize}}, bpf.RawTracepointWritable: {{from: 0, to: 96, read: anySize}},
	bpf.Tracing: {{from: 0, to: 96, read: anySize}},
}

// ContextStructs are the structures that programs see as their context (include/linux/bpf_types.h).
var ContextStructs = map[bpf.ProgType]string{
	bpf.SocketFilter: "__sk_buff", bpf.SchedCLS: "__sk_buff", bpf.SchedACT: "__sk_buff", bpf.CGroupSKB: "__sk_buff",
	bpf.LWTIn: "__sk_buff", bpf.LWTOut: "__sk_buff", bpf.LWTXmit: "__sk_buff", bpf.LWTSeg6Local: "__sk_buff",
	bpf.SkSKB: "__sk_buff", bpf.FlowDissector: "__sk_buff", bpf.XDP: "xdp_md", bpf.Kprobe: "pt_regs",
	bpf.PerfEvent: "bpf_perf_event_data", bpf.RawTracepoint: "bpf_raw_tracepoint_args",
	bpf.RawTracepointWritable: "bpf_raw_tracepoint_args", bpf.SockOps: "bpf_sock_ops", bpf.SkMsg: "sk_msg_md",
	bpf.CGroupSock: "bpf_sock", bpf.CGroupSockAddr: "bpf_sock_addr", bpf.CGroupDevice: "bpf_cgroup_dev_ctx",
	bpf.CGroupSysctl: "bpf_sysctl", bpf.CGroupSockopt: "bpf_sockopt", bpf.SkReuseport: "sk_reuseport_md",
	bpf.SkLookup: "bpf_sk_lookup", bpf.Netfilter: "bpf_nf_ctx",
}
