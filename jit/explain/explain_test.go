// SPDX-License-Identifier: GPL-2.0-only

package explain_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/explain"
	"github.com/tcsim/tcsim/jit/image"
)

// TestCompare compares pieces of code, each followed by what makes all registers count: a return after a call.
func TestCompare(t *testing.T) {
	const rest = "e8f0ffff7f" + "c9c3" // call far away; leave; ret
	for _, tc := range []struct{ name, want, got, text string }{
		{"the same", "4883c701", "4883c701", ""},
		{"another encoding", "4889f7", "488bfe", ""},
		{"an immediate of another size", "4883c701", "4881c701000000", ""},
		{"a nop more", "4883c701", "0f1f00" + "4883c701", ""},
		{"another constant", "4883c701", "4883c702", "something else in rdi"},
		{"in 32 bits", "4883c701", "83c701", "something else in rdi"},
		{"independent instructions", "4883c701" + "4883c602", "4883c602" + "4883c701", ""},
		{"dependent instructions", "4883c701" + "4801fe", "4801fe" + "4883c701", "something else in"},
		{"by another register", "4989fa" + "4c89d6", "4989fb" + "4c89de", ""},
		{"the same twice", "4889fe", "4889fe" + "4889fe", ""},
		{"add twice", "4801fe", "4801fe" + "4801fe", "something else in rsi"},
		{"lea for add", "4801fe", "488d3437", ""},
		{"cleared by mov", "31ff", "bf00000000", ""},
		{"a store", "48897df8", "48897df0", "something else to memory"},
		{"a store of less", "48897df8", "897df8", "something else to memory"},
		{"a load", "488b7df8", "488b7df0", "something else in rdi"},
		{"stores in another order", "48897df8" + "488975f0", "488975f0" + "48897df8", ""},
		{"a load before a store", "48897df8" + "488b75f8", "488b75f8" + "48897df8", "something else"},
		{"condition", "4839f7" + "7203" + "4889f7", "4839f7" + "7603" + "4889f7", "somewhere else"},
		{"other condition", "4839f7" + "7203" + "4889f7", "4839f7" + "7303" + "4889f7", "somewhere else"},
		{"limit", "4883ff21" + "7303" + "4831f6", "4883ff21" + "7703" + "4831f6", "somewhere else"},
		{"the limit and a condition", "4883ff21" + "7303" + "4831f6", "4883ff20" + "7703" + "4831f6", ""},
		{"the count where a tail call lands", "4831c0" + "f30f1efa" + "4883f821" + "7703" + "4831f6", "4831c0" + "f30f1efa" + "4883f822" + "7703" + "4831f6", "other flags"},
		{"a trap less", "4883c701" + "cc", "4883c701", "a trap is missing"},
		{"direction flag", "4883c701", "fd" + "4883c701", "other flags"},
		{"a fence less", "0faee8" + "4883c701", "4883c701", "a fence is missing"},
		{"not atomic", "f0480137", "480137", "atomic"},
		{"what is patched", "0f1f440000", "9090909090", "the kernel patches"},
		{"another nop of five", "0f1f440000", "0f1f447e00", "the kernel patches"},
		{"an entry", "f30f1efa", "0f1f4000", "an indirect branch may land"},
		{"call of something else", "e800100000", "e800110000", "another call"},
		{"unknown instruction", "4883c701", "0f28c1" + "4883c701", "it is not known"},
		{"zero-extended", "8b7df8", "488b7df8", "something else in rdi"},
		{"cmpxchg that keeps rax's upper half", "f00fb137" + "89c0", "f00fb137", "something else in rax"},
	} {
		r, err := explain.Compare(&image.FuncImage{Addr: 0x1000, Code: unhex(t, tc.want+rest), Calls: calls(t, tc.want)}, unhex(t, tc.got+moved(t, rest, len(tc.want)/2, len(tc.got)/2)))
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		var found []string
		for _, d := range r.Differences {
			found = append(found, d.Text)
		}
		if all := strings.Join(found, "; "); (tc.text == "") != (all == "") || !strings.Contains(all, tc.text) {
			t.Errorf("%s: %q, want %q", tc.name, all, tc.text)
		}
	}
}

// TestAttached: the nop that trampolines replace must stay where the kernel looks for it, whatever stands next to it.
func TestAttached(t *testing.T) {
	const nop, clear, rest = "0f1f440000", "31c0", "55" + "4889e5" + "c9c3"
	for _, tc := range []struct {
		name, want, got string
		found           bool
	}{
		{"the same", nop + clear, nop + clear, false},
		{"after another instruction", nop + clear, clear + nop, true},
		{"after a nop", nop + clear, "6690" + nop + clear, true},
		{"after endbr64", "f30f1efa" + nop + clear, "f30f1efa" + clear + nop, true},
		{"no trampolines", clear + nop, nop + clear, false},
	} {
		r, err := explain.Compare(&image.FuncImage{Addr: 0x1000, Code: unhex(t, tc.want+rest), Frame: image.Frame{Body: 11}}, unhex(t, tc.got+rest))
		if err != nil || (len(r.Differences) > 0) != tc.found {
			t.Errorf("%s: %+v, %v", tc.name, r.Differences, err)
		}
	}
}

// TestTakesAX: what stands before a call of something that takes r10 and changes nothing else.
func TestTakesAX(t *testing.T) {
	const set, other = "41ba05000000", "41bb05000000" // mov r10d, 5; mov r11d, 5
	const ret = "b807000000"                          // mov eax, 7
	for _, tc := range []struct {
		name, want, got string
		ax, found       bool
	}{
		{"r10 for such a callee", set, other, true, true},
		{"r10 for a helper", set, other, false, false},
		{"rax across such a call", ret + set, "9090909090" + set, true, true},
		{"rax across a helper", ret, "9090909090", false, false},
	} {
		at := len(tc.want) / 2
		code := func(s string) []byte { return unhex(t, s+"e8f0ffff7f"+"c9c3") }
		r, err := explain.Compare(&image.FuncImage{Addr: 0x1000, Code: code(tc.want),
			Calls: []image.CallSite{{Off: image.CodeOff(at), Target: 0x1000 + image.Addr(at) + 5 + 0x7ffffff0, Func: -1, AX: tc.ax}}}, code(tc.got))
		if err != nil || (len(r.Differences) > 0) != tc.found {
			t.Errorf("%s: %+v, %v", tc.name, r.Differences, err)
		}
	}
}

// calls names the call at the end of the code, of a function that gets a counter in rax.
func calls(t *testing.T, code string) []image.CallSite {
	at := image.CodeOff(len(code) / 2)
	return []image.CallSite{{Off: at, Target: 0x1000 + image.Addr(at) + 5 + 0x7ffffff0, Func: 1}}
}

// moved is the rest of the code after so many bytes instead of so many others: its call goes to the same place.
func moved(t *testing.T, rest string, from, to int) string {
	b := unhex(t, rest)
	b[1] -= byte(to - from)
	return hex.EncodeToString(b)
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestPlaces says what differences belong to.
func TestPlaces(t *testing.T) {
	want := &image.FuncImage{
		Addr: 0x1000, Code: unhex(t, "55"+"4889e5"+"4883c001"+"4883c002"+"c9c3"),
		Frame: image.Frame{Body: 4}, TailCalls: []image.TailCallSite{{Start: 8, End: 12}},
	}
	for at, place := range map[int]explain.Place{3: explain.Prologue, 7: explain.Body, 11: explain.Site} {
		code := append([]byte(nil), want.Code...)
		code[at] ^= 1
		r, err := explain.Compare(want, code)
		if err != nil || len(r.Differences) != 1 || r.Differences[0].Place != place {
			t.Errorf("byte %d: %+v, %v, want place %d", at, r.Differences, err, place)
		}
	}
}
