// SPDX-License-Identifier: GPL-2.0-only

package scenarios

// Version is the one version of the format that exists.
const Version = 1

// Scenario is one scenario file. The json tags are the field names of the YAML format; fields
// tagged "-" say where something was written. A Scenario that Load returned has passed every check.
type Scenario struct {
	File    string `json:"-"` // as given to Load
	Version int    `json:"version"`
	// Name is what the scenario is called in reports and, for built-in ones, on the command line.
	Name  string `json:"name"`
	About string `json:"about,omitempty"` // what it shows; names the kernel test it follows
	// Type is the program type of all programs, such as "tc" (the default), "xdp", "socket" or "kprobe".
	Type ProgType `json:"type,omitempty"`
	// Limit replaces the number of tail calls that one invocation may take, 1 to 127; without one, 0, it is
	// the target's.
	Limit uint32 `json:"limit,omitempty"`
	// Policy says whether attachments and updates are refused that the target's kernel refuses
	// ("as-shipped", the default) or not ("if-allowed").
	Policy Policy `json:"policy,omitempty"`
	// VoidRAX is what kernel functions that return nothing leave in rax, "zero" (the default) or
	// "pointer": a trampoline that does not keep rax hands it on as tail_call_cnt.
	VoidRAX  VoidRAX        `json:"void_rax,omitempty"`
	Maps     Named[Map]     `json:"maps,omitempty"`
	Programs Named[Program] `json:"programs"`
	Runs     []Event        `json:"runs"`
}

// ProgType is the name of a program type in scenario files. The zero value means "tc".
type ProgType string

// Policy is the name of a policy in scenario files. The zero value means "as-shipped".
type Policy string

// The policies.
const (
	AsShipped Policy = "as-shipped"
	IfAllowed Policy = "if-allowed"
)

// MapType is the name of a map type in scenario files. The zero value means "array".
type MapType string

// The map types of the format.
const (
	ProgArray   MapType = "prog_array"
	Array       MapType = "array"
	PerCPUArray MapType = "percpu_array"
	Hash        MapType = "hash"
	Arena       MapType = "arena" // no page of it is there
)

// Map is a map of the scenario. Sizes are in bytes. Map contents live as long as the scenario:
// what a run wrote is there in the next one.
type Map struct {
	Type    MapType `json:"type,omitempty"`
	KeySize uint32  `json:"key_size,omitempty"` // default 4; only hash maps may differ
	// ValueSize defaults to 4.
	ValueSize uint32 `json:"value_size,omitempty"`
	// MaxEntries defaults to one more than the highest key among Slots and Values.
	MaxEntries uint32 `json:"max_entries,omitempty"`
	// Slots are the programs in a prog array before the first run, by key.
	Slots Named[Name] `json:"slots,omitempty"`
	// Values are the contents of another map before the first run: little-endian integers of the
	// value's size by key ("key" or "key+offset").
	Values Named[Int] `json:"values,omitempty"`
}

// Program is a program: its entry function and the subprograms that it calls.
type Program struct {
	Function
	Functions Named[Function] `json:"functions,omitempty"`
}

// Function is one BPF function, as steps or as assembly text, never both. Stack and Saved belong
// to steps: assembly says such things itself.
type Function struct {
	Pos Pos `json:"-"`
	// Stack is the size in bytes of a zeroed buffer on the BPF stack, which ends at fp.
	Stack int `json:"stack,omitempty"`
	// Saved are callee-saved registers (r6 to r9) that get a value at entry which is checked before
	// every return; a function that finds one changed returns CheckFailed.
	Saved []Register `json:"saved,omitempty"`
	Steps []Step     `json:"steps,omitempty"`
	Asm   Asm        `json:"asm,omitempty"`
	// Global makes a subprogram a global function, which the verifier looks at alone: its callers know
	// nothing of its result, and a program can replace it. The zero value is a static one.
	Global bool `json:"global,omitempty"`
	// Jited is the machine code that the function must have, or a program with all its functions: the
	// key is a list of target names or classes of targets, separated by commas. The last entry that
	// applies counts. Text is compared after loading, before the first run.
	Jited Named[Jited] `json:"jited,omitempty"`
}

// CheckFailed is what a function of steps returns when a check step or a saved register fails.
const CheckFailed = 0xbad

// Step is one step of a function: exactly one of the verbs, with its modifiers.
type Step struct {
	Pos  Pos    `json:"-"` // of the verb
	Verb string `json:"-"` // name of the verb, as in the file

	Count    *Value  `json:"count,omitempty"`     // add 1 to a map value
	Call     *Name   `json:"call,omitempty"`      // call a subprogram with ctx
	TailCall *Value  `json:"tail_call,omitempty"` // map[key]; the next step runs if it is refused
	Helper   *Helper `json:"helper,omitempty"`    // call a helper that takes no arguments
	Clobber  *int    `json:"clobber,omitempty"`   // zero so many bytes of own stack, call a helper
	Atomic   *Name   `json:"atomic,omitempty"`    // change On by To in one access; the result is what was there
	Set      *Value  `json:"set,omitempty"`       // assign To to a register, stack or map location
	Check    *Value  `json:"check,omitempty"`     // return CheckFailed unless it equals Is
	If       *Value  `json:"if,omitempty"`        // Then if it equals Is, else Else
	Repeat   *int    `json:"repeat,omitempty"`    // Do so many times
	Return   *Value  `json:"return,omitempty"`    // leave the function

	With *Value `json:"with,omitempty"` // 8 bytes of own stack that the callee knows as arg
	On   *Value `json:"on,omitempty"`   // of Atomic: 4 or 8 bytes of own stack or of an array with one entry
	To   *Value `json:"to,omitempty"`
	Is   *Value `json:"is,omitempty"`
	Then []Step `json:"then,omitempty"`
	Else []Step `json:"else,omitempty"`
	Do   []Step `json:"do,omitempty"`
}

// Event is one line of the scenario's history: a run of a program, an update or a deletion of map
// entries, that a function is replaced, or that a tracing program is attached. Exactly one of Run,
// Update, Delete, Replace and Attach is set.
type Event struct {
	Pos  Pos    `json:"-"`
	Note string `json:"note,omitempty"`

	Run *Name `json:"run,omitempty"`
	// Packet is what the program sees: a size in bytes (all zero) or the bytes in hex.
	Packet Packet `json:"packet,omitempty"`
	// Context sets fields of the context structure, such as mark.
	Context Named[Int] `json:"context,omitempty"`
	// Interrupt is a program that runs in the middle of this run.
	Interrupt *Interrupt `json:"interrupt,omitempty"`
	// Expect is nil if the run is not judged.
	Expect *Expect `json:"expect,omitempty"`

	// Update stores programs in prog arrays or integers in other maps, in order: "map[key]" to
	// the name of a program or an integer.
	Update Named[Scalar] `json:"update,omitempty"`
	Delete *Value        `json:"delete,omitempty"`
	// Replace makes calls of a subprogram calls of another program, as freplace programs do when they
	// are attached: "program:function" to the name of that program, or none to detach it.
	Replace Named[Name] `json:"replace,omitempty"`
	// Errno is the error that the update, deletion or replacement must give, such as ENOENT; empty
	// for success.
	Errno string `json:"errno,omitempty"`

	// Attach begins to trace a function.
	Attach *Attach `json:"attach,omitempty"`
}

// Attach says that program By traces a function from now on. Exactly one of Fentry and Fexit is set.
// The context of the tracing program is the arguments of the traced function, 8 bytes each, and then,
// for fexit, the return value.
type Attach struct {
	Pos Pos `json:"-"`

	Fentry   *Name `json:"fentry,omitempty"`   // trace a function of this program: before it runs
	Fexit    *Name `json:"fexit,omitempty"`    // or after it
	Function *Name `json:"function,omitempty"` // the traced subprogram; absent for the entry function
	By       Name  `json:"by"`
}

// Expect is what a run must give. Nil and empty fields are not judged, except that an absent
// Violates means that no invariant may break.
type Expect struct {
	Pos Pos `json:"-"`

	Return *Int `json:"return,omitempty"`
	// ReturnOneOf are the return values of which it must be one, in place of Return. It holds under every schedule of
	// an update, too.
	ReturnOneOf []Int `json:"return_one_of,omitempty"`

	Taken *Int `json:"taken,omitempty"` // tail calls taken
	// Refused counts the tail calls that fell through, by reason.
	Refused *Refused `json:"refused,omitempty"`
	// Values are map contents after the run: "map[key]" to integer.
	Values Named[Int] `json:"values,omitempty"`
	// StackAtMost bounds the deepest stack in bytes below the outside caller's return address.
	StackAtMost *Int `json:"stack_at_most,omitempty"`
	// Violates names the first broken invariant; several names mean any of them, "none" means none.
	Violates Names `json:"violates,omitempty"`
	// On replaces fields on some targets: the key is a list of target names or classes of targets,
	// separated by commas. Later entries win. If an entry expects a violation, then of the other
	// fields only those that it sets itself are judged, because the run ends there.
	On Named[Expect] `json:"on,omitempty"`
	// Errno replaces that of the event in an entry of On: an error, or "success".
	Errno string `json:"errno,omitempty"`
}

// Interrupt is a program that runs in the middle of a run on the same processor, in the same task and
// further down the same stack, as in an interrupt. It gets the same context. It is an invocation of its
// own, whose tail calls are not among those of the run.
type Interrupt struct {
	Pos Pos  `json:"-"`
	Run Name `json:"run"`
	// At is the event directly before which it comes: "tailcall:20" is the 20th tail call taken, and
	// so with call, helper, return and refused. If there is no such event, it does not come.
	At Scalar `json:"at,omitempty"`
	// After is the number of machine instructions after which it comes, in place of At.
	After int `json:"after,omitempty"`
}

// Refused counts tail calls that fell through. Total is the sum if only that is known; nil fields
// are not judged.
type Refused struct {
	Total  *Int `json:"total,omitempty"`
	Limit  *Int `json:"limit,omitempty"`
	Bounds *Int `json:"bounds,omitempty"`
	Empty  *Int `json:"empty,omitempty"`
}
