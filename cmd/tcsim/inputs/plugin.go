// SPDX-License-Identifier: GPL-2.0-only

package inputs

import (
	"slices"
	"strings"

	"github.com/tcsim/tcsim/scenarios"
)

// PluginFirst puts the words of a command line in order that the runner of bpf_conformance has made: the memory in hex
// first, which may be empty, and then the text of its --plugin_options, that is "plugin" with options of that command, as
// one word or several. Other command lines are returned as they are. args[0] is the program.
func PluginFirst(args []string) []string {
	if len(args) < 3 {
		return args
	}
	memory, options := args[1], strings.Fields(args[2])
	if _, err := scenarios.HexBytes("memory", memory); err != nil || len(options) == 0 || options[0] != "plugin" {
		return args
	}
	return slices.Concat(args[:1], options, args[3:], []string{"--", memory})
}
