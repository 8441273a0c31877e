// SPDX-License-Identifier: GPL-2.0-only

package protos

// HelperLoop is bpf_loop(number, callback, context, flags), HelperTimerCallback bpf_timer_set_callback.
const (
	HelperLoop          = 181
	HelperTimerCallback = 170
)

// Callback says how a helper calls a function of the program: which of its arguments is the function, and which one is handed
// to the function as its argument number Gets.
type Callback struct{ Fn, Context, Gets uint8 }

// Callbacks are the helpers that call a function of the program before they return.
var Callbacks = map[int32]Callback{
	164:        {2, 3, 4}, // for_each_map_elem(map, fn, context, flags): fn(map, key, value, context)
	180:        {3, 4, 3}, // find_vma(task, address, fn, context, flags): fn(task, vma, context)
	HelperLoop: {2, 3, 2}, // fn(index, context)
	209:        {2, 3, 2}, // user_ringbuf_drain(map, fn, context, flags): fn(dynptr, context)
}
