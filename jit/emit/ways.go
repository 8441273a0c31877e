// SPDX-License-Identifier: GPL-2.0-only

package emit

import (
	"hash/fnv"
	"io"
	"path"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// tell has the writer tell its ways: from which lines of this package and of the designs each instruction is appended.
func (e *Writer) tell(ways func(uint64)) {
	if ways == nil {
		return
	}
	e.Watch(func() {
		var at callers
		runtime.Callers(3, at[:]) // past Callers, this function and the buffer's
		ways(wayOf(at))
	})
}

// callers are the innermost callers of what appends an instruction.
type callers [6]uintptr

var knownWays sync.Map // by callers

// wayOf is the number of a way.
func wayOf(at callers) uint64 {
	if n, ok := knownWays.Load(at); ok {
		return n.(uint64)
	}
	h := fnv.New64a()
	for frames := runtime.CallersFrames(at[:]); ; {
		f, more := frames.Next()
		in := path.Base(path.Dir(f.File))
		if in == "emit" || in == "design" {
			_, _ = io.WriteString(h, path.Base(f.File)+":"+strconv.Itoa(f.Line)+"\n") // a hash takes all
		}
		if !more || strings.HasSuffix(f.Function, "(*Writer).insn") || strings.HasSuffix(f.Function, "(*Func).emit") {
			break
		}
	}
	n := h.Sum64()
	knownWays.Store(at, n)
	return n
}
