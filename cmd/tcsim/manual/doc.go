// SPDX-License-Identifier: GPL-2.0-only

// Package manual explains the command line: pages of help, manual pages, topics, and what shells complete. All of it
// is made of the command tree, the catalogue and the documentation; it owns no fact about a command.
//
//	for name, text := range manual.Pages(app) { // tcsim.1, tcsim-run.1, ...
//		os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666)
//	}
package manual
