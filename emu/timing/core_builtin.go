// SPDX-License-Identifier: GPL-2.0-only

package timing

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"sync"
)

//go:generate go run genforms/main.go -column ADL-P cores/glc.yaml ../../fixtures/uarch/instructions.json ../../fixtures/uarch/instructions_glc.json
//go:generate go run genforms/main.go -column ICL cores/icl.yaml ../../fixtures/uarch/instructions.json
//go:generate go run genforms/main.go -column SKX cores/skx.yaml ../../fixtures/uarch/instructions.json
//go:generate go run genforms/main.go -column ZEN5 cores/zen5.yaml ../../fixtures/uarch/zen5/instructions.json

// defaultCore is the core that is modelled where none is named.
const defaultCore = "glc"

//go:embed cores/*.yaml
var coreFiles embed.FS

// builtin reads the built-in cores, each when it is first asked for.
var builtin = func() map[string]func() *Core {
	all := map[string]func() *Core{}
	entries, err := coreFiles.ReadDir("cores")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	for _, e := range entries {
		all[strings.TrimSuffix(e.Name(), ".yaml")] = sync.OnceValue(func() *Core {
			src, err := coreFiles.ReadFile("cores/" + e.Name())
			if err != nil {
				panic("BUG: " + err.Error())
			}
			c, err := ReadCore(e.Name(), src)
			if err != nil {
				panic("BUG: " + err.Error())
			}
			return c
		})
	}
	return all
}()

// CoreNames returns the names of the built-in cores in the order in which they are listed to users;
// the first is the default.
func CoreNames() []string {
	names := []string{defaultCore}
	for n := range builtin {
		if n != defaultCore {
			names = append(names, n)
		}
	}
	slices.Sort(names[1:])
	return names
}

// Cores returns the built-in cores in the order of CoreNames.
func Cores() []*Core {
	var all []*Core
	for _, n := range CoreNames() {
		all = append(all, builtin[n]())
	}
	return all
}

// CoreNamed finds a built-in core by its short name; "" is the default. The error lists the names.
func CoreNamed(name string) (*Core, error) {
	if name == "" {
		name = defaultCore
	}
	read, ok := builtin[name]
	if !ok {
		return nil, fmt.Errorf("core %q: not known; there are %s", name, strings.Join(CoreNames(), ", "))
	}
	return read(), nil
}
