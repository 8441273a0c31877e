// SPDX-License-Identifier: GPL-2.0-only

// Package source runs the JIT of a kernel's source: it compiles the user's arch/x86/net/bpf_jit_comp.c,
// outside any kernel, with a small set of headers of our own (shim/*.h), loads the object at kernel
// addresses into an emulated processor, hands programs to bpf_int_jit_compile as the verifier does, and
// takes the images back.
//
// The pieces, from a tree to an image:
//
//	ktree       where the file and the headers around it come from: a folder, a git revision, a lone file
//	compiler    the system's cc, within bounds, and the folder where objects are kept
//	resolve.go  what the C file uses that the shim does not declare and the tree's headers do
//	module.go   routines and variables of the file that programs use
//	facts.go    what the C file takes from elsewhere and where each fact was read
//	unit.go     the one C unit: shim.h, the user's text, runtime.c, driver.c; the compiler is the system's cc
//	object.go   the object: sections placed, relocations applied, lines found
//	guest.go    the object in a Processor: calls, requests from inside, messages
//	load.go     a verified program as the JIT gets it, and its images
//	pokes.go    changes of prog arrays, done by the C code's own functions
//	tramp.go    trampolines
//	jit.go      JIT: all of this behind jit.Emitter, which a target can have instead of our own emission
//
// # Adding a kernel name
//
// A JIT that uses a name that no kernel before used does not compile (types, macros, fields) or stops when
// it uses it (functions). Declare it in shim/shim.h or shim/bpf.h with the kernel's signature and a comment
// that says since when it is there. A function that the JIT itself calls is defined in shim/runtime.c; one
// that only the image refers to needs no definition: image.Env is asked for the address of every name that the
// object leaves open, and one that it does not know is an error when it appears in an image.
//
// # Facts
//
// What differs between kernels and is not in the C file reaches it as macros: CONFIG_ options as a kernel
// has them, TCSIM_ names for everything else (numbers from headers, which of several signatures a function
// has). Each is a Fact with its origin. A new one is a line in facts.go and its use in shim/. What is not
// decided when the C file is compiled (limit, mitigations, thunks) are variables of runtime.c that guest.go
// sets by name.
package source
