// SPDX-License-Identifier: GPL-2.0-only

package source

import (
	"context"
	"github.com/tcsim/tcsim/jit/source/compiler"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// object returns the compiled unit, from the folder cache if it is there; "" means no cache. A compiler that
// changes its version gets objects of its own.
func (u *unit) object(ctx context.Context, cache string) (*object, error) {
	name, recipe := "", ""
	key := func() string { return "" }
	if cache != "" {
		cc, err := exec.LookPath("cc")
		if err != nil {
			return nil, compiler.ErrNoCompiler
		}
		key = func() string { return filepath.Join(cache, u.key(compiler.ID(cc))) }
		recipe = key() + ".names"
		u.follow(recipe)
		name = key() + ".o"
		if b, err := os.ReadFile(name); err == nil {
			if o, err := readObject(b); err == nil { // else it is made anew
				now := time.Now()
				_ = os.Chtimes(name, now, now) // see prune
				return o, nil
			}
		}
	}
	b, err := u.compile(ctx)
	if err != nil {
		return nil, err
	}
	o, err := readObject(b)
	if err == nil && name != "" {
		if steps := u.recipe(); len(steps) > 0 {
			compiler.Store(recipe, steps)
			name = key() + ".o"
		}
		compiler.Store(name, b)
		compiler.Prune(cache)
	}
	return o, err
}
