// SPDX-License-Identifier: GPL-2.0-only

package learn

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/emu/timing"
)

// Figures are the cycles of one copy of each experiment.
type Figures map[string]float64

// letters explains the sources that Deduce gives values.
var letters = map[string]string{
	"M": "measured by tcsim cycles --host --learn; the experiment is named with the cycles of one copy",
	"F": "fitted by tcsim cycles --host --learn to two thirds of the measured sequences",
}

// deduction puts figures into a core.
type deduction struct {
	core  *timing.Core
	fig   Figures
	fixed map[string]bool // parameters that a figure decides
	told  []string
	width float64 // issue slots a cycle
	p     portNames
}

// portNames are the sets of ports by what they do.
type portNames struct{ alu, shift, mul, load, address, data string }

// Deduced is a core with what experiments tell directly.
type Deduced struct {
	Core *timing.Core
	// Fixed are the parameters that experiments decide, which the search leaves alone; Told is what the
	// core seems to have, a line each.
	Fixed map[string]bool
	Told  []string
}

// Deduce returns a copy of a core with what the figures say. An experiment without a figure leaves what
// it would tell as it is.
func Deduce(base *timing.Core, name, title string, fig Figures) (*Deduced, error) {
	c := *base
	c.Name, c.Title = name, title
	d := &deduction{core: &c, fig: fig, fixed: map[string]bool{}}
	d.slots()
	d.ports()
	d.elimination()
	d.forwarding()
	d.branches()
	d.rows()
	c.Special = nil
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("BUG: learned core: %w", err)
	}
	return &Deduced{&c, d.fixed, d.told}, nil
}

// from is the source of a value.
func (d *deduction) from(exp string) string { return fmt.Sprintf("M: %s, %.2f", exp, d.fig[exp]) }

// says notes that an experiment decided parameters, if there is a figure.
func (d *deduction) says(exp string, paths ...string) {
	if !d.has(exp) {
		return
	}
	for _, p := range paths {
		d.fixed[p] = true
		d.core.SetSource(p, d.from(exp))
	}
}

func (d *deduction) tell(format string, args ...any) {
	d.told = append(d.told, fmt.Sprintf(format, args...))
}

// has reports whether there are figures for all the experiments.
func (d *deduction) has(exps ...string) bool {
	for _, e := range exps {
		if d.fig[e] <= 0 {
			return false
		}
	}
	return true
}

func whole(v float64) int { return int(math.Round(v)) }

// slots is how wide the core is.
func (d *deduction) slots() {
	d.width = float64(d.core.Rename.Width)
	if !d.has(expNops) {
		return
	}
	d.width = math.Round(1 / d.fig[expNops])
	d.core.Rename.Width = int(d.width)
	d.says(expNops, "rename.width")
	d.tell("issues %d instructions a cycle", d.core.Rename.Width)
	var slow []string
	for l := 1; l <= 9; l++ {
		if r := d.fig[nopsOf(l)]; r > 0 && 1/r < 0.95*d.width {
			slow = append(slow, fmt.Sprintf("%.1f of %d bytes", 1/r, l))
		}
	}
	if len(slow) != 0 {
		d.tell("fetches fewer of short instructions: %s a cycle", strings.Join(slow, ", "))
	}
}

// rate returns how many instances of rows execute a cycle at best; if that was not measured, how many ports the first one
// has in the core that this one is made from.
func (d *deduction) rate(rows ...string) (n int, exp string) {
	for _, r := range rows {
		if t := d.fig[r+" throughput"]; t > 0 && whole(1/t) > n {
			n, exp = whole(1/t), r+" throughput"
		}
	}
	if n == 0 {
		return d.had(rows[0]), ""
	}
	return n, exp
}

// had is how many ports the first micro-operation of a row may take in the core that this one is made from.
func (d *deduction) had(row string) int {
	for _, r := range d.core.Rows() {
		if r.ID == row {
			ports, _, _ := strings.Cut(strings.Fields(r.Ports + " ?")[0], "*")
			return len(ports)
		}
	}
	return 1
}

// ports names the ports: as many as instances of the form that needs them execute a cycle.
func (d *deduction) ports() {
	c := d.core
	alu, exp := d.rate("cmp_r64_r64", "mov_r32_imm32", "test_r64_r64", "add_r64_r64", "cmp_r64_imm8")
	alu = min(alu, 6)
	shift, _ := d.rate("shl_r64_imm8", "shl_r64_cl", "shr_r64_imm8")
	mul, _ := d.rate("imul_r64_r64")
	loads, stores := len(c.Memory.LoadPorts), len(c.Memory.StoreDataPorts)
	if d.has(expLoads) {
		loads = max(1, whole(1/d.fig[expLoads]))
	}
	if d.has(expStores) {
		stores = max(1, whole(1/d.fig[expStores]))
	}
	const names = "0123456789BA"
	p := &d.p
	p.alu = names[:alu]
	p.shift, p.mul = names[:min(shift, alu)], names[:min(mul, alu)]
	rest := names[alu:]
	loads = min(loads, 4)
	p.load, rest = rest[:loads], rest[loads:]
	stores = min(stores, len(rest))
	p.data, rest = rest[:stores], rest[stores:]
	shared, own := loads, 0 // ports of addresses
	for _, port := range c.Memory.StoreAddressPorts {
		if !strings.ContainsRune(c.Memory.LoadPorts, port) {
			own++
		}
	}
	shared = min(shared, len(c.Memory.StoreAddressPorts)-own)
	if d.has(expMixed) {
		// With ports of their own, two loads and a store take no longer than the slower of them.
		alone := max(2/float64(loads), 1/float64(stores))
		if shared, own = loads, 0; d.fig[expMixed] < 0.9*3/float64(loads) && d.fig[expMixed] < 1.15*alone && len(rest) > 0 {
			shared, own = 0, stores
		}
	}
	p.address = p.load[:shared] + rest[:min(own, len(rest))]
	entries := [2]int{}
	for _, s := range c.Back.Schedulers {
		at := 1
		if strings.ContainsAny(s.Ports, "01") {
			at = 0
		}
		entries[at] += s.Entries
	}
	memory := p.load + p.data + p.address[shared:]
	c.Back.Schedulers = []timing.Scheduler{{Ports: p.alu, Entries: max(entries[0], 16)}, {Ports: memory, Entries: max(entries[1], 16)}}
	c.Memory.LoadPorts, c.Memory.StoreAddressPorts, c.Memory.StoreDataPorts = p.load, p.address, p.data
	if c.Back.BankPorts != "" {
		c.Back.BankPorts = ""
		if alu%2 == 0 {
			c.Back.BankPorts = p.alu
		}
	}
	d.jumps()
	d.says(exp, "back.schedulers")
	d.says(expLoads, "memory.load_ports", "memory.store_address_ports")
	d.says(expStores, "memory.store_data_ports")
	d.tell("executes %d plain operations, %d shifts, %d multiplications, %d loads and %d stores a cycle", alu, len(p.shift), len(p.mul), loads, stores)
}

// jumps gives branches their ports: the last ones.
func (d *deduction) jumps() {
	n := len(d.core.Back.NotTaken)
	if d.has(expNeverTake) {
		n = max(1, whole(1/d.fig[expNeverTake]))
	}
	n = min(n, len(d.p.alu))
	d.core.Back.NotTaken = d.p.alu[len(d.p.alu)-n:]
	ports, taken := len(d.core.Back.Taken), 0
	if d.has(jumps(64)) {
		if taken = 1; d.fig[jumps(64)] < 0.75 {
			taken = 2
		}
		ports = taken
	}
	d.core.Back.Taken = d.p.alu[len(d.p.alu)-min(max(ports, 1), n):]
	d.says(expNeverTake, "back.not_taken")
	d.says(jumps(64), "back.taken")
	if d.has(jumps(64)) {
		d.core.Front.TakenPerCycle = taken
		d.says(jumps(64), "front.taken_per_cycle")
		d.tell("takes %d branches a cycle (%.2f cycles each)", taken, d.fig[jumps(64)])
	}
}

// elimination is what the renamer finishes.
func (d *deduction) elimination() {
	c := d.core
	if d.has(expMoves) {
		c.Rename.MoveSlots = 0
		if d.fig[expMoves]/2 < 0.6 {
			c.Rename.MoveSlots = -1
			d.tell("eliminates register moves")
		}
		d.says(expMoves, "rename.move_slots")
	}
	if add := "add_r64_imm8 latency"; d.has(add) {
		if d.fig[add] > 0.6 {
			c.Rename.AddImmMin, c.Rename.AddImmMax, c.Rename.AddImmOverflowSlots, c.Rename.OffsetShiftLatency = 0, 0, 0, 0
		} else if c.Rename.AddImmMax == 0 {
			c.Rename.AddImmMin, c.Rename.AddImmMax, c.Rename.AddImmOverflowSlots = -1024, 1023, 1
		}
		d.says(add, "rename.add_imm_min", "rename.add_imm_max")
		if c.Rename.AddImmMax != 0 {
			d.tell("eliminates additions of immediates")
		}
	}
	if d.has(expStackSync) {
		c.Rename.StackSync, c.Rename.StackSyncLatency = false, 0
		if d.fig[expStackSync] > 2.5 {
			c.Rename.StackSyncLatency = timing.Cycle(whole(d.fig[expStackSync]) - 2)
			d.tell("has rsp late after a push or pop by %d", c.Rename.StackSyncLatency)
		}
		d.says(expStackSync, "rename.stack_sync_latency")
	}
}

// late decides what a load costs that finds the address of its store unknown: it executes again when that is known, or
// some time after it has executed first.
func (d *deduction) late(c *timing.Memory) {
	const lea = 1
	store, both := whole(d.fig[expLateStore])-lea, whole(d.fig[expLateBoth])-lea
	c.ForwardAddress = timing.Cycle(max(1, store))
	c.ForwardKnown, c.ForwardBlocked = max(0, c.ForwardAddress-c.LoadLatency), c.LoadLatency
	if both > store {
		c.ForwardBlocked = timing.Cycle(both)
		d.tell("takes %d cycles for a load that comes with the address of its store", both)
	}
	d.says(expLateBoth, "memory.forward_known", "memory.forward_blocked")
	d.says(expLateStore, "memory.forward_address")
}

// forwarding is what passes from stores to loads.
func (d *deduction) forwarding() {
	c := &d.core.Memory
	if d.has(expLoad) {
		c.LoadLatency = timing.Cycle(max(1, whole(d.fig[expLoad])))
		d.says(expLoad, "memory.load_latency")
	}
	renames := func(exp string, rest float64, to *bool, path, what string) {
		if !d.has(exp) {
			return
		}
		*to = d.fig[exp] < rest+2.5
		d.says(exp, path)
		if *to {
			d.tell("renames memory: %s (%.1f)", what, d.fig[exp])
		}
	}
	renames(expStackPair, 0, &c.RenameLoads, "memory.rename_loads", "a load takes the data of a store to the same place")
	renames(expRMWImm, 1, &c.RenameRMW, "memory.rename_rmw", "add [m],imm")
	renames(expRMWReg, 1, &c.RenameRMWReg, "memory.rename_rmw_reg", "add [m],reg")
	renames(expLeave, 2, &c.RenameLeave, "memory.rename_leave", "leave")
	if d.has(expOffset) {
		c.Forward = timing.Cycle(max(1, whole(d.fig[expOffset])))
		d.says(expOffset, "memory.forward")
	}
	if d.has(expLateStore) && d.has(expLateBoth) {
		d.late(c)
	}
	if d.has(expRMWReg) && !c.RenameRMWReg {
		c.ForwardMore = max(10, whole(10*d.fig[expRMWReg])-10)
		d.says(expRMWReg, "memory.forward_more_tenths")
	}
	if d.has(expFail) {
		c.ForwardFail = timing.Cycle(max(1, whole(d.fig[expFail])-commits(c)))
		d.says(expFail, "memory.forward_fail")
		d.tell("takes %.0f cycles for a load of two stores", d.fig[expFail])
	}
}

// commits is how long after the data of the first of two stores came the second one commits.
func commits(c *timing.Memory) int {
	n := c.StoreRetire + c.StoreCommit
	if c.CommitAlone {
		n++
	}
	return int(n)
}

// branches is the return stack and what a wrong prediction costs.
func (d *deduction) branches() {
	c := &d.core.Branch
	if d.has(expNoBranch, expRandom) {
		// One branch in two is predicted wrongly. The shift and the jump itself, which nothing waits for without a branch,
		// come before the fetch that the cost begins with, and the jump back of the loop after it.
		const shiftAndJumps = 3
		c.Mispredict = timing.Cycle(max(1, whole(2*(d.fig[expRandom]-d.fig[expNoBranch]))-shiftAndJumps))
		d.says(expRandom, "branch.mispredict")
		d.tell("loses %d cycles by a wrong prediction", c.Mispredict)
	}
	last := d.returnStack()
	if last == depths[len(depths)-1] {
		d.tell("has a return stack of at least %d", last)
	}
	if last > 0 {
		c.ReturnStack = last
		d.says(nested(last), "branch.return_stack")
		d.tell("returns without penalty up to a depth of %d", last)
	}
}

// returnStack is the depth up to which a call and its return cost what they do in shallow nests, 0 if too little was
// measured. Two nests in a row must cost more: one may have been disturbed.
func (d *deduction) returnStack() int {
	const (
		shallow = 12
		much    = 1.25
	)
	var each []float64 // of shallow nests
	var known []int
	for _, depth := range depths {
		if d.has(nested(depth)) {
			known = append(known, depth)
			if depth <= shallow {
				each = append(each, d.fig[nested(depth)]/float64(depth))
			}
		}
	}
	if len(each) == 0 || len(known) < 3 {
		return 0
	}
	slices.Sort(each)
	costly := func(n int) bool {
		return n >= len(known) || d.fig[nested(known[n])]/float64(known[n]) > much*each[len(each)/2]
	}
	for n := 1; n < len(known); n++ {
		if costly(n) && costly(n+1) {
			return known[n-1]
		}
	}
	return known[len(known)-1]
}

// Letters explains the sources that learned values have.
func Letters() map[string]string { return maps.Clone(letters) }
