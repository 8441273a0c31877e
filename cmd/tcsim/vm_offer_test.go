// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcsim/tcsim/cmd/tcsim/boot"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/capture/vm"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/scenarios/progen"
)

var (
	offerKernel = flag.String("offer-kernel", "", "the kernel that TestVMOffered boots, such as the vmlinuz that .ci/setup-selftests unpacks")
	offerCount  = flag.Int("offer", 500, "how many programs TestVMOffered offers to it")
	offerSeed   = flag.Uint64("offer-seed", 1, "what they are drawn from")
	offerAccel  = flag.String("offer-accel", "tcg", "how the kernel is run: tcg or kvm")
	offerWait   = flag.Duration("offer-timeout", 30*time.Minute, "how long it may take")
)

// offer is a program that is offered to a kernel, and how it was edited, "" if it was not.
type offer struct {
	prog *bpf.Program
	edit string
}

// TestVMOffered offers programs to a real kernel, three of four edited in one place, and expects our analysis to take
// and to refuse the same ones.
func TestVMOffered(t *testing.T) {
	kernel := *offerKernel
	if kernel == "" {
		t.Skip("no kernel to offer programs to: -offer-kernel VMLINUZ names one; see docs/verification.md")
	}
	k := releaseOf(t, kernel)
	can := progen.Of(&k.Kernel)
	maps := slices.Clone(progen.Maps)
	if can.ISA&kernels.ISAArena == 0 {
		maps = maps[:progen.MapArena]
	}
	var offers []offer
	for n := range *offerCount {
		p, edit := offered(*offerSeed, uint64(n), can, maps)
		offers = append(offers, offer{p, edit})
	}
	slices.SortStableFunc(offers, func(a, b offer) int { return cmp.Compare(a.prog.Type, b.prog.Type) })
	var progs []*bpf.Program
	for _, o := range offers {
		progs = append(progs, o.prog)
	}
	f := load(t, kernel, progs)
	target, err := f.Header.Target()
	if err != nil {
		t.Fatal(err)
	}
	var c struct{ both, neither, lax, strict int }
	n := 0
	for i := range f.Scenarios {
		for j := range f.Scenarios[i].Progs {
			p, said := progs[n], f.Scenarios[i].Progs[j].LoadError
			_, err := verify.Check(p, &target.Kernel)
			switch {
			case err == nil && said == "":
				c.both++
			case err != nil && said != "":
				c.neither++
			case err == nil:
				c.lax++
				t.Logf("%s, %v, %s: accepted; the kernel says:\n%s\n%s", p.Name, p.Type, offers[n].edit, said, listed(p))
			default:
				c.strict++
				t.Logf("%s, %v, %s: the kernel accepts; %v\n%s", p.Name, p.Type, offers[n].edit, err, listed(p))
			}
			n++
		}
	}
	t.Logf("%s: %d programs: %d accepted and %d refused by both, %d by the kernel alone, %d by us alone",
		f.Header.Kernel.Release, n, c.both, c.neither, c.lax, c.strict)
	if n != len(progs) || c.both < n/4 || c.neither < n/4 {
		t.Errorf("%d programs came back; %d accepted, %d refused: the sample says nothing", n, c.both, c.neither)
	}
	if bad := c.lax + c.strict; bad*200 > n {
		t.Errorf("%d of %d differ, more than 0.5 %%", bad, n)
	}
}

// listed is the text of a program.
func listed(p *bpf.Program) string {
	var b strings.Builder
	for i := bpf.InsnIndex(0); int(i) < len(p.Insns); i += p.Insns[i].Width() {
		fmt.Fprintf(&b, "%d: %s\n", i, bpf.TextAt(p.Insns, i))
	}
	return b.String()
}

// releaseOf returns the plain target of a kernel's release, which its image names (Documentation/arch/x86/boot.rst).
func releaseOf(t *testing.T, path string) *jit.Target {
	t.Helper()
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const pointer, base = 0x20e, 0x200
	text := string(image[base+int(binary.LittleEndian.Uint16(image[pointer:])):][:64])
	words := strings.SplitN(text, ".", 3)
	target, err := jit.TargetByName(words[0] + "." + words[1])
	if err != nil {
		t.Fatalf("%s: %q: %v", path, text, err)
	}
	return target
}

// load has a kernel load programs and returns what it said.
func load(t *testing.T, kernel string, progs []*bpf.Program) *capture.File {
	t.Helper()
	const together = 50
	var order []capture.Scenario
	for i, p := range progs { // a prog array takes programs of one type
		if i == 0 || p.Type != progs[i-1].Type || len(order[len(order)-1].Progs) == together {
			order = append(order, capture.Scenario{Name: p.Name, Category: "offered", ProgType: p.Type})
			for _, m := range p.Maps {
				sc := &order[len(order)-1]
				sc.Maps = append(sc.Maps, capture.Map{Map: m})
			}
		}
		q := capture.Prog{Name: p.Name, Type: p.Type, Insns: p.Insns, Kfuncs: p.Kfuncs}
		for _, f := range p.Funcs {
			q.Funcs = append(q.Funcs, capture.Func{Name: f.Name, Start: f.Start, ExceptionCB: f.ExceptionCB})
		}
		sc := &order[len(order)-1]
		sc.Progs = append(sc.Progs, q)
	}
	files, err := boot.Files(order, kernel, "")
	if err != nil {
		t.Fatal(err)
	}
	guest, err := boot.Guest(context.Background(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	a, err := vm.Boot(context.Background(), vm.Options{
		Kernel: kernel, Init: guest, Files: files, Append: "mitigations=off", Accel: *offerAccel, Timeout: *offerWait,
	})
	if err != nil || a.Kind != vm.Result {
		t.Fatalf("answer %v, error %v", a, err)
	}
	src, err := capture.Read(bytes.NewReader(a.Data), kernel)
	if err != nil {
		t.Fatal(err)
	}
	f, err := src.File()
	if err != nil {
		t.Fatal(err)
	}
	for i := range f.Scenarios {
		if why := f.Scenarios[i].Error; why != "" {
			t.Fatalf("%s: %s", f.Scenarios[i].Name, why)
		}
	}
	return f
}
