// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo && linux

package object_test

import (
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/tcsim/tcsim/scenarios/object"
)

// renew is not -update: what a kernel returns is evidence.
var renew = flag.Bool("record-kernel", false, "record what the running kernel returns (as root)")

// resultsFile has what a kernel returned for each program, by file and name: one number for each
// packet of packets.pcap, one after the other. Each program ran with maps of its own.
const resultsFile = folder + "results.json"

type results struct {
	Kernel   string                        `json:"kernel"`
	Programs map[string]map[string][]int32 `json:"programs"`
}

// runnable are the files whose results do not depend on a kernel's types.
func runnable(t *testing.T) []string {
	files, err := filepath.Glob(folder + "*.o")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(files, func(f string) bool { return filepath.Base(f) == "core.o" })
}

// record asks the running kernel, through cilium/ebpf alone. It ends with the packet that a test run
// refuses: IPv4 without a header.
func record(t *testing.T, packets [][]byte) results {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	out := results{Kernel: unix.ByteSliceToString(name.Release[:]), Programs: map[string]map[string][]int32{}}
	for _, file := range runnable(t) {
		spec, err := ebpf.LoadCollectionSpec(file)
		if err != nil {
			t.Fatal(err)
		}
		progs := map[string][]int32{}
		for prog := range spec.Programs {
			c, err := ebpf.NewCollection(spec)
			if err != nil {
				t.Fatalf("%s: %+v", file, err)
			}
			progs[prog] = returns(t, c.Programs[prog], packets)
			c.Close()
		}
		out.Programs[filepath.Base(file)] = progs
	}
	return out
}

func returns(t *testing.T, p *ebpf.Program, packets [][]byte) []int32 {
	var out []int32
	for i, data := range packets {
		ret, _, err := p.Test(data)
		if errors.Is(err, unix.EINVAL) && i == len(packets)-1 {
			break
		}
		if err != nil {
			t.Fatalf("%v: packet %d: %v", p, i, err)
		}
		out = append(out, int32(ret))
	}
	return out
}

// TestKernelResults runs every program of fixtures/objects on every packet and compares what it returns
// with what a kernel returned. Programs that a kernel must not run are not among them.
func TestKernelResults(t *testing.T) {
	packets, err := object.Packets(folder + "packets.pcap")
	if err != nil {
		t.Fatal(err)
	}
	if *renew {
		text, err := json.MarshalIndent(record(t, packets), "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(resultsFile, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(resultsFile)
	if err != nil {
		t.Fatal(err)
	}
	var want results
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if files := runnable(t); len(files) != len(want.Programs) {
		t.Fatalf("results of %d files, there are %d", len(want.Programs), len(files))
	}
	for _, file := range slices.Sorted(maps.Keys(want.Programs)) {
		f := open(t, file)
		if len(f.LeftOut()) > 0 || len(f.Programs) != len(want.Programs[file]) {
			t.Errorf("%s: %d programs, results of %d, left out %v", file, len(f.Programs), len(want.Programs[file]), f.LeftOut())
		}
		for _, prog := range slices.Sorted(maps.Keys(want.Programs[file])) {
			values := want.Programs[file][prog]
			for _, target := range []string{"6.1", "6.12", "6.18", "7.2"} {
				if target == "6.1" && strings.HasPrefix(file, "hierarchy") {
					continue // its frames have a counter each
				}
				b, err := f.Scenario(object.Options{Entry: prog, Packets: packets[:len(values)]})
				if err != nil {
					t.Fatal(err)
				}
				var got []int32
				for _, o := range play(t, b, target) {
					if o.Broken != "" {
						t.Errorf("%s: %s on %s: violates %s", file, prog, target, o.Broken)
					}
					got = append(got, int32(o.Return))
				}
				if d := cmp.Diff(values, got); d != "" {
					t.Errorf("%s: %s on %s (-kernel +emulator)\n%s", file, prog, target, d)
				}
			}
		}
	}
}
