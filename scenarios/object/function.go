// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/tcsim/tcsim/jit/bpf"
)

// functionTypes returns what BTF says of the functions of a program, by the slot where each begins.
func (l *linker) functionTypes() map[int]*btf.Func {
	out := map[int]*btf.Func{}
	for i := range l.insns {
		if f := btf.FuncMetadata(&l.insns[i]); f != nil {
			out[l.at[i]] = f
		}
	}
	return out
}

// tags are the declaration tags of a program's function.
func tags(p *ebpf.ProgramSpec) []string {
	if len(p.Instructions) == 0 {
		return nil
	}
	f := btf.FuncMetadata(&p.Instructions[0])
	if f == nil {
		return nil
	}
	return f.Tags
}

func returnsNothing(f *btf.Func) bool {
	proto, ok := f.Type.(*btf.FuncProto)
	if !ok {
		return false
	}
	_, void := btf.UnderlyingType(proto.Return).(*btf.Void)
	return void
}

// kfunc returns the index of a kernel function among those that the program calls.
func (l *linker) kfunc(name string) int {
	n := slices.Index(l.kfuncs, name)
	if n < 0 {
		n = len(l.kfuncs)
		l.kfuncs = append(l.kfuncs, name)
	}
	return n
}

// signatures are what the file's BTF says of the kernel functions that the program calls.
func (l *linker) signatures() map[string]bpf.Signature {
	out := map[string]bpf.Signature{}
	for _, name := range l.kfuncs {
		var f *btf.Func
		if l.r.spec.Types == nil || l.r.spec.Types.TypeByName(name, &f) != nil {
			continue
		}
		proto, ok := f.Type.(*btf.FuncProto)
		if !ok {
			continue
		}
		s := bpf.Signature{Params: params(f, 0)}
		switch btf.UnderlyingType(proto.Return).(type) {
		case *btf.Void, nil:
			s.Void = true
		case *btf.Pointer:
			s.Pointer = true
		}
		out[name] = s
	}
	return out
}

// maxParams is how many parameters registers hold.
const maxParams = 5

// params are the parameters of a function that programs of a type call, as the kernel reads them from
// BTF (btf_prepare_func_args).
func params(f *btf.Func, t bpf.ProgType) []bpf.Param {
	proto, ok := f.Type.(*btf.FuncProto)
	if !ok {
		return nil
	}
	var out []bpf.Param
	for i, p := range proto.Params {
		if i == maxParams {
			break
		}
		var tags []string
		if i < len(f.ParamTags) {
			tags = f.ParamTags[i]
		}
		out = append(out, param(p.Type, tags, t))
	}
	return out
}

func param(typ btf.Type, tags []string, t bpf.ProgType) bpf.Param {
	ptr, ok := btf.UnderlyingType(typ).(*btf.Pointer)
	if !ok {
		return bpf.Param{}
	}
	to := btf.UnderlyingType(ptr.Target)
	for _, tag := range tags {
		switch tag {
		case "arg:ctx":
			return bpf.Param{Kind: bpf.ParamContext}
		case "arg:arena", "arg:trusted":
			return bpf.Param{Kind: bpf.ParamPointer}
		}
	}
	if name := contexts[t]; name != "" && to.TypeName() == name {
		return bpf.Param{Kind: bpf.ParamContext}
	}
	switch size, err := btf.Sizeof(to); {
	case err != nil || size <= 0:
		return bpf.Param{Kind: bpf.ParamPointer}
	default:
		return bpf.Param{Kind: bpf.ParamMemory, Size: int32(size), Nullable: !slices.Contains(tags, "arg:nonnull")}
	}
}

// contexts are the structures that programs see as their context (include/linux/bpf_types.h).
var contexts = map[bpf.ProgType]string{
	bpf.SocketFilter: "__sk_buff", bpf.SchedCLS: "__sk_buff", bpf.SchedACT: "__sk_buff", bpf.CGroupSKB: "__sk_buff",
	bpf.LWTIn: "__sk_buff", bpf.LWTOut: "__sk_buff", bpf.LWTXmit: "__sk_buff", bpf.LWTSeg6Local: "__sk_buff",
	bpf.SkSKB: "__sk_buff", bpf.FlowDissector: "__sk_buff", bpf.XDP: "xdp_md", bpf.Kprobe: "pt_regs",
	bpf.PerfEvent: "bpf_perf_event_data", bpf.RawTracepoint: "bpf_raw_tracepoint_args",
	bpf.RawTracepointWritable: "bpf_raw_tracepoint_args", bpf.SockOps: "bpf_sock_ops", bpf.SkMsg: "sk_msg_md",
	bpf.CGroupSock: "bpf_sock", bpf.CGroupSockAddr: "bpf_sock_addr", bpf.CGroupDevice: "bpf_cgroup_dev_ctx",
	bpf.CGroupSysctl: "bpf_sysctl", bpf.CGroupSockopt: "bpf_sockopt", bpf.SkReuseport: "sk_reuseport_md",
	bpf.SkLookup: "bpf_sk_lookup", bpf.Netfilter: "bpf_nf_ctx",
}
